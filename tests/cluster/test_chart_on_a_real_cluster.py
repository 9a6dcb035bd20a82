"""A release of the chart on a real cluster: installed in an older version, upgraded, tested, guarded, uninstalled."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.ray_job_changes import HOSTILE, PERMITTED, UPDATES, Change
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
        "cancel": True,  # It only has to exist through the upgrade.
    },
}


@pytest.fixture(scope="module")
def release(cluster: Any, image: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Install the older chart, with a scenario. The definition stays at the end, since other tests are using it."""
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
    """Return what there was under the older chart, which is then upgraded to this one."""
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


def test_the_notes_miss_nothing_where_kuberay_is_installed(release: Release, before: Before) -> None:
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
def test_the_controller_has_the_rights_that_it_needs(
    release: Release, before: Before, verb: str, resource: str, subresource: str
) -> None:
    assert may(release, verb, resource, subresource, "--namespace", RUNS) == "yes"


@pytest.mark.parametrize(("verb", "resource", "subresource"), DENIED)
def test_the_controller_has_no_further_rights(
    release: Release, before: Before, verb: str, resource: str, subresource: str
) -> None:
    assert may(release, verb, resource, subresource, "--namespace", RUNS) == "no"


@pytest.mark.parametrize("elsewhere", ["default", NAMESPACE])
def test_the_controller_has_no_rights_in_other_namespaces(release: Release, before: Before, elsewhere: str) -> None:
    """The release's own namespace, with its tokens, is one of the others."""
    for verb, resource, subresource in ALLOWED:
        assert may(release, verb, resource, subresource, "--namespace", elsewhere) == "no", (verb, resource)


@pytest.fixture(scope="module")
def guarded(release: Release, before: Before) -> Release:
    """Switch the admission policy on, and wait until the API server heeds it."""
    release.deploy("upgrade", CHART, "--set", "policy.admission.enabled=true")
    deadline = time.monotonic() + 60
    while submit(release, ray_job(release), user="").returncode == 0:
        assert time.monotonic() < deadline, "the API server has not heeded the policy for a minute"
        time.sleep(0.5)
    return release


def ray_job(release: Release) -> dict[str, Any]:
    """Return the RayJob that the controller would make with these values."""
    document = copy.deepcopy(SCENARIO) | {"metadata": {"name": "some", "namespace": RUNS, "uid": "0" * 8}}
    given = yaml.safe_load(release.values.read_text())["profiles"]
    accepted = accept(document, profiles_from_text(json.dumps(given)))
    assert isinstance(accepted, Accepted), accepted
    hub = f"http://stepmark-hub.{NAMESPACE}.svc:8080"
    settings = Settings(profiles_file=Path("/none"), hub_url=hub, hub_token_file=Path("/none"))
    can = Capabilities(auth_options=True)
    return manifests.ray_job(document, 1, accepted.scenario, accepted.profile, can, settings)


def submit(release: Release, manifest: dict[str, Any], user: str = CONTROLLER) -> Any:
    """Ask the API server whether it would accept the object."""
    options = (f"--as={user}",) if user else ()
    return release.cluster.kubectl(
        "create", "--dry-run=server", "--filename", "-", *options, input=json.dumps(manifest)
    )


def test_the_policy_admits_the_rayjob_that_the_controller_makes(guarded: Release) -> None:
    done = submit(guarded, ray_job(guarded))
    assert done.returncode == 0, done.stderr


def test_the_policy_refuses_the_same_rayjob_from_anybody_else(guarded: Release) -> None:
    assert "create a Scenario" in submit(guarded, ray_job(guarded), user="").stderr


def test_the_policy_applies_only_to_the_watched_namespaces(guarded: Release) -> None:
    job = ray_job(guarded)
    job["metadata"]["namespace"] = "default"
    assert submit(guarded, job, user="").returncode == 0


@pytest.mark.parametrize("what", HOSTILE)
def test_the_policy_refuses_a_changed_rayjob_even_from_the_controller(guarded: Release, what: str) -> None:
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
    """Make a RayJob as the controller, which waits in a queue, and return it once KubeRay has looked at it."""
    job = ray_job(guarded)
    job["spec"]["suspend"] = True
    job["metadata"]["labels"]["stepmark.dev/attempt"] = "none"  # The controller does not remove this one.
    job["metadata"]["ownerReferences"][0] |= {"name": "from-before"}
    job["metadata"]["ownerReferences"][0]["uid"] = guarded.uid_of("scenario", "from-before", RUNS)
    done = guarded.cluster.kubectl("create", "--filename", "-", f"--as={CONTROLLER}", input=json.dumps(job))
    assert done.returncode == 0, done.stderr
    name = job["metadata"]["name"]
    guarded.of_runs("wait", f"rayjob/{name}", "--for=jsonpath={.status.jobDeploymentStatus}=Suspended", "--timeout=60s")
    found: dict[str, Any] = json.loads(guarded.of_runs("get", "rayjob", name, "-o", "json"))
    found["metadata"].pop("resourceVersion")  # KubeRay may write meanwhile.
    return found


def replaced(release: Release, made: dict[str, Any], change: Change, user: str) -> Any:
    changed = copy.deepcopy(made)
    change(changed)
    options = ("replace", "--dry-run=server", "--filename", "-", *((f"--as={user}",) if user else ()))
    return release.cluster.kubectl(*options, input=json.dumps(changed))


@pytest.mark.parametrize("what", PERMITTED)
def test_kuberay_may_make_the_updates_that_it_and_kueue_need(guarded: Release, made: dict[str, Any], what: str) -> None:
    done = replaced(guarded, made, PERMITTED[what], KUBERAY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", UPDATES)
def test_the_policy_refuses_any_other_update_even_from_kuberay(
    guarded: Release, made: dict[str, Any], what: str
) -> None:
    done = replaced(guarded, made, UPDATES[what], KUBERAY)
    assert done.returncode != 0
    assert "ValidatingAdmissionPolicy" in done.stderr
    assert "as it was made" in done.stderr or "as they were made" in done.stderr


def test_the_policy_refuses_every_update_of_a_rayjob_by_anybody_else(guarded: Release, made: dict[str, Any]) -> None:
    for change in PERMITTED.values():
        assert "only KubeRay, Kueue and the garbage collector" in replaced(guarded, made, change, "").stderr


def test_uninstalling_keeps_scenarios_and_results_and_installing_finds_them(guarded: Release, before: Before) -> None:
    guarded.helm("uninstall", "--wait", "--timeout", "240s")
    kinds = "deployment,service,secret,configmap,serviceaccount,role,rolebinding,networkpolicy"
    left = {name.partition("/")[2] for name in guarded.kubectl("get", kinds, "-o", "name").split()}
    # What the tests made is kept, so that a person can look into it.
    of_tests = {name for name in left if name.startswith(("stepmark-test", "helm-test-"))}
    assert left - of_tests == {"default", "kube-root-ca.crt"}
    assert guarded.uid_of("scenario", "from-before", RUNS) == before.scenario
    assert guarded.uid_of("pvc", "stepmark-hub") == before.volume
    guarded.deploy("install", CHART)
    assert guarded.uid_of("pvc", "stepmark-hub") == before.volume
    assert guarded.uid_of("scenario", "from-before", RUNS) == before.scenario
