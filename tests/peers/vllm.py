"""How vLLM is started: the program that TIDEGATE_TEST_VLLM names, on CPUs, with nothing asked for outside this machine."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import MODEL, SLOTS

FLAGS = ["--max-model-len", "1024", "--enforce-eager", "--dtype", "float32", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


def program(model: Path, port: int, *flags: str) -> list[object]:
    """A server of the model in a folder."""
    where = ["--host", "127.0.0.1", "--port", port, "--served-model-name", MODEL, "--max-num-seqs", SLOTS]
    return [os.environ["TIDEGATE_TEST_VLLM"], "serve", model, *where, *FLAGS, *flags]
