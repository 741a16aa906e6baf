"""Writes down how vLLM answers, byte for byte with heads and chunks, for tests/conformance to replay: some two minutes.

    TIDEGATE_TEST_VLLM=VENV/bin/vllm python3 tests/peers/record_vllm.py

Each line of recorded/vllm.jsonl is one exchange; `answer` is what stood on the wire.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vllm
from compare import ASKED, CALL, CHAT, SCHEMA, TOO_LONG, USAGE, Requests, bytes_of
from conftest import MODEL, ROOT, ask, free_ports, running
from tap import Tap

FILE = ROOT / "tests/conformance/recorded/vllm.jsonl"
STREAM = {"stream": True, "max_tokens": 6}
EACH = {"stream_options": USAGE | {"continuous_usage_stats": True}}
# What is asked for without a body.
MODELS: dict[str, Any] = {}
PLAIN: Requests = {
    "models": ("/v1/models", MODELS),
    "chat": (CHAT, {"messages": ASKED}),
    "chat, streamed": (CHAT, {"messages": ASKED} | STREAM),
    "chat, streamed with usage": (CHAT, {"messages": ASKED, "stream_options": USAGE} | STREAM),
    "chat, streamed with usage in each event": (CHAT, {"messages": ASKED} | EACH | STREAM),
    "chat, streamed with probabilities": (CHAT, {"messages": ASKED, "logprobs": True, "top_logprobs": 2} | STREAM),
    "two chats, streamed": (CHAT, {"messages": ASKED, "n": 2, "temperature": 0.2} | STREAM),
    "chat with a schema": (CHAT, {"messages": ASKED, "response_format": SCHEMA, "max_tokens": 40}),
    "chat with a tool": (CHAT, CALL),
    "chat with a tool, streamed": (CHAT, CALL | {"stream": True}),
    "completion": ("/v1/completions", {"prompt": "2, 3, 4, 5", "max_tokens": 12}),
    "completion, streamed": ("/v1/completions", {"prompt": "2, 3, 4, 5"} | STREAM),
    "responses, streamed": ("/v1/responses", {"input": "Hello!", "stream": True, "max_output_tokens": 6}),
    "messages, streamed": ("/v1/messages", {"messages": ASKED} | STREAM),
    "error: no messages": (CHAT, {}),
    "error: a value of a wrong kind": (CHAT, {"messages": ASKED, "temperature": "hot"}),
    "error: a prompt that is too long, streamed": (CHAT, {"messages": TOO_LONG} | STREAM),
    "error: another model": (CHAT, {"model": "nobody", "messages": ASKED}),
    "error: what it was not started for": ("/v1/embeddings", {"input": "x"}),
}
REASONING: Requests = {
    "reasoning": (CHAT, {"messages": ASKED}),
    "reasoning, streamed": (CHAT, {"messages": ASKED} | STREAM),
}


def thinking(folder: Path) -> Path:
    """The demo model with two of its special tokens renamed: to vLLM all that it says is a thought without an end."""
    model = folder / "thinking"
    shutil.copytree(ROOT / "backend/demo-model", model)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        text = (model / name).read_text(encoding="utf-8").replace("<|pad|>", "<think>").replace("<|system|>", "</think>")
        (model / name).write_text(text, encoding="utf-8")
    return model


def record(model: Path, requests: Requests, *flags: str) -> Iterator[dict[str, str]]:
    """Asks a server for all of these."""
    (port,) = free_ports(1)
    with running(model.parent / f"{model.name}.log", vllm.program(model, port, *flags), port, vllm.SETTINGS):
        for name, (path, fields) in requests.items():
            tap, body = Tap(port), bytes_of({}, fields) if fields is not MODELS else None
            ask(tap.port, path, body)
            yield {"name": name, "path": path, "request": (body or b"").decode(), "answer": tap.exchanges[0].answer.decode()}
            tap.close()


def main() -> None:
    """Records everything anew."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(shutil.copytree(ROOT / "backend/demo-model", Path(folder) / MODEL))
        lines = list(record(plain, PLAIN))
        lines += record(thinking(Path(folder)), REASONING, "--reasoning-parser", "deepseek_r1")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
