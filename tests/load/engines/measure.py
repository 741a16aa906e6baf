"""What is measured of an engine, the same of each, and as backend/examples/engine-bench.rs measures Tidegate's.

An engine gives its streams as iterators of token ids; they decode together for as long as all of them are read.
"""

import argparse
import json
import resource
import time
from typing import Iterator, Protocol

STREAMS = (1, 4, 16)
TOKENS = 64
PROMPT = 512


class Engine(Protocol):
    """An engine with a model in it."""

    vocabulary: int

    def generate(self, prompts: list[list[int]], tokens: int) -> Iterator[list[int]]:
        """Greedy answers of so many tokens to all prompts: in each step the next token of each."""


def prompt(length: int, salt: int, vocabulary: int) -> list[int]:
    """A prompt of its own for each `salt`."""
    return [(i * 131 + salt * 977 + 3) % vocabulary for i in range(length)]


def decode(engine: Engine, streams: int, tokens: int) -> float:
    """Tokens per second over all streams, from the moment at which each has its first."""
    answers = engine.generate([prompt(16, salt, engine.vocabulary) for salt in range(streams)], tokens)
    next(answers)
    begun, made = time.perf_counter(), 0
    for step in answers:
        made += len(step)
    return made / (time.perf_counter() - begun)


def prefill(engine: Engine) -> float:
    """Tokens of a prompt per second."""
    begun = time.perf_counter()
    next(engine.generate([prompt(PROMPT, 77, engine.vocabulary)], 1))
    return PROMPT / (time.perf_counter() - begun)


def measure(engine: Engine) -> dict:
    """All figures of an engine."""
    decode(engine, 1, 8)
    return {
        "decode": {streams: decode(engine, streams, TOKENS) for streams in STREAMS},
        "prefill": prefill(engine),
        "tokens": [step[0] for step in engine.generate([prompt(16, 0, engine.vocabulary)], 8)],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(start) -> None:
    """Measures what `start(model, threads)` gives, and prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--quantize")
    args = parser.parse_args()
    print(json.dumps(measure(start(args))))
