"""The Helm chart, rendered as `helm template` would, and deploy/kubernetes/tidegate.yaml, which is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/tidegate"
PLAIN = ROOT / "deploy/kubernetes/tidegate.yaml"
HEAD = """\
# Made of deploy/helm/tidegate with its defaults, for those who want no Helm; docs/deploy-kubernetes.md says how it is used. Do not edit:
#   TIDEGATE_WRITE=1 python3 -m pytest tests/deploy/test_chart.py
# It wants a Secret: kubectl create secret generic tidegate-admin --from-literal=token=$(openssl rand -hex 32)
"""
# A token that is made anew at each rendering has no place in a file.
PLAIN_VALUES = {"router": {"adminTokenSecret": "tidegate-admin"}}


def rendered(values: dict[str, Any], name: str = "tidegate") -> dict[str, str]:
    """The text of each template."""
    return Chart.load(str(CHART)).render(values=values, name=name, namespace="models")


def resources(values: dict[str, Any], name: str = "tidegate") -> list[dict[str, Any]]:
    """What a cluster would be given."""
    texts = [text for path, text in rendered(values, name).items() if path.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def find(found: list[dict[str, Any]], kind: str, part: str) -> dict[str, Any]:
    """The one resource of a kind whose name ends so."""
    [one] = [each for each in found if each["kind"] == kind and each["metadata"]["name"].endswith(part)]
    return one


def plain() -> str:
    """The text of deploy/kubernetes/tidegate.yaml."""
    texts = [text for path, text in sorted(rendered(PLAIN_VALUES).items()) if path.endswith(".yaml") and text.strip()]
    lines = "\n---\n".join(text.strip().removeprefix("---").strip() for text in texts).splitlines()
    lines = [line.replace("managed-by: Helm", "managed-by: kubectl") for line in lines if line.strip() and "helm.sh/chart" not in line]
    return HEAD + "---\n" + "\n".join(lines) + "\n"
