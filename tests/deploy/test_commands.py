"""Commands of README and docs: those that can run here run, with free ports in place of the usual ones; of the others the flags are known."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chart import ROOT
from commands import Command, commands, every

sys.path.insert(0, str(ROOT / "tests/sdk"))

from cluster import Cluster, free_ports  # noqa: E402

BIN = Path(os.environ["TIDEGATE_TEST_BIN"])
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OTEL_", "RUST_LOG"))}
# Those that start servers, build, or need what is not here: a cluster, Docker, systemd, root, the network. `deploy/fleet` has its own tests.
ELSEWHERE = {"cargo", "docker", "kubectl", "helm", "sudo", "systemctl", "pip", "redis-server", "haproxy", "export", "deploy/fleet", "deploy/release", "./tests/run", "python3", "rustup"}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An embedded router, as the first command of README starts it; which port stands for which of the usual ones."""
    cluster = Cluster(BIN, tmp_path_factory.mktemp("embedded"), CLEAN)
    free = free_ports(2)
    client, admin = next(free), next(free)
    try:
        cluster.start("router", BIN / "tidegate-router", "--port", client, "--admin-port", admin)
        cluster.wait_until_ready("router", f"http://127.0.0.1:{client}/readyz")
        yield {"8000": client, "8001": admin}
        cluster.drain()
    finally:
        cluster.kill()


def run(command: Command, ports: dict[str, str], folder: Path) -> str:
    """Runs it in `folder`, where the binaries are in the path."""
    text = re.sub(r"127\.0\.0\.1:(800[01])", lambda match: f"127.0.0.1:{ports[match[1]]}", command.text)
    path = f"{BIN}:{os.environ['PATH']}"
    environment = CLEAN | {"PATH": path}
    if "8001" in ports:
        environment["TIDEGATE_ADMIN"] = f"http://127.0.0.1:{ports['8001']}"
    text = text.replace("target/release/tidegate-", "tidegate-").replace("curl ", "curl -sS --fail-with-body ", 1)
    done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command.page}: {command.text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_first_commands_do_what_the_page_says(page: str, ports: dict[str, str], tmp_path: Path) -> None:
    asked = [each for each in commands(ROOT / page) if each.words[0] == "curl" and re.search(r"127\.0\.0\.1:800[01]", each.text)]
    answers = {each.text: run(each, ports, tmp_path) for each in asked}
    [question] = [answer for text, answer in answers.items() if "17 + 25" in text]
    assert "42" in json.loads(question)["choices"][0]["message"]["content"]


def test_keys_are_made_listed_and_revoked_as_their_page_says(ports: dict[str, str], tmp_path: Path) -> None:
    made, listed, revoked = [each for each in commands(ROOT / "docs/keys.md") if each.words[:2] == ["tidegate-router", "keys"]]
    run(made, ports, tmp_path)
    key = re.search(r"^([0-9a-f]{8})\b", run(listed, ports, tmp_path), re.MULTILINE)
    assert key, "no key is listed"
    run(Command(revoked.page, revoked.text.replace("1f0a9c3e", key[1])), ports, tmp_path)


def test_tls_can_be_tried_as_its_page_says(tmp_path: Path) -> None:
    serve, make, ask = commands(ROOT / "docs/tls.md")[:3]
    cluster, free = Cluster(BIN, tmp_path, CLEAN), free_ports(2)
    client, admin = next(free), next(free)
    run(make, {}, tmp_path)
    certificate = [word if word.startswith("--") else str(tmp_path / word) for word in serve.words[3:7]]
    assert certificate[::2] == ["--tls-cert", "--tls-key"]
    try:
        cluster.start("router", BIN / "tidegate-router", "--port", client, "--admin-port", admin, *certificate)
        cluster.wait_until_ready("router", f"http://127.0.0.1:{admin}/readyz")
        assert "tidegate-demo" in run(Command(ask.page, ask.text.replace("localhost:8000", f"localhost:{client}")), {}, tmp_path)
        cluster.drain()
    finally:
        cluster.kill()


def test_the_terminal_shows_one_snapshot(ports: dict[str, str], tmp_path: Path) -> None:
    once = [each for each in every() if each.words[:2] == ["tidegate-router", "top"] and "--once" in each.words]
    assert once
    for each in once:
        assert "tidegate-demo" in run(each, ports, tmp_path)


@pytest.mark.parametrize("command", [each for each in every() if each.program], ids=lambda each: f"{each.page}: {each.text[:60]}")
def test_flags_on_pages_exist(command: Command) -> None:
    assert command.program
    inner = [word for word in command.words if word in {"top", "keys", "make", "list", "revoke"}]
    said = ""
    for depth in range(len(inner) + 1):
        asked = [BIN / command.program, *inner[:depth], "--help"]
        said += subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    known = {flag.replace("_", "-") for flag in re.findall(r"--[a-z][a-z_-]+", said)}
    assert set(command.flags) <= known, set(command.flags) - known


def test_what_does_not_run_here_is_known() -> None:
    """A program that is new on a page is run by a test here, or named above as one that cannot be."""
    here = {"curl", "openssl", "tidegate-router", "target/release/tidegate-router", "target/release/tidegate-backend"}
    assert {each.words[0] for each in every()} <= here | ELSEWHERE
    assert (ROOT / "deploy/release").stat().st_mode & 0o111
