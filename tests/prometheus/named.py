"""What dashboard and rules name: expressions, metrics, runbook paragraphs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/tidegate.json"
RULES = ROOT / "deploy/prometheus/alerts.yml"
CONFIG = ROOT / "deploy/prometheus/prometheus.yml"
RUNBOOK = ROOT / "docs/runbook.md"

# A name of a metric of ours, or of what every process shows. Rules that are recorded have two colons.
METRIC = re.compile(r"\b(?:tidegate:\w+|gen_ai_\w+|process_\w+)(?!\w|:)")


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    """All panels but the rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_expressions() -> Iterator[tuple[str, str]]:
    """Title and expression of every query of every panel, with Grafana's variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "10s").replace("$pool", ".*")
            yield panel["title"], expression


def metrics_of(text: str) -> set[str]:
    """The metrics that an expression or a whole file names. The gen_ai labels look like metrics, and are none."""
    labels = {"gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name"}
    return {name for name in METRIC.findall(text) if name not in labels}


def expressions_of_rules(rules: dict[str, Any]) -> str:
    """All expressions of the rules, as Prometheus's API gives them."""
    return "\n".join(rule["query"] for group in rules["groups"] for rule in group["rules"])


def anchors() -> set[str]:
    """The anchors of the runbook's paragraphs."""
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    return {heading.lower().replace(" ", "-") for heading in headings}
