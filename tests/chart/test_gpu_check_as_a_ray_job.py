"""The RayJob that runs scripts/gpu_check on a cluster of somebody else's."""

import re
from typing import Any

import yaml

from chart.pod_security import violations
from conftest import ROOT
from stepmark.controller.actions.manifests import RAY_VERSION

TEXT = (ROOT / "k8s" / "gpu-check.yaml").read_text()
JOB: dict[str, Any] = yaml.safe_load(TEXT)["spec"]
HEAD: dict[str, Any] = JOB["rayClusterSpec"]["headGroupSpec"]


def test_its_pods_pass_pod_security_restricted() -> None:
    pods = [JOB["submitterPodTemplate"]["spec"], HEAD["template"]["spec"]]
    assert [violations(pod) for pod in pods] == [[], []]


def test_all_gpus_of_its_pod_are_checked_together() -> None:
    (container,) = HEAD["template"]["spec"]["containers"]
    (ranks,) = re.findall(r"--ranks (\d+)", JOB["entrypoint"])
    assert {ranks, HEAD["rayStartParams"]["num-gpus"]} == {str(container["resources"]["limits"]["nvidia.com/gpu"])}


def test_its_version_of_ray_is_that_of_the_image() -> None:
    assert JOB["rayClusterSpec"]["rayVersion"] == RAY_VERSION


def test_its_log_has_the_findings_in_a_line_that_the_instructions_cut_out() -> None:
    assert "sed -n 's/^gpu.json: //p'" in TEXT
    assert "--print" in JOB["entrypoint"]
    (mount,) = (one for one in HEAD["template"]["spec"]["containers"][0]["volumeMounts"] if one["name"] == "checks")
    assert f"python {mount['mountPath']} --out" in JOB["entrypoint"]
