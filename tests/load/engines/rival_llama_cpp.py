"""llama.cpp, through the C interface that llama-cpp-python brings along: one batch for all streams, as its server does."""

import ctypes
from typing import Iterator

import llama_cpp
import numpy as np

import measure

CONTEXT = 2048


class LlamaCpp:
    """A GGUF file in llama.cpp."""

    def __init__(self, path: str, threads: int) -> None:
        llama_cpp.llama_backend_init()
        # Kept, since what it is called with is: its log goes nowhere.
        self.silence = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silence, ctypes.c_void_p(0))
        settings = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), settings)
        settings = llama_cpp.llama_context_default_params()
        most = max(measure.STREAMS)
        settings.n_ctx, settings.n_batch, settings.n_ubatch = most * 256, CONTEXT, 512
        settings.n_seq_max, settings.kv_unified = most, True
        settings.n_threads, settings.n_threads_batch = threads, threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(CONTEXT, 0, most)

    def step(self, chunks: list[tuple[int, list[int]]]) -> list[int]:
        """Computes each sequence's tokens from a position on; gives the likeliest next token of each."""
        batch, at, rows = self.batch, 0, []
        for sequence, (start, tokens) in enumerate(chunks):
            for offset, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, start + offset
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = offset + 1 == len(tokens)
                at += 1
            rows.append(at - 1)
        batch.n_tokens = at
        if code := llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode: {code}")
        return [self.likeliest(row) for row in rows]

    def likeliest(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self.context, row)
        return int(np.argmax(np.ctypeslib.as_array(logits, (self.vocabulary,))))

    def generate(self, prompts: list[list[int]], tokens: int) -> Iterator[list[int]]:
        """See measure.Engine."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        last = self.step([(0, prompt) for prompt in prompts])
        yield last
        for made in range(tokens - 1):
            last = self.step([(len(prompt) + made, [token]) for prompt, token in zip(prompts, last)])
            yield last


if __name__ == "__main__":
    measure.main(lambda args: LlamaCpp(args.model, args.threads))
