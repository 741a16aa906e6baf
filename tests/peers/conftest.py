"""A real server of another make, Tidegate's router in front of it, and a tap between the two. Logs go to TIDEGATE_TEST_LOGS."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tap import Answer, Tap

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tidegate-demo"
SLOTS = 2
START_LIMIT = 180.0
END_LIMIT = 15.0


@dataclass
class Scene:
    """Where the peer itself and the router in front of it are asked, and what passes between the two."""

    peer: int
    router: int
    tap: Tap


def ask(port: int, path: str, body: bytes | None = None) -> Answer:
    """One request on a connection of its own; without a body it is a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    try:
        return Answer(answer.status, answer.getheader("content-type", ""), answer.read())
    finally:
        connection.close()


@contextmanager
def behind(name: str, program: list[object], port: int, settings: dict[str, str]) -> Iterator[Scene]:
    """A peer on its port and a router that knows it, until both have ended as they should."""
    logs = Path(os.environ["TIDEGATE_TEST_LOGS"])
    logs.mkdir(parents=True, exist_ok=True)
    router, admin = free_ports(2)
    with running(logs / f"{name}.log", program, port, settings):
        tap = Tap(port)
        flags = ["--port", router, "--admin-port", admin, "--backend", f"http://127.0.0.1:{tap.port}", "--backend-slots", SLOTS]
        with running(logs / f"{name}-router.log", [Path(os.environ["TIDEGATE_TEST_BIN"]) / "tidegate-router", *flags], router, {}):
            yield Scene(port, router, tap)
        tap.close()


@contextmanager
def running(log: Path, program: list[object], port: int, settings: dict[str, str]) -> Iterator[None]:
    """A process that lists its model on a port; it must end by itself with status 0 when it is asked to."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEGATE_", "OTEL_", "RUST_LOG"))}
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in program], stdout=output, stderr=subprocess.STDOUT, env=kept | settings)
    try:
        end = time.monotonic() + START_LIMIT
        while not lists(port):
            assert process.poll() is None and time.monotonic() < end, f"{log.name}: it does not serve\n{tail(log)}"
            time.sleep(0.05)
        yield
        process.terminate()
        assert process.wait(END_LIMIT) == 0, f"{log.name}: it ended badly\n{tail(log)}"
    finally:
        process.kill()
        process.wait()


def tail(log: Path) -> str:
    """The end of what a process has said."""
    return log.read_text(errors="replace")[-2000:]


def lists(port: int) -> bool:
    """Whether a server has the model."""
    try:
        answer = ask(port, "/v1/models")
    except OSError:
        return False
    return answer.status == 200 and any(model["id"] == MODEL for model in json.loads(answer.body)["data"])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; taken all at once, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
