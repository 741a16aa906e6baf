"""Starts Tidegate as a user would, runs a command against it, and stops it again.

    cluster.py TOPOLOGY --bin DIR --logs DIR -- COMMAND...

The command finds the addresses in TIDEGATE_TEST_* variables. The exit status is the command's, or 70 where a process did
not start, died, panicked or did not drain on SIGTERM. Every process is this script's own child and is stopped by its id.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from collector import Collector

FAILED = 70
START_LIMIT = 60.0
DRAIN_LIMIT = 15.0
EMBEDDING_MODEL = Path(__file__).parents[2] / "backend/tests/fixtures/embeddings/bert_mean"


class ClusterError(Exception):
    """What went wrong with a process."""


@dataclass
class Cluster:
    """The running processes, in the order in which they were started."""

    binaries: Path
    logs: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, program: str | Path, *arguments: str) -> None:
        """Starts a process whose output goes to the log folder."""
        with (self.logs / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(program), *arguments], stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )

    def wait_until_ready(self, name: str, url: str) -> None:
        """Waits for a 200 from `url`, as long as the process lives."""
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            self.check(name)
            with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise ClusterError(f"{name} is not ready after {START_LIMIT:.0f} s: {url}\n{self.tail(name)}")

    def check(self, name: str) -> None:
        """Fails if the process has ended or has panicked."""
        if (code := self.processes[name].poll()) is not None:
            raise ClusterError(f"{name} ended with status {code}\n{self.tail(name)}")
        if "panicked at" in self.log(name):
            raise ClusterError(f"{name} panicked\n{self.tail(name)}")

    def drain(self) -> None:
        """SIGTERM, youngest first; every process must end by itself with status 0."""
        for name, process in reversed(self.processes.items()):
            self.check(name)
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(DRAIN_LIMIT)
            except subprocess.TimeoutExpired as late:
                raise ClusterError(f"{name} still runs {DRAIN_LIMIT:.0f} s after SIGTERM\n{self.tail(name)}") from late
            if code != 0:
                raise ClusterError(f"{name} ended with status {code} after SIGTERM\n{self.tail(name)}")

    def kill(self) -> None:
        """Leaves nothing behind."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """What the process has said so far."""
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def tail(self, name: str) -> str:
        """The end of it."""
        return "".join(f"  {name}: {line}\n" for line in self.log(name).splitlines()[-15:])


def free_ports(count: int) -> Iterator[str]:
    """Ports that nobody listens on; taken all at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in sockets]
    return iter(ports)


def start(cluster: Cluster, topology: str) -> dict[str, str]:
    """Starts what the topology consists of; returns the addresses for the tests."""
    client, admin, backend, redis = free_ports(4)
    router = ["--port", client, "--admin-port", admin]
    if topology == "static":
        start_backend(cluster, backend)
        router += ["--backend", f"http://127.0.0.1:{backend}", "--max-queue-size", "4"]
    elif topology == "fleet":
        cluster.start("redis", "redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        url = f"redis://127.0.0.1:{redis}"
        start_backend(cluster, backend, "--redis-url", url)
        router += ["--redis_url", url, "--max_queue_size", "8"]
    elif topology == "embeddings":
        start_backend(cluster, backend, "--model", str(EMBEDDING_MODEL))
        router += ["--backend", f"http://127.0.0.1:{backend}"]
    cluster.start("router", cluster.binaries / "tidegate-router", *router)
    cluster.wait_until_ready("router", f"http://127.0.0.1:{client}/readyz")
    return {
        "TIDEGATE_TEST_TOPOLOGY": topology,
        "TIDEGATE_TEST_BASE_URL": f"http://127.0.0.1:{client}/v1",
        "TIDEGATE_TEST_ADMIN_URL": f"http://127.0.0.1:{admin}",
    }


def start_backend(cluster: Cluster, port: str, *flags: str) -> None:
    """A backend, with the demo model unless the flags name another, ready to answer."""
    cluster.start("backend", cluster.binaries / "tidegate-backend", "--port", port, *flags)
    cluster.wait_until_ready("backend", f"http://127.0.0.1:{port}/readyz")


def wait_for_model(cluster: Cluster, base_url: str) -> None:
    """A router is ready without backends; the tests are not."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        cluster.check("router")
        with urllib.request.urlopen(f"{base_url}/models", timeout=5) as answer:
            if b'"id"' in answer.read():
                return
        time.sleep(0.05)
    raise ClusterError(f"no model after {START_LIMIT:.0f} s\n{cluster.tail('router')}")


def clean_environment(collector: Collector) -> dict[str, str]:
    """This process's environment without anything that would configure Tidegate, but with a collector."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_", "RUST_LOG"))}
    return kept | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topology", choices=["embedded", "static", "fleet", "embeddings"])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    with Collector(options.logs / "spans.jsonl") as collector:
        cluster = Cluster(options.bin, options.logs, clean_environment(collector))
        try:
            addresses = start(cluster, options.topology)
            wait_for_model(cluster, addresses["TIDEGATE_TEST_BASE_URL"])
            addresses["TIDEGATE_TEST_SPANS"] = str(collector.file)
            code = subprocess.run(options.command, env=os.environ | addresses, check=False).returncode
            cluster.drain()
        except ClusterError as error:
            print(f"{options.topology}: {error}", file=sys.stderr)
            return FAILED
        finally:
            cluster.kill()
    return code


if __name__ == "__main__":
    sys.exit(main())
