"""Fleets that `deploy/fleet` starts on this machine, each in a folder of its own under TIDEGATE_TEST_LOGS."""

from __future__ import annotations

import json
import os
import random
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy/fleet"
# Below the ports that systems hand out by themselves.
BASES = range(20_000, 32_000, 70)


@dataclass
class Fleet:
    """A running fleet."""

    folder: Path
    port: int

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of the script, about this fleet."""
        return script(command, "--dir", str(self.folder), *arguments)

    def ok(self, *arguments: str) -> str:
        """The same, which must succeed; what it says."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pid(self, name: str) -> int:
        """The process behind a name, such as `router-1`."""
        return int((self.folder / f"{name}.pid").read_text())

    def view(self, router: int = 1) -> dict[str, Any]:
        """What a router says of the fleet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 30 + router}/fleet", timeout=5) as answer:
            return dict(json.load(answer))

    def answers(self, router: int) -> float:
        """How many completions it has answered in this life."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 30 + router}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("tidegate:requests_total{") and "completions" in line]
        return sum(float(line.split("}")[1].split()[0]) for line in counts)

    def account(self, router: int = 1) -> dict[str, Any]:
        """What it says of the demo model's pool."""
        return next(iter(self.view(router)["pools"]))


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs deploy/fleet, without variables that would change what it starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_", "RUST_LOG"))}
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, env=kept, check=False, timeout=300)


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Fleet]]:
    """Starts fleets; all of them end with the session."""
    logs, binaries = Path(os.environ["TIDEGATE_TEST_LOGS"]), os.environ["TIDEGATE_TEST_BIN"]
    running: list[Fleet] = []

    def up(name: str, *flags: str) -> Fleet:
        said = ""
        for base in random.sample(BASES, 5):
            fleet = Fleet(logs / name, base)
            done = fleet.run("up", "--port", str(base), "--bin", binaries, *flags)
            said = done.stdout + done.stderr
            if done.returncode == 0:
                running.append(fleet)
                return fleet
            assert "is taken" in said, said
        pytest.fail(f"no free ports: {said}")

    yield up
    for fleet in running:
        fleet.ok("down")
