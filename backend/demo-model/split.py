"""Examples, the source that they are drawn from, and what is held out: 2 % of all keys, by their hash."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HELD_OUT_ONE_IN = 50


@dataclass(frozen=True)
class Example:
    """One question and its right answer."""

    task: str
    key: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Source:
    """Where a task's examples come from: the random generator and the side of the split that they are drawn for."""

    rng: random.Random
    held_out: bool

    def words(self) -> tuple[str, ...]:
        """The words of this side of the split."""
        return split_words()[self.held_out]

    def word(self) -> str:
        """A word of this side of the split."""
        return self.rng.choice(self.words())

    def sentence(self, shortest: int = 2, longest: int = 9) -> str:
        """A sentence of words; held-out sentences mix both sides, training sentences have only training words."""
        words = self.words() + split_words()[False] if self.held_out else self.words()
        return " ".join(self.rng.choices(words, k=self.rng.randint(shortest, longest)))


def is_held_out(kind: str, key: str) -> bool:
    """Whether a key is never trained on; about one in fifty is, decided by its hash."""
    digest = hashlib.sha256(f"{kind}:{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_ONE_IN == 0


def read_lines(name: str) -> Iterator[str]:
    """The lines of a text file beside this one, without comments and empty lines."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


@cache
def split_words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The word list, split into trained and held-out words."""
    trained: list[str] = []
    held_out: list[str] = []
    for word in read_lines("words.txt"):
        (held_out if is_held_out("word", word) else trained).append(word)
    return tuple(trained), tuple(held_out)
