"""transformers on PyTorch: all streams in one batch of the same length, the most that it does of itself."""

import json
from pathlib import Path
from typing import Iterator

import torch
from transformers import AutoModelForCausalLM

import measure


class Transformers:
    """A folder in transformers, in f32."""

    def __init__(self, path: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.vocabulary = json.loads((Path(path) / "config.json").read_text())["vocab_size"]

    @torch.inference_mode()
    def generate(self, prompts: list[list[int]], tokens: int) -> Iterator[list[int]]:
        """See measure.Engine."""
        ids, cache = torch.tensor(prompts), None
        for _ in range(tokens):
            out = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            ids, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
            yield ids[:, 0].tolist()


if __name__ == "__main__":
    measure.main(lambda args: Transformers(args.model, args.threads))
