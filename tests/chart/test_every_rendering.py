"""Rules for all values: Kubernetes and Pod Security `restricted` accept the objects, and no role has further rights."""

import re
from typing import Any

import kubernetes_validate
import pytest
from pod_security import violations
from rendering import CASES, CHART, NEWEST, OLDEST, kind, objects, objects_of, pod_specs, render, run_helm

_OF_OTHERS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")
ALL = pytest.mark.parametrize("case", CASES)


@pytest.mark.parametrize("case", ["defaults", "everything"])
def test_helm_lint_finds_nothing(case: str) -> None:
    arguments: list[object] = ["--kube-version", NEWEST]
    if case == "everything":
        arguments += ["--set", "hub.replicas=2,hub.postgresql.urlSecret=x,policy.admission.enabled=true"]
    done = run_helm("lint", "--strict", CHART, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", ["defaults", "everything-in-two-namespaces", "own-claim-and-tokens", "little"])
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_oldest_and_the_newest_kubernetes_accept_every_object(case: str, version: str) -> None:
    done = render(CASES[case], kubernetes=version)
    assert done.returncode == 0, done.stderr
    for found in objects_of(done.stdout):
        if found["apiVersion"] not in _OF_OTHERS:
            kubernetes_validate.validate(found, version.rpartition(".")[0], strict=True)


def test_the_chart_refuses_an_older_kubernetes() -> None:
    assert "incompatible with Kubernetes" in render({}, kubernetes="1.29.9").stderr


@ALL
def test_every_pod_passes_pod_security_restricted(case: str) -> None:
    found = dict(pod_specs(objects(case)))
    assert len(found) == 3  # These are the controller, the hub and `helm test`.
    assert {name: violations(pod) for name, pod in found.items() if violations(pod)} == {}


@ALL
def test_every_container_has_requests_a_memory_limit_and_a_read_only_root(case: str) -> None:
    if case == "little":  # Its values remove the requests.
        return
    for name, pod in pod_specs(objects(case)):
        for container in pod["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            assert container["securityContext"]["readOnlyRootFilesystem"], name


@ALL
def test_no_pod_gets_environment_variables_of_services(case: str) -> None:
    """The Service stepmark-controller-metrics would become STEPMARK_CONTROLLER_METRICS_PORT=tcp://..."""
    assert all(pod["enableServiceLinks"] is False for _, pod in pod_specs(objects(case)))


def test_the_check_of_pod_security_finds_a_pod_that_restricted_refuses() -> None:
    pod: dict[str, Any] = {
        "hostNetwork": True,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "containers": [{"name": "c", "securityContext": {"privileged": True, "runAsUser": 0}}],
    }
    found = " ".join(violations(pod))
    for part in ("hostNetwork", "volume host", "c: privileged", "c: runAsNonRoot", "c: capabilities", "c: runAsUser"):
        assert part in found


# (kind, name without namespace) -> API group/resource -> verbs: all rights that the chart gives anybody.
RIGHTS: dict[tuple[str, str], dict[str, set[str]]] = {
    ("Role", "stepmark-controller"): {
        "stepmark.dev/scenarios": {"get", "list", "delete"},  # This is for spec.runPolicy.ttlSecondsAfterFinished.
        "stepmark.dev/scenarios/status": {"patch"},
        "ray.io/rayjobs": {"get", "list", "create", "delete"},
        "/configmaps": {"get", "create", "delete"},
        "/secrets": {"get", "create", "delete"},
        "networking.k8s.io/networkpolicies": {"get", "create", "delete"},
        "/pods": {"list"},
        "/events": {"create"},
    },
    ("Role", "stepmark-controller-lease"): {"coordination.k8s.io/leases": {"create", "get", "update"}},
    ("ClusterRole", "stepmark-controller-bench"): {
        "apiextensions.k8s.io/customresourcedefinitions": {"get"},
    },
    ("ClusterRole", "stepmark-hub-bench"): {"authentication.k8s.io/tokenreviews": {"create"}},
    ("ClusterRole", "stepmark-bench-viewer"): {
        "stepmark.dev/scenarios": {"get", "list", "watch"},
        "stepmark.dev/scenarios/status": {"get", "list", "watch"},
    },
    ("ClusterRole", "stepmark-bench-editor"): {
        "stepmark.dev/scenarios": {"get", "list", "watch", "create", "update", "patch", "delete"},
    },
    ("Role", "stepmark-test"): {"stepmark.dev/scenarios": {"create", "get"}},
}


def rights(role: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found


@ALL
def test_every_role_has_exactly_the_rights_of_this_table(case: str) -> None:
    for role in objects(case):
        if role["kind"] in ("Role", "ClusterRole"):
            assert rights(role) == RIGHTS[role["kind"], role["metadata"]["name"]]


@ALL
def test_no_role_has_a_wildcard_creates_pods_or_lists_secrets(case: str) -> None:
    for role in objects(case):
        if role["kind"] in ("Role", "ClusterRole"):
            found = rights(role)
            assert "*" not in str(found)
            assert "create" not in found.get("/pods", set())
            assert not {"list", "watch"} & found.get("/secrets", set())


@ALL
def test_cluster_wide_rights_are_for_named_objects_only(case: str) -> None:
    """A token review is left out: it is a question, and not an object that could be named."""
    bound = {binding["roleRef"]["name"] for binding in kind(objects(case), "ClusterRoleBinding").values()}
    roles = kind(objects(case), "ClusterRole")
    rules = [rule for name in bound for rule in roles[name]["rules"] if rule["resources"] != ["tokenreviews"]]
    assert all(rule["resourceNames"] for rule in rules)


@ALL
def test_names_and_labels_follow_the_conventions_of_kubernetes(case: str) -> None:
    for found in objects(case):
        metadata = found["metadata"]
        assert len(metadata["name"]) <= 63
        assert metadata["labels"]["app.kubernetes.io/name"] == "stepmark"
        assert metadata["labels"]["app.kubernetes.io/instance"] == "stepmark"
        if case.startswith("everything"):
            assert metadata["labels"]["team"] == "speed"  # It is one of commonLabels.


@ALL
def test_selectors_hold_nothing_that_an_upgrade_changes(case: str) -> None:
    for deployment in kind(objects(case), "Deployment").values():
        assert set(deployment["spec"]["selector"]["matchLabels"]) == {
            f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
        }


@ALL
def test_every_namespaced_object_names_its_namespace(case: str) -> None:
    cluster_wide = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace")
    for found in objects(case):
        of_cluster = found["kind"] in cluster_wide or found["kind"].startswith("ValidatingAdmissionPolicy")
        assert ("namespace" in found["metadata"]) is not of_cluster, found["metadata"]["name"]


@ALL
def test_only_the_secret_holds_tokens(case: str) -> None:
    for found in objects(case):
        if found["kind"] != "Secret":
            assert not re.search(r"smk_[A-Za-z0-9]{32}", str(found)), found["metadata"]["name"]


def test_the_registry_is_put_before_every_image_without_one() -> None:
    found = objects(
        profiles={"own": {"image": "other.example/runner:2"}}, **{"global": {"imageRegistry": "registry.example:5000/"}}
    )
    images = {container["image"] for _, pod in pod_specs(found) for container in pod["containers"]}
    assert images == {"registry.example:5000/stepmark/service:0.1.0"}
    mounted = kind(found, "ConfigMap")["stepmark-profiles"]["data"]["profiles.yaml"]
    assert "registry.example:5000/stepmark/runner:0.1.0" in mounted
    assert '"image":"other.example/runner:2"' in mounted


def test_a_digest_takes_the_place_of_the_tag() -> None:
    found = objects(image={"digest": "sha256:" + "a" * 64, "tag": "ignored"})
    images = {container["image"] for _, pod in pod_specs(found) for container in pod["containers"]}
    assert images == {"stepmark/service@sha256:" + "a" * 64}


def test_service_accounts_of_ones_own_are_used_everywhere_and_not_made() -> None:
    components = ("controller", "hub", "test")
    own = {name: {"serviceAccount": {"create": False, "name": f"own-{name}"}} for name in components}
    found = objects(policy={"admission": {"enabled": True}}, **own)
    assert not kind(found, "ServiceAccount")
    assert {pod["serviceAccountName"] for _, pod in pod_specs(found)} == {f"own-{name}" for name in components}
    subjects = {
        one["name"]
        for binding in found
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for one in binding["subjects"]
    }
    assert subjects == {"own-controller", "own-test"}
    assert "system:serviceaccount:bench:own-controller" in str(kind(found, "ValidatingAdmissionPolicy"))


def test_rights_can_be_brought_instead() -> None:
    kinds = {one["kind"] for one in objects("brought-rights")}
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"} & kinds


def test_on_openshift_pods_have_no_ids_but_those_that_somebody_chose() -> None:
    openshift = ("--api-versions", "security.openshift.io/v1")
    for name, pod in pod_specs(objects_of(render({}, *openshift).stdout)):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys(), name
        assert violations(pod) == []
    chosen = objects_of(render({"podSecurityContext": {"fsGroup": 1000}}, *openshift).stdout)
    assert {pod["securityContext"].get("fsGroup") for _, pod in pod_specs(chosen)} == {1000}
