"""The shipped rules, their unit tests and the dashboard, without any process."""

from __future__ import annotations

from pathlib import Path

import named
from conftest import promtool

HERE = Path(__file__).parent


def test_promtool_takes_rules_and_configuration() -> None:
    for check in (["check", "rules", named.RULES], ["check", "config", named.CONFIG]):
        checked = promtool(*check)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    tested = promtool("test", "rules", HERE / "rules.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_panel_can_be_read_without_asking_anybody() -> None:
    seen: set[int] = set()
    for panel in named.dashboard()["panels"]:
        assert panel["id"] not in seen, f"two panels have the id {panel['id']}"
        seen.add(panel["id"])
    for panel in named.panels():
        assert panel["description"].endswith("."), f"{panel['title']} does not say what it shows"
        assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get("yAxis", {}).get("unit")
        assert unit or panel["type"] == "table", f"{panel['title']} has no unit"


def test_panels_do_not_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in named.dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
