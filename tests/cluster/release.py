"""The chart as a release in a namespace of its own, and the values that it is installed with."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conftest import ROOT

CHART = ROOT / "charts" / "stepmark"
NAMESPACE = "chart-test"
RUNS = "chart-test-runs"  # The chart makes this namespace.
DEFINITION = "crd/scenarios.stepmark.dev"


def values(service: str, runner: str) -> dict[str, Any]:
    """Return values for one node that has half a core left."""
    small = {"requests": {"cpu": "20m", "memory": "128Mi"}}
    profile: dict[str, Any] = {
        "image": runner,
        "imagePullPolicy": "Never",
        "cpuPerWorker": "40m",
        "memoryPerWorker": "1Gi",
    }
    profile |= {"head": {"cpu": "40m", "memory": "2Gi"}, "shmSizeBytes": 268435456, "objectStoreBytes": 134217728}
    repository, tag = service.split(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "profiles": {"default": profile, "sandbox": profile},
        "hub": {"resources": small, "persistence": {"size": "1Gi"}},
        "controller": {"resources": small},
    }


@dataclass(frozen=True)
class Release:
    """The release in its namespace, with the values that it was installed with."""

    cluster: Any
    values: Path

    def kubectl(self, *arguments: str, **more: Any) -> str:
        done = self.cluster.kubectl("--namespace", NAMESPACE, *arguments, **more)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def of_runs(self, *arguments: str, **more: Any) -> str:
        """Run kubectl in the namespace of the runs."""
        return self.kubectl("--namespace", RUNS, *arguments, **more)

    def helm(self, verb: str, *arguments: str, **more: Any) -> str:
        done = self.cluster.helm(verb, "stepmark", "--namespace", NAMESPACE, *arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def deploy(self, verb: str, chart: Path, *arguments: str) -> str:
        options = ("--values", str(self.values), "--take-ownership", "--wait", "--timeout", "240s")
        return self.helm(verb, str(chart), *options, *arguments)

    def tokens(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.kubectl("get", "secret", "stepmark-tokens", "-o", "json"))["data"]
        return found

    def columns(self) -> set[str]:
        found = json.loads(self.kubectl("get", DEFINITION, "-o", "json"))["spec"]["versions"][0]
        return {column["name"] for column in found["additionalPrinterColumns"]}

    def uid_of(self, kind: str, name: str, namespace: str = NAMESPACE) -> str:
        return self.kubectl("--namespace", namespace, "get", kind, name, "-o", "jsonpath={.metadata.uid}")


def older_chart(folder: Path) -> Path:
    """Copy the chart as a version before this one: its definition lacks a column."""
    older = Path(shutil.copytree(CHART, folder / "stepmark"))
    about = yaml.safe_load((older / "Chart.yaml").read_text()) | {"version": "0.0.9"}
    (older / "Chart.yaml").write_text(yaml.safe_dump(about))
    template = older / "templates" / "crd" / "scenarios.yaml"
    text = template.read_text()
    column = "    - name: Verdict\n      type: string\n      jsonPath: .status.result.verdict\n      priority: 0\n"
    assert column in text
    template.write_text(text.replace(column, ""))
    return older
