"""Configurations against the programs that read them, Dockerfiles against hadolint, pages against their links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chart import ROOT
from compose_spec import models as compose

DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent


def passes(*command: str | Path) -> None:
    """Runs a checker that must be content."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_haproxy_takes_its_configuration() -> None:
    passes("haproxy", "-c", "-f", DEPLOY / "haproxy/haproxy.cfg")


def test_nginx_in_a_container_does_what_the_shipped_one_does() -> None:
    def directives(path: str) -> set[str]:
        inside = (DEPLOY / path).read_text(encoding="utf-8").split("location / {")[1].split("}")[0]
        return {line.strip() for line in inside.splitlines() if line.strip() and not line.strip().startswith("#")}

    assert directives("docker/nginx.conf") == directives("nginx/tidegate.conf")


@pytest.mark.parametrize("name", ["router", "backend", "backend-cuda"])
def test_dockerfiles_pass_hadolint(name: str) -> None:
    path = DEPLOY / f"docker/Dockerfile.{name}"
    passes(TOOLS / "hadolint", path)
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["65532:65532"]
    assert "HEALTHCHECK" in text


def test_compose_keeps_its_specification() -> None:
    path = DEPLOY / "docker/compose.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    compose.ComposeSpecification.model_validate(content)
    for name, service in content["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (path.parent / source).exists(), source
        assert (ROOT / service["build"]["dockerfile"]).exists() if "build" in service else True


def test_no_link_of_any_page_is_broken() -> None:
    passes(TOOLS / "lychee", "--offline", "--include-fragments", "--no-progress", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def test_the_book_can_be_made(tmp_path: Path) -> None:
    passes(TOOLS / "mdbook", "build", ROOT / "docs", "--dest-dir", tmp_path)
    assert (tmp_path / "runbook.html").stat().st_size > 10_000


def test_the_book_has_all_pages() -> None:
    listed = set(re.findall(r"\((\S+\.md)\)", (ROOT / "docs/SUMMARY.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"SUMMARY.md"}


def test_the_rejection_curve_is_the_one_of_the_rules() -> None:
    passes(sys.executable, ROOT / "docs/rejection-curve.py", "--check")
