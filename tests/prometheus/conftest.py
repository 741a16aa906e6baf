"""A fleet under a real Prometheus: Redis, a router, a backend with the demo model, and a fake node that can be overloaded and killed.

Started once for all tests of this folder; every process is a child of this one and is stopped by its id.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))

from cluster import Cluster, free_ports  # noqa: E402

import named  # noqa: E402

DEMO, FAKE = "tidegate-demo", "fake"
FAKE_SLOTS = 2
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
# Alerts wait for minutes so that nobody is woken for nothing; a test has none. Expressions stay as they are but for their windows.
FASTER = [(r"for: \d+[ms]", "for: 2s"), (r"\[(5m|10m)\]", "[10s]"), (r"\[15m\]", "[30s]"), (r"oldest_wait_seconds\) > 15", "oldest_wait_seconds) > 2")]
PATIENCE = 45.0


@dataclass
class Fleet:
    """The running processes, and where they are."""

    cluster: Cluster
    clients: str
    router: str
    backend: str
    prometheus: str

    def scrape(self, url: str, accept: str = "") -> str:
        """The metrics of a process."""
        request = urllib.request.Request(f"{url}/metrics", headers={"accept": accept})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode()

    def ask(self, path: str, **parameters: str) -> Any:
        """What Prometheus's API answers."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/{path}?{query}", timeout=5) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """The first value of an expression."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> set[tuple[str, str]]:
        """Name and pool of each alert that fires, but for that of a slow Redis: on a busy machine it fires by right."""
        alerts = [alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]
        alerts = [alert for alert in alerts if alert["labels"]["alertname"] != "TidegateLedgerSlow"]
        return {(alert["labels"]["alertname"], alert["labels"].get("pool", "")) for alert in alerts}

    def chat(self, model: str, text: str, headers: dict[str, str] | None = None) -> int:
        """One chat; its status."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return self.post(body, headers or {})

    def post(self, body: dict[str, Any], headers: dict[str, str]) -> int:
        """One request; its status, 0 where the connection broke."""
        url = f"{self.clients}/v1/chat/completions"
        headers = {"content-type": "application/json"} | headers
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code
        except OSError:
            return 0


def until(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Waits for a condition that comes true by itself."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience:.0f} s")
        time.sleep(0.1)
    return found


def configuration(folder: Path, router: str, backend: str) -> Path:
    """The shipped configuration and rules, at the test's addresses and at its pace."""
    rules = named.RULES.read_text(encoding="utf-8")
    for slow, fast in FASTER:
        rules, found = re.subn(slow, fast, rules)
        assert found, f"the rules no longer hold {slow}"
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    text = named.CONFIG.read_text(encoding="utf-8")
    for shipped, here in [("127.0.0.1:8001", router), ("127.0.0.1:8100", backend), ("15s", "1s")]:
        assert shipped in text, f"the configuration no longer holds {shipped}"
        text = text.replace(shipped, here)
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    return folder / "prometheus.yml"


def start(cluster: Cluster, folder: Path) -> Fleet:
    """Starts everything, and waits until it serves."""
    client, admin, backend, fake, redis, prometheus = free_ports(6)
    cluster.start("redis", "redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    url = f"redis://127.0.0.1:{redis}"
    cluster.start("backend", cluster.binaries / "tidegate-backend", "--port", backend, "--redis-url", url)
    node = ["--port", fake, "--slots", str(FAKE_SLOTS), "--service", "constant:1", "--redis-url", url]
    cluster.start("fake", cluster.binaries / "tidegate-fake-node", *node)
    router = ["--port", client, "--admin-port", admin, "--redis-url", url, "--max-queue-size", "4", "--wait-share", "1"]
    cluster.start("router", cluster.binaries / "tidegate-router", *router)
    config = configuration(folder, f"127.0.0.1:{admin}", f"127.0.0.1:{backend}")
    options = ["--enable-feature=exemplar-storage", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    listen = f"--web.listen-address=127.0.0.1:{prometheus}"
    cluster.start("prometheus", "prometheus", f"--config.file={config}", listen, *options)
    cluster.wait_until_ready("backend", f"http://127.0.0.1:{backend}/readyz")
    cluster.wait_until_ready("router", f"http://127.0.0.1:{client}/readyz")
    cluster.wait_until_ready("prometheus", f"http://127.0.0.1:{prometheus}/-/ready")
    addresses = [f"http://127.0.0.1:{port}" for port in (client, admin, backend, prometheus)]
    return Fleet(cluster, *addresses)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet, with both pools known and some requests behind it."""
    logs = Path(os.environ["TIDEGATE_TEST_LOGS"])
    logs.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_", "RUST_LOG"))}
    cluster = Cluster(Path(os.environ["TIDEGATE_TEST_BIN"]), logs, kept)
    try:
        fleet = start(cluster, tmp_path_factory.mktemp("prometheus"))
        until("both pools are known", lambda: all(fleet.chat(pool, "What is 2 + 2?") == 200 for pool in (DEMO, FAKE)))
        yield fleet
        for name in ("router", "backend"):
            cluster.check(name)
    finally:
        cluster.kill()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs promtool."""
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
