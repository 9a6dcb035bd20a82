"""The chart as Helm renders it, in plain objects, and the cases: values that all rules must hold for."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "stepmark"
SAMPLES = sorted((ROOT / "k8s" / "profiles").glob("*.yaml"))
OLDEST, NEWEST = "1.30.0", "1.37.0"

EVERYTHING: dict[str, Any] = {
    "global": {"imageRegistry": "registry.example:5000"},
    "imagePullSecrets": ["registry"],
    "commonLabels": {"team": "speed"},
    "controller": {
        "replicas": 2,
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
    },
    "hub": {
        "replicas": 3,
        "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "certificate"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]},
        "publicUrl": "https://stepmark.example",
        "anonymousRead": True,
        "postgresql": {"urlSecret": "database"},
        "tokenReview": {"audience": "stepmark", "users": {"system:serviceaccount:ci:runner": "register"}},
        "priorityClassName": "services",
        "tolerations": [{"operator": "Exists"}],
        "extraEnv": [{"name": "A", "value": "b"}],
    },
    "networkPolicy": {"hubClients": [{"podSelector": {"matchLabels": {"app": "ingress"}}}]},
    "monitoring": {
        name: {"enabled": True, "labels": {"release": "monitoring"}, "namespace": "monitoring"}
        for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
    },
    "policy": {
        "admission": {"enabled": True},
        "resourceQuota": {"enabled": True, "hard": {"requests.cpu": "64", "pods": 100}},
        "limitRange": {"enabled": True, "limits": [{"type": "Container", "max": {"cpu": 32}}]},
    },
}
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "everything-in-two-namespaces": EVERYTHING | {"watchNamespaces": ["team-a", "team-b"]},
    "postgresql": {"hub": {"replicas": 2, "postgresql": {"urlSecret": "database"}}},
    "own-claim-and-tokens": {"hub": {"persistence": {"existingClaim": "results"}, "tokensSecret": "tokens"}},
    "little": {
        "crds": {"install": False},
        "networkPolicy": {"enabled": False},
        "policy": {"userRoles": False},
        "hub": {"resources": {}},
    },
    "brought-rights": {
        "rbac": {"create": False},
        "policy": {"userRoles": False},
        **{
            name: {"serviceAccount": {"create": False, "name": f"own-{name}"}} for name in ("controller", "hub", "test")
        },
    },
    **{f"sample-{path.stem}": yaml.safe_load(path.read_text()) for path in SAMPLES},
}

Object = dict[str, Any]


def helm() -> str:
    """Return the path of Helm: on the PATH, or where `make kind-up` puts it."""
    cache = Path(os.environ.get("STEPMARK_CLUSTERS", Path.home() / ".cache" / "stepmark-clusters"))
    found = shutil.which("helm") or shutil.which("helm", path=str(cache / "bin"))
    if found is None:
        pytest.skip("helm was not found, neither on the PATH nor where make kind-up puts it")
    return found


def run_helm(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([helm(), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def render(
    values: dict[str, Any], *arguments: object, kubernetes: str = NEWEST, chart: Path = CHART
) -> "subprocess.CompletedProcess[str]":
    command = [helm(), "template", "stepmark", chart, "--namespace", "bench", "--kube-version", kubernetes]
    return subprocess.run(
        [*map(str, command), "--values", "-", *map(str, arguments)],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@functools.cache
def _text_of(case: str) -> str:
    done = render(CASES[case])
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects_of(text: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(text) if found]


def objects(case: str = "defaults", **values: Any) -> list[Object]:
    """Return all objects of a case, or of the defaults with these values."""
    if not values:
        return objects_of(_text_of(case))
    done = render(values)
    assert done.returncode == 0, done.stderr
    return objects_of(done.stdout)


def kind(found: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of this kind by name; where several have one name, by NAMESPACE/NAME."""
    of_kind = [one for one in found if one["kind"] == kind]
    names = [one["metadata"]["name"] for one in of_kind]
    return {
        f"{one['metadata']['namespace']}/{name}" if names.count(name) > 1 else name: one
        for name, one in zip(names, of_kind, strict=True)
    }


def pod_specs(found: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield name and spec of every pod that the objects lead to."""
    for one in found:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield name, one["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield name, one["spec"]["template"]["spec"]
        elif one["kind"] == "RayJob":
            cluster = one["spec"]["rayClusterSpec"]
            yield f"{name} head", cluster["headGroupSpec"]["template"]["spec"]
            yield f"{name} submitter", one["spec"]["submitterPodTemplate"]["spec"]
            for group in cluster["workerGroupSpecs"]:
                yield f"{name} {group['groupName']}", group["template"]["spec"]
