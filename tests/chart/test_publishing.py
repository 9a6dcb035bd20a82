"""The chart as it is published: what Artifact Hub reads of it, and the way through an OCI registry."""

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from oci_registry import Registry, registry
from rendering import CHART, NEWEST, ROOT, helm, objects_of, pod_specs, run_helm

from stepmark.scenario.load import scenario_from_object

META = yaml.safe_load((CHART / "Chart.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def annotation(name: str) -> Any:
    return yaml.safe_load(META["annotations"][f"artifacthub.io/{name}"])


def test_artifact_hub_is_told_the_images_of_this_version_and_the_license() -> None:
    assert annotation("images") == [
        {"name": name, "image": f"stepmark/{name}:{META['appVersion']}"} for name in ("service", "runner")
    ]
    assert annotation("license") == "Apache-2.0"
    assert (CHART / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_example_of_a_scenario_is_one() -> None:
    [example] = annotation("crdsExamples")
    assert scenario_from_object(example).metadata.name == "quickstart"
    [described] = annotation("crds")
    assert described["kind"] == example["kind"]
    assert example["apiVersion"] == f"stepmark.dev/{described['version']}"


@pytest.mark.parametrize(
    "label", ["title", "description", "licenses", "version", "revision", "source", "created", "base.name"]
)
def test_both_images_have_this_label_of_the_oci_specification(label: str) -> None:
    assert DOCKERFILE.count(f"org.opencontainers.image.{label}=") == 2


def publish(*arguments: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(helm()).parent}:{os.environ['PATH']}"
    command = [str(ROOT / "scripts" / "publish"), *arguments]
    return subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=120)


def pushed(held: Registry) -> dict[str, Any]:
    kind, manifest = held.manifests["charts/stepmark", META["version"]]
    assert kind == "application/vnd.oci.image.manifest.v1+json"
    document: dict[str, Any] = json.loads(manifest)
    return document


def test_a_chart_from_a_registry_is_whole_and_takes_its_images_from_there(tmp_path: Path) -> None:
    with registry() as held:
        done = publish("--chart-only", "--plain-http", held.address)
        assert done.returncode == 0, done.stderr
        manifest = pushed(held)
        source = [f"oci://{held.address}/charts/stepmark", "--version", META["version"], "--plain-http"]
        pulled = run_helm("pull", *source, "--destination", tmp_path)
        assert pulled.returncode == 0, pulled.stderr
        rendered = run_helm("template", "stepmark", *source, "--kube-version", NEWEST)
        assert rendered.returncode == 0, rendered.stderr
    assert manifest["annotations"]["org.opencontainers.image.title"] == "stepmark"
    assert manifest["annotations"]["org.opencontainers.image.version"] == META["version"]
    [package] = tmp_path.glob("*.tgz")
    assert f"sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}" == manifest["layers"][0]["digest"]
    with tarfile.open(package) as files:
        assert {"stepmark/LICENSE", "stepmark/README.md", "stepmark/values.schema.json"} <= set(files.getnames())
    images = {
        container["image"] for _, pod in pod_specs(objects_of(rendered.stdout)) for container in pod["containers"]
    }
    assert images == {f"{held.address}/stepmark/service:{META['appVersion']}"}


@pytest.mark.parametrize("given", ["", "https://registry.example", "a b", "$(reboot)"])
def test_what_is_no_registry_is_refused(given: str) -> None:
    done = publish("--chart-only", given)
    assert done.returncode == 2
    assert "expected a registry such as" in done.stderr
