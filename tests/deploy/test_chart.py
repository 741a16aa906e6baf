"""The Helm chart: its manifests keep Kubernetes' schemas and the promises of docs/deploy-kubernetes.md; wrong values are refused."""

from __future__ import annotations

import os
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from chart import CHART, PLAIN, ROOT, find, plain, rendered, resources
from helm_python.chart import lint
from helm_python.errors import HelmError

OLDEST, NEWEST = "1.30", "1.37"
# Not Kubernetes' own: their controllers bring their schemas.
FOREIGN = {"ScaledObject", "ServiceMonitor"}
GPU = {"name": "Qwen/Qwen3-0.6B", "model": "Qwen/Qwen3-0.6B", "gpus": 1, "hubTokenSecret": "hub", "autoscaling": {"enabled": True}}
SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "backends": [GPU, {"name": "plain", "modelClaim": "models", "model": "/models/plain", "hubCacheClaim": "cache"}],
        "redis": {"existingSecret": "tidegate-redis", "prefix": "blue"},
        "router": {
            "autoscaling": {"enabled": True},
            "adminTokenSecret": "operators",
            "flags": {"request-timeout": 120, "backend": ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
        "otlpEndpoint": "http://collector:4317",
    },
    "no policies": {"networkPolicy": {"enabled": False}, "redis": {"url": "rediss://redis.example.com:6379"}, "backends": []},
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_keep_the_schemas(name: str, version: str) -> None:
    found = resources(SETS[name])
    own = [each for each in found if each["kind"] not in FOREIGN]
    for each in own:
        kubernetes_validate.validate(each, version, strict=True)
    assert len(own) >= 5


@pytest.mark.parametrize("name", SETS)
def test_names_are_labels_and_differ(name: str) -> None:
    found = resources(SETS[name], "a-release-with-quite-a-long-name-of-its-own")
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names)
    for _, each in names:
        assert len(each) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", each), each
    for each in found:
        labels = each["metadata"]["labels"]
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"} <= set(labels), each["metadata"]["name"]
        assert all(len(value) <= 63 for value in labels.values())


@pytest.mark.parametrize("name", SETS)
def test_pods_are_hardened_and_have_time_to_drain(name: str) -> None:
    for each in resources(SETS[name]):
        if each["kind"] != "Deployment":
            continue
        pod = each["spec"]["template"]["spec"]
        assert pod["enableServiceLinks"] is False and pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
        assert each["spec"]["selector"]["matchLabels"].items() <= each["spec"]["template"]["metadata"]["labels"].items()


def environment(deployment: dict[str, Any]) -> dict[str, Any]:
    """The variables of a Deployment's only container."""
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(set(names)) == len(names), "a variable is set twice"
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_grace_periods_are_longer_than_the_longest_stream() -> None:
    values = {"router": {"flags": {"request-timeout": 300}, "drainTimeoutSeconds": 310, "preStopSeconds": 7}}
    found = resources(values)
    router, backend = find(found, "Deployment", "-router"), next(each for each in found if "tidegate-demo" in each["metadata"]["name"])
    assert router["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 7 + 310
    assert backend["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 300 + 5
    assert environment(router)["TIDEGATE_DRAIN_TIMEOUT"] == "310"
    assert environment(backend)["TIDEGATE_REQUEST_TIMEOUT"] == "300"


def test_flags_become_variables_that_the_binaries_know() -> None:
    known = set(re.findall(r"`(TIDEGATE_[A-Z_]+)`", (ROOT / "docs/flags.md").read_text(encoding="utf-8")))
    # Flags of routers that listen to operators on more than loopback; older binaries do not look at it.
    known |= {"TIDEGATE_ADMIN_TOKEN_FILE"}
    for values in SETS.values():
        for each in resources(values):
            if each["kind"] == "Deployment" and not each["metadata"]["name"].endswith("-redis"):
                used = {name for name in environment(each) if name.startswith("TIDEGATE_")}
                assert used <= known, used - known
    router = environment(find(resources(SETS["everything"]), "Deployment", "-router"))
    assert router["TIDEGATE_BACKEND"] == "http://10.0.0.1:8000,http://10.0.0.2:8000"
    assert router["TIDEGATE_REDIS_URL"] == {"secretKeyRef": {"name": "tidegate-redis", "key": "url"}}


def test_a_model_on_gpus_scales_to_none_by_what_is_wanted() -> None:
    found = resources(SETS["everything"])
    [scaled] = [each for each in found if each["kind"] == "ScaledObject"]
    assert scaled["spec"]["minReplicaCount"] == 0
    deployment = find(found, "Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in deployment["spec"], "the chart and KEDA would take turns"
    [trigger] = scaled["spec"]["triggers"]
    metric = re.search(r"tidegate:\w+", trigger["metadata"]["query"])
    assert metric and f"`{metric[0]}`" in (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1 and container["image"].endswith("-cuda")
    # Routers hold requests for it while it has no backend.
    assert environment(find(found, "Deployment", "-router"))["TIDEGATE_POOL"] == GPU["name"]


def test_services_and_policies_lead_to_the_pods() -> None:
    found = resources(SETS["everything"])
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in found if each["kind"] == "Deployment"]
    selectors = [each["spec"]["selector"] for each in found if each["kind"] == "Service"]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in found if each["kind"] == "NetworkPolicy"]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in found if each["kind"] == "PodDisruptionBudget"]
    assert len(selectors) >= 8
    for selector in selectors:
        assert any(selector.items() <= labels.items() for labels in pods), selector
    services = [each["metadata"]["labels"] for each in found if each["kind"] == "Service"]
    for monitor in (each for each in found if each["kind"] == "ServiceMonitor"):
        assert any(monitor["spec"]["selector"]["matchLabels"].items() <= labels.items() for labels in services)


@pytest.mark.parametrize(
    "wrong",
    [
        {"router": {"replicas": 0}},
        {"router": {"replica": 2}},
        {"redis": {"url": "redis://:secret@host:6379"}},
        {"backends": [{"model": "no-name"}]},
        {"backends": [{"name": "a", "gpu": 1}]},
        {"router": {"flags": {"--max-queue-size": 5}}},
        {"image": {"pullPolicy": "Sometimes"}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HelmError):
        rendered(wrong)


def test_the_chart_passes_helms_lint() -> None:
    assert lint(str(CHART))["errors"] == []


def test_the_documented_values_render() -> None:
    page = (ROOT / "docs/deploy-kubernetes.md").read_text(encoding="utf-8")
    [values] = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "backends:" in block]
    found = resources(yaml.safe_load(values))
    assert find(found, "Deployment", "-router")["spec"]["replicas"] == 3


def test_the_plain_manifests_are_those_of_the_chart() -> None:
    if "TIDEGATE_WRITE" in os.environ:
        PLAIN.parent.mkdir(exist_ok=True)
        PLAIN.write_text(plain(), encoding="utf-8")
    assert PLAIN.read_text(encoding="utf-8") == plain(), "run: TIDEGATE_WRITE=1 python3 -m pytest tests/deploy/test_chart.py"
    for each in yaml.safe_load_all(plain()):
        kubernetes_validate.validate(each, NEWEST, strict=True)
