"""What the units rely on: both programs tell systemd when they serve and when they stop (sd_notify(3)); the units name what exists."""

from __future__ import annotations

import configparser
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from chart import ROOT

BIN = Path(os.environ["TIDEGATE_TEST_BIN"])
FLAGS = {"tidegate-router": ["--port", "0", "--admin-port", "0"], "tidegate-backend": ["--port", "0"]}


def states(listening: socket.socket, wanted: str) -> dict[str, str]:
    """What is told until `wanted` is."""
    told: dict[str, str] = {}
    while wanted not in told:
        told |= dict(line.split("=", 1) for line in listening.recv(4096).decode().splitlines())
    return told


@pytest.mark.parametrize("program", sorted(FLAGS))
def test_systemd_is_told_when_it_serves_and_when_it_stops(program: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(60)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_"))}
        process = subprocess.Popen([BIN / program, *FLAGS[program]], env=kept | {"NOTIFY_SOCKET": address}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = states(listening, "READY")
            assert told["READY"] == "1" and told["STATUS"].startswith("serving")
            process.send_signal(signal.SIGTERM)
            assert states(listening, "STOPPING")["STOPPING"] == "1"
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("program", sorted(FLAGS))
def test_units_wait_longer_than_a_drain_takes(program: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / f"deploy/systemd/{program}.service")
    service = unit["Service"]
    assert service["Type"] == "notify" and service["ExecStart"].split()[0] == f"/usr/local/bin/{program}"
    said = subprocess.run([BIN / program, "--help"], capture_output=True, text=True, check=True).stdout
    drain = re.search(r"^ +--drain-timeout(?:(?!^ +-).)*?\[default: (\d+)", said, re.DOTALL | re.MULTILINE)
    if drain:
        assert int(service["TimeoutStopSec"].removesuffix("s")) > int(drain[1])
