"""Rolling restarts under load, through nginx: whoever goes says so, and nobody outside notices."""

from __future__ import annotations

from collections.abc import Callable

from conftest import Fleet
from load import Callers

# Of twelve slots nine are left while a backend restarts, so that nothing is refused by right.
CALLERS = 8


def test_no_request_fails_while_all_processes_restart_one_by_one(start: Callable[..., Fleet]) -> None:
    fleet = start("rolling")
    everyone = [("router", n) for n in (1, 2, 3)] + [("backend", n) for n in (1, 2, 3, 4)]
    before = [fleet.pid(f"{role}-{n}") for role, n in everyone]
    with Callers(fleet.port, CALLERS) as callers:
        for role, n in everyone:
            callers.further(20)
            fleet.ok("restart", role, str(n))
        callers.further(20)
    after = [fleet.pid(f"{role}-{n}") for role, n in everyone]
    assert not set(before) & set(after)
    print(f"{callers.answered} answers during seven restarts")
    assert callers.failures == []
    assert callers.answered >= 160


def test_the_account_is_whole_afterwards(start: Callable[..., Fleet]) -> None:
    fleet = start("whole", "--routers", "2", "--backends", "2")
    with Callers(fleet.port, 4) as callers:
        callers.further(10)
        fleet.ok("restart", "router", "2")
        fleet.ok("restart", "backend", "1")
        callers.further(10)
    assert callers.failures == []
    pool = fleet.account()
    assert (pool["slots"], pool["running"], pool["queued"]) == (6, 0, 0)
    assert len(pool["backends"]) == 2
