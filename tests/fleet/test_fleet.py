"""What `deploy/fleet` promises: one account over all routers, processes that can be killed and brought back, errors that help."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Fleet, script
from load import ask

QUEUE = 4
SLOTS = 6
CROWD = 40


@pytest.fixture(scope="module")
def fleet(start: Callable[..., Fleet]) -> Fleet:
    """Three routers with a short queue, and six slots."""
    return start("fleet", "--backends", "2", "--", "--max-queue-size", str(QUEUE), "--queue-rejection-threshold", "1", "--wait-share", "1")


def test_limits_hold_over_all_routers(fleet: Fleet) -> None:
    statuses: list[int] = []

    def caller() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=60)
        statuses.append(ask(connection, "Count from 1 to 30.", stream=True)[0])

    crowd = [threading.Thread(target=caller) for _ in range(CROWD)]
    for each in crowd:
        each.start()
    most_running = most_queued = 0
    while any(each.is_alive() for each in crowd):
        pool = fleet.account()
        most_running, most_queued = max(most_running, pool["running"]), max(most_queued, pool["queued"])
    assert set(statuses) == {200, 429}
    # Three routers with limits of their own would hold three times as many.
    assert most_running <= SLOTS and most_queued <= QUEUE
    assert statuses.count(200) >= SLOTS


def test_all_routers_tell_the_same(fleet: Fleet) -> None:
    told = [fleet.account(router) for router in (1, 2, 3)]
    assert [(pool["slots"], pool["running"], pool["queued"], pool["max_queue_size"]) for pool in told] == [(SLOTS, 0, 0, QUEUE)] * 3


def test_a_killed_router_is_not_missed_and_comes_back(fleet: Fleet) -> None:
    fleet.ok("kill", "router", "2")
    assert "router-2" in next(line for line in fleet.ok("status").splitlines() if line.endswith("down"))
    for _ in range(6):
        connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=60)
        assert ask(connection, "What is 8 + 9?", stream=False)[0] == 200
    fleet.ok("restart", "router", "2")
    status = fleet.ok("status")
    # Redis, three routers, two backends and nginx; and the account, as `tidegate-router top` tells it.
    assert sum(line.endswith(" ready") for line in status.splitlines()) == 7
    assert "tidegate-demo" in status


def test_routers_go_on_without_redis_and_find_together_again(fleet: Fleet) -> None:
    fleet.ok("kill", "redis")
    until("each router goes on alone", lambda: {fleet.view(n)["ledger"] for n in (1, 2, 3)} == {"degraded"})
    for _ in range(6):
        connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=60)
        assert ask(connection, "What is 8 + 9?", stream=False)[0] == 200
    fleet.ok("restart", "redis")
    until("one account again", lambda: {fleet.view(n)["ledger"] for n in (1, 2, 3)} == {"redis"})
    until("all slots are back", lambda: [fleet.account(n)["slots"] for n in (1, 2, 3)] == [SLOTS] * 3)


def test_a_second_fleet_in_the_same_place_is_refused(fleet: Fleet) -> None:
    again = fleet.run("up", "--port", str(fleet.port), "--bin", os.environ["TIDEGATE_TEST_BIN"])
    assert again.returncode == 1 and "runs in" in again.stderr
    assert "ready" in fleet.ok("status")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kill", "router", "9"], "there is no 'router 9'"),
        (["restart", "printer"], "there is no 'printer '"),
        (["status", "--colour"], "unknown flag --colour"),
        (["up", "--port"], "--port needs a value"),
    ],
)
def test_mistakes_are_named(fleet: Fleet, arguments: list[str], said: str) -> None:
    done = fleet.run(*arguments)
    assert done.returncode == 1 and said in done.stderr


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    no_fleet = script("status", "--dir", str(tmp_path))
    assert no_fleet.returncode == 1 and "no fleet in" in no_fleet.stderr
    no_binaries = script("up", "--dir", str(tmp_path), "--bin", str(tmp_path))
    assert no_binaries.returncode == 1 and "cargo build --release --workspace --bins" in no_binaries.stderr


def test_down_leaves_nothing_running(start: Callable[..., Fleet]) -> None:
    fleet = start("ended", "--routers", "1", "--backends", "1")
    pids = [fleet.pid(name) for name in ("redis", "backend-1", "router-1", "nginx")]
    fleet.ok("down")
    assert not [pid for pid in pids if runs(pid)]


def until(what: str, holds: Callable[[], bool]) -> None:
    """Waits for something to hold."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether a process runs. One that has ended and that nobody has asked about yet has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False
