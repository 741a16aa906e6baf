"""Prometheus scrapes a running fleet: what dashboard and rules name is there, and says what happened."""

from __future__ import annotations

import secrets

import named
import pytest
from conftest import DEMO, OPEN_METRICS, Fleet, until

# What needs trouble to have a value: it is there by name, and test_trouble.py makes the trouble.
EMPTY_IN_ORDER = {"Backends lost and errors", "Without Redis", "Put right"}


@pytest.mark.parametrize("who", ["router", "backend"])
def test_the_scraper_chooses_the_format(fleet: Fleet, who: str) -> None:
    url = getattr(fleet, who)
    plain, open_metrics = fleet.scrape(url), fleet.scrape(url, OPEN_METRICS)
    assert "# EOF" not in plain and "# TYPE tidegate:requests_total counter" in plain
    assert open_metrics.endswith("# EOF\n") and "# TYPE tidegate:requests counter" in open_metrics


def test_prometheus_scrapes_both(fleet: Fleet) -> None:
    def healthy() -> bool:
        targets = fleet.ask("targets")["activeTargets"]
        return len(targets) == 2 and all(target["health"] == "up" for target in targets)

    until("both targets are up", healthy)
    assert fleet.value(f'sum(tidegate:requests_total{{job="tidegate-backend",model_name="{DEMO}",status="200"}})')
    # In OpenMetrics, which Prometheus asks for, a counter's family has no suffix.
    assert fleet.ask("metadata", metric="tidegate:requests")["tidegate:requests"][0]["type"] == "counter"


def test_a_latency_leads_to_its_trace(fleet: Fleet) -> None:
    trace = secrets.token_hex(16)
    sampled = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    assert fleet.chat(DEMO, "What is 17 + 25?", sampled) == 200

    def found() -> bool:
        query = "{__name__=~'tidegate:e2e_request_latency_seconds_bucket|tidegate:time_to_first_token_seconds_bucket'}"
        series = fleet.ask("query_exemplars", query=query, start="0", end="99999999999")
        jobs = {
            each["seriesLabels"]["job"]
            for each in series
            for exemplar in each["exemplars"]
            if exemplar["labels"].get("trace_id") == trace
        }
        return jobs == {"tidegate-router", "tidegate-backend"}

    until("both processes' exemplars of the trace", found)


def test_every_panel_shows_something(fleet: Fleet) -> None:
    def empty() -> list[str]:
        assert fleet.chat(DEMO, "Count from 1 to 9.") == 200
        shown = [(title, fleet.ask("query", query=expression)["result"]) for title, expression in named.panel_expressions()]
        with_data = {title for title, result in shown if result}
        return sorted({title for title, _ in shown} - with_data - EMPTY_IN_ORDER)

    until("every panel has data", lambda: not empty() or None)


def test_every_alert_leads_to_its_paragraph(fleet: Fleet) -> None:
    alerts = [rule for group in fleet.ask("rules")["groups"] for rule in group["rules"] if rule["type"] == "alerting"]
    assert len(alerts) >= 15
    for alert in alerts:
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page.endswith("docs/runbook.md") and anchor in named.anchors(), alert["name"]
        assert alert["labels"]["severity"] in {"warning", "critical"}, alert["name"]
        assert "$value" in alert["annotations"]["summary"] or "== 0" in alert["query"] or "== 1" in alert["query"], alert["name"]


def test_nothing_fires_while_all_is_well(fleet: Fleet) -> None:
    assert fleet.firing() == set()
