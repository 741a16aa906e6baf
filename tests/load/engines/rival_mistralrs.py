"""mistral.rs, from its wheel."""

import json
from pathlib import Path
from typing import Iterator

from mistralrs import Architecture, ChatCompletionRequest, ModelDType, Runner, Which

import measure


class MistralRs:
    """A folder in mistral.rs, in f32 or quantised at load."""

    def __init__(self, path: str, quantize: str | None) -> None:
        which = Which.Plain(model_id=path, arch=Architecture.Llama, dtype=ModelDType.F32)
        self.runner = Runner(which, max_seqs=max(measure.STREAMS), prefix_cache_n=0, in_situ_quant=quantize)
        self.vocabulary = json.loads((Path(path) / "config.json").read_text())["vocab_size"]

    def generate(self, prompts: list[list[int]], tokens: int) -> Iterator[list[int]]:
        """See measure.Engine. The wheel takes one request at a time: several streams are several answers to one prompt."""
        text = " ".join(f"w{token}" for token in prompts[0])
        request = ChatCompletionRequest(
            model="default", messages=[{"role": "user", "content": text}], max_tokens=tokens, temperature=0.0,
            top_k=1, n_choices=len(prompts), stream=True, ignore_eos=True,
        )
        for piece in self.runner.send_chat_completion_request(request):
            contents = [choice.delta.content or "" for choice in piece.choices]
            if tokens := [int(word) for content in contents for word in content.replace("w", " ").split()]:
                yield tokens


if __name__ == "__main__":
    measure.main(lambda args: MistralRs(args.model, args.quantize))
