"""Runs llama.cpp's own HTTP server, as the wheel of xllamacpp holds it: llama_cpp.py MODEL.gguf NAME PORT SLOTS. Ends with SIGTERM."""

from __future__ import annotations

import signal
import sys

import xllamacpp


def main() -> None:
    """Serves until a signal comes."""
    file, name, port, slots = sys.argv[1:]
    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.model_alias = {name}
    settings.port = int(port)
    settings.n_parallel = int(slots)
    # For each slot, as long as the demo model's context.
    settings.n_ctx = 1024 * int(slots)
    settings.cpuparams.n_threads = 1
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    main()
