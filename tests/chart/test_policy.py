"""The policies of the chart: charts/stepmark/templates/policy. tests/cluster proves admission on a real API server."""

import json
from typing import Any, get_args

from rendering import kind, objects

from stepmark.controller.actions import pods
from stepmark.controller.facts import Capabilities
from stepmark.controller.profile_devices import Devices, NcclName
from stepmark.controller.profiles import Profile


def test_quota_limits_and_admission_policy_exist_only_if_asked_for() -> None:
    kinds = {one["kind"] for one in objects()}
    assert not {"ResourceQuota", "LimitRange", "ValidatingAdmissionPolicy"} & kinds


def test_quota_and_limits_are_in_every_watched_namespace() -> None:
    found = objects("everything-in-two-namespaces")
    for name in ("ResourceQuota", "LimitRange"):
        assert set(kind(found, name)) == {"team-a/stepmark", "team-b/stepmark"}
    hard = {"requests.cpu": "64", "pods": 100, "count/scenarios.stepmark.dev": 200}
    assert kind(found, "ResourceQuota")["team-a/stepmark"]["spec"]["hard"] == hard


def admission(**values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    found = objects(policy={"admission": {"enabled": True} | values.pop("admission", {})}, **values)
    policies = kind(found, "ValidatingAdmissionPolicy"), kind(found, "ValidatingAdmissionPolicyBinding")
    (policy, updates), (binding, of_updates) = (tuple(one.values()) for one in policies)
    assert updates["metadata"]["name"] == f"{policy['metadata']['name']}-updates"
    assert of_updates["spec"] == binding["spec"] | {"policyName": updates["metadata"]["name"]}
    return policy["spec"], binding["spec"]


def test_the_admission_policy_is_bound_to_the_watched_namespaces() -> None:
    policy, binding = admission(watchNamespaces=["team-a", "team-b"])
    chosen = binding["matchResources"]["namespaceSelector"]["matchExpressions"][0]
    assert chosen == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    assert (policy["failurePolicy"], binding["validationActions"]) == ("Fail", ["Deny"])


def test_the_admission_policy_can_be_tried_without_denying_anything() -> None:
    assert admission(admission={"actions": ["Warn", "Audit"]})[1]["validationActions"] == ["Warn", "Audit"]


def test_the_admission_policy_allows_the_profiles_images_and_this_releases_controller() -> None:
    policy, _ = admission(profiles={"own": {"image": "other.example/runner:2"}})
    rules = " ".join(rule["expression"] for rule in policy["validations"])
    assert 'c.image in ["other.example/runner:2","stepmark/runner:0.1.0"]' in rules
    assert "'system:serviceaccount:bench:stepmark-controller'" in rules


def test_the_admission_policy_allows_the_profiles_service_accounts() -> None:
    policy, _ = admission(profiles={"own": {"image": "a:1", "pods": {"serviceAccountName": "benchmarks"}}})
    rules = " ".join(rule["expression"] for rule in policy["validations"])
    assert 'p.serviceAccountName in ["","default","benchmarks"]' in rules


def test_the_admission_policy_allows_exactly_the_variables_that_the_controller_sets() -> None:
    policy, _ = admission()
    (rule,) = (one["expression"] for one in policy["validations"] if "STEPMARK_HUB_URL" in one["expression"])
    listed = set(json.loads("[" + rule.partition("e.name in [")[2].partition("]")[0] + "]"))
    document = {"metadata": {"name": "a", "namespace": "b", "uid": "c"}, "apiVersion": "x", "kind": "y", "spec": {}}
    shared = Devices(extended_resource="nvidia.com/gpu", shared_devices=True)
    profile = Profile(image="a:1", devices=shared, nccl_environment=dict.fromkeys(get_args(NcclName), "1"))
    set_by_us: set[str] = set()
    for can in (Capabilities(), Capabilities(auth_options=True)):
        for template in (
            pods.head(document, 1, profile, can, "http://hub"),
            pods.worker(document, 1, profile, can),
            pods.submitter(document, 1, profile, can),
        ):
            (container,) = template["spec"]["containers"]
            set_by_us |= {one["name"] for one in container["env"]}
    apart = {"STEPMARK_NODE_NAME", "STEPMARK_HUB_URL", "RAY_AUTH_MODE"}  # Their values have rules of their own.
    assert listed == set_by_us - apart
    assert all(f"'{name}'" in rule for name in apart)


def test_people_get_rights_on_scenarios_through_the_default_roles_of_kubernetes() -> None:
    roles = kind(objects(), "ClusterRole")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    added = {
        name: {key.removeprefix(prefix) for key in role["metadata"]["labels"] if key.startswith(prefix)}
        for name, role in roles.items()
    }
    assert added["stepmark-bench-viewer"] == {"view", "edit", "admin"}
    assert added["stepmark-bench-editor"] == {"edit", "admin"}
    assert set(kind(objects("little"), "ClusterRole")) == {"stepmark-controller-bench"}
