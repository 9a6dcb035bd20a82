"""The RayJobs that the controller makes of the chart's profiles, from every values file: `restricted` accepts them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pod_security import violations
from rendering import CASES, ROOT, kind, objects, objects_of, pod_specs

from stepmark.controller.acceptance import Accepted, accept
from stepmark.controller.actions import manifests
from stepmark.controller.facts import Capabilities
from stepmark.controller.profiles import Profile, profiles_from_text
from stepmark.controller.settings import Settings

NAMES = [
    (case, name)
    for case, values in CASES.items()
    for name in sorted({"default", "sandbox", *values.get("profiles", {})})
]
SETTINGS = Settings(
    profiles_file=Path("/none"), hub_url="http://stepmark-hub.bench.svc:8080", hub_token_file=Path("/none")
)


def profiles(case: str) -> dict[str, Profile]:
    found = profiles_from_text(kind(objects(case), "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"])
    return {name: one for name, one in found.items() if isinstance(one, Profile)}


def quickstart(profile: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "scenarios" / "quickstart.yaml").read_text())
    document["metadata"] |= {"uid": "7d9c7fd0-0000-4000-8000-000000000000", "namespace": "bench"}
    document["spec"]["profile"] = profile
    return document


def ray_job(case: str, name: str) -> dict[str, Any]:
    document = quickstart(name)
    accepted = accept(document, profiles(case))
    assert isinstance(accepted, Accepted), accepted
    can = Capabilities(auth_options=True, pre_running_deadline=True)
    return manifests.ray_job(document, 1, accepted.scenario, accepted.profile, can, SETTINGS)


@pytest.mark.parametrize("case", CASES)
def test_every_default_profile_runs_the_quickstart(case: str) -> None:
    assert isinstance(accept(quickstart("local"), profiles(case)), Accepted)


@pytest.mark.parametrize(("case", "name"), [pair for pair in NAMES if pair[1] != "sandbox"])
def test_the_pods_of_a_run_pass_pod_security_restricted(case: str, name: str) -> None:
    found = dict(pod_specs([ray_job(case, name)]))
    assert {name.rpartition(" ")[2] for name in found} == {"head", "submitter", "workers"}
    assert {name: violations(pod) for name, pod in found.items() if violations(pod)} == {}
    assert not any(pod["automountServiceAccountToken"] for pod in found.values())


def test_the_admission_policy_knows_the_controllers_entrypoint_and_labels() -> None:
    policy = str(kind(objects("everything"), "ValidatingAdmissionPolicy"))
    assert re.search(rf"entrypoint == \\?'{re.escape(manifests.ENTRYPOINT)}\\?'", policy)


def test_the_hubs_network_policy_admits_pods_with_the_label_of_runs() -> None:
    pods = ray_job("defaults", "default")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["metadata"]["labels"]
    api = kind(objects(), "NetworkPolicy")["stepmark-hub"]["spec"]["ingress"][0]
    assert api["from"][2]["podSelector"]["matchExpressions"][0]["key"] in pods


def test_the_queues_of_the_sample_profiles_are_in_the_sample_queues() -> None:
    queues = kind(objects_of((ROOT / "k8s" / "kueue" / "queues.yaml").read_text()), "LocalQueue")
    spaces = {name: queue["metadata"]["namespace"] for name, queue in queues.items()}
    values = CASES["sample-on-prem-kueue"]
    named = {profile.queue_name for profile in profiles("sample-on-prem-kueue").values()} - {None}
    assert {spaces[name] for name in named if name} == set(values["watchNamespaces"])
