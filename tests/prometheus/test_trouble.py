"""Scripted trouble, and the alerts that it fires: an overload, a dead backend, a Redis that is gone. In this order; the fleet is not
made well in between."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import named
import pytest
from conftest import DEMO, FAKE, Fleet, until

CLIENTS = 24


@pytest.fixture
def overload(fleet: Fleet) -> Iterator[Counter[int]]:
    """Many clients who ask the fake node again and again, whatever they are told; counts the statuses that they get."""
    statuses: Counter[int] = Counter()
    ended = threading.Event()

    def insist() -> None:
        while not ended.is_set():
            statuses[fleet.chat(FAKE, "again", {"x-tidegate-priority": "high"})] += 1
            # A client that gets a refusal at once would do nothing but ask.
            ended.wait(0.1)

    clients = [threading.Thread(target=insist) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    yield statuses
    ended.set()
    for client in clients:
        client.join()


def test_an_answer_that_comes_too_late_is_an_error_of_its_backend(fleet: Fleet) -> None:
    assert fleet.chat(FAKE, "too late", {"x-request-timeout-ms": "50"}) == 504
    until("the error is counted", lambda: fleet.value('sum(tidegate:backend_errors_total{kind="timeout"})'))


def test_an_overload_fires_the_alerts_of_its_pool_alone(fleet: Fleet, overload: Counter[int]) -> None:
    expected = {(alert, FAKE) for alert in ("TidegateRejecting", "TidegateRejectingMost")}
    until("the alerts of an overload", lambda: expected <= fleet.firing())
    until("a long wait", lambda: ("TidegateOldestWait", FAKE) in fleet.firing() or ("TidegateQueueFull", FAKE) in fleet.firing())
    assert {pool for _, pool in fleet.firing()} == {FAKE}, fleet.firing()
    assert fleet.chat(DEMO, "What is 2 + 2?") == 200, "the other pool serves as ever"
    assert overload[429] > overload[200] > 0, overload
    refused = fleet.value(f'sum(tidegate:admission_rejections_total{{pool="{FAKE}"}})')
    assert refused and refused <= overload[429] + CLIENTS, (refused, overload)


def test_a_dead_backend_is_lost_and_leaves_its_pool_without(fleet: Fleet) -> None:
    fleet.cluster.processes["fake"].kill()
    fleet.cluster.processes["fake"].wait()
    until("the alerts of a dead backend", lambda: {("TidegateBackendLost", FAKE), ("TidegateNoBackend", FAKE)} <= fleet.firing())
    assert ("TidegateNoBackend", DEMO) not in fleet.firing()


def test_a_lost_redis_degrades_and_comes_back(fleet: Fleet) -> None:
    fleet.cluster.processes["redis"].send_signal(19)
    until("the alert of a lost ledger", lambda: ("TidegateDegraded", "") in fleet.firing())
    assert fleet.chat(DEMO, "What is 2 + 2?") == 200, "the router goes on alone"
    fleet.cluster.processes["redis"].send_signal(18)
    until("the ledger is back", lambda: ("TidegateDegraded", "") not in fleet.firing())
    assert fleet.value("sum(tidegate:ledger_losses_total)")
    assert fleet.value('sum(tidegate:ledger_errors_total{kind="unavailable"})')


def families(text: str) -> set[str]:
    """The names of all samples of a scrape, histograms by the name of their family too."""
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
    return names | {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_every_metric_that_is_named_is_exported(fleet: Fleet) -> None:
    """Last of all: what counts errors has no line before the first of them."""
    exported = families(fleet.scrape(fleet.router)) | families(fleet.scrape(fleet.backend))
    rules = named.expressions_of_rules(fleet.ask("rules"))
    assert len(named.metrics_of(rules)) >= 15, "the rules were not read"
    for text in (rules, "\n".join(expression for _, expression in named.panel_expressions())):
        missing = {name for name in named.metrics_of(text) if name.removesuffix("_bucket") not in exported}
        assert not missing, f"named and not exported: {sorted(missing)}"
