"""The commands that README and docs show: the lines behind `$` in blocks marked `console`, and what a program there says to paste."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from chart import ROOT

BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
BINARIES = {"tidegate-router", "tidegate-backend"}


@dataclass(frozen=True)
class Command:
    """One command, as it stands on a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits it, without its comment."""
        return shlex.split(self.text, comments=True)

    @property
    def program(self) -> str | None:
        """Which of the two binaries it runs, if any; `cargo run` runs the router."""
        words = self.words
        if words[:2] == ["cargo", "run"]:
            return "tidegate-router"
        name = Path(words[0]).name
        return name if name in BINARIES else None

    @property
    def flags(self) -> list[str]:
        """The long flags that go to the binary, with hyphens."""
        words = self.words
        if words[:2] == ["cargo", "run"]:
            words = words[words.index("--") + 1 :] if "--" in words else []
        return [word.split("=")[0].replace("_", "-") for word in words if word.startswith("--")]


def pages() -> list[Path]:
    """All pages whose commands people copy."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[Command]:
    """Those of one page, in order."""
    found = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for match in re.finditer(r"^(?:\$ |  (?=curl ))((?:.*\\\n)*.*)$", block, re.MULTILINE):
            found.append(Command(page.name, match[1].replace("\\\n", " ")))
    return found


def every() -> list[Command]:
    """Those of all pages."""
    return [command for page in pages() for command in commands(page)]
