"""The shipped configuration of HAProxy in front of a fleet's routers, with the fleet's ports: nobody notices their restarts."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import ROOT, Fleet
from load import Callers
from test_fleet import until

ROUTERS = 2


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def haproxy(fleet: Fleet, folder: Path) -> Iterator[int]:
    """HAProxy before the routers of a fleet; the port for clients."""
    port, routers = free_port(), iter(range(1, ROUTERS + 1))
    text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text(encoding="utf-8").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    text = re.sub(r"^( +server router\d 127\.0\.0\.1):\d+", lambda line: f"{line[1]}:{fleet.port + 10 + next(routers)}", text, flags=re.MULTILINE)
    assert next(routers, None) is None, "the shipped file has another number of routers"
    config = folder / "haproxy.cfg"
    config.write_text(text, encoding="utf-8")
    process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            assert process.poll() is None, "HAProxy has ended"
        yield port
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Whether a router answers behind it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        return answer.status == 200 and bool(json.loads(answer.read())["data"])
    except OSError:
        return False


def test_no_request_fails_while_routers_restart_behind_haproxy(start: Callable[..., Fleet], tmp_path: Path) -> None:
    fleet = start("haproxy", "--routers", str(ROUTERS), "--backends", "2")
    with haproxy(fleet, tmp_path) as port, Callers(port, 4) as callers:
        for _ in range(2):
            for n in range(1, ROUTERS + 1):
                callers.further(20)
                fleet.ok("restart", "router", str(n))
                # HAProxy asks once a second: the next one must not go before this one is taken back.
                until(f"router {n} serves again", lambda n=n: fleet.answers(n) >= 5)
        callers.further(20)
    print(f"{callers.answered} answers during four restarts behind HAProxy")
    assert callers.failures == []
    assert callers.answered >= 100
