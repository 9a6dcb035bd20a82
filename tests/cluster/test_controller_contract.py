"""A real API server keeps the contract that the fake one of the unit tests is made after."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conftest import ROOT
from stepmark.controller import kube
from stepmark.controller.actions import manifests
from stepmark.controller.actions.names import ATTEMPT
from stepmark.controller.capabilities import capabilities
from stepmark.controller.lease import Lease
from stepmark.controller.meters import Meters
from stepmark.controller.tick import Ticker
from stepmark.controller.work import Worker
from stepmark.generate.crd import text

sys.path.insert(0, str(ROOT / "tests" / "unit" / "controller"))
from api_contract import CONTRACT, NAMESPACE, new_scenario
from worlds import FakeHub, here, settings

pytestmark = [pytest.mark.cluster, pytest.mark.core]


@pytest.fixture(scope="module")
def api(cluster: Any) -> Iterator[kube.Kube]:
    for arguments in (["apply", "--server-side", "--force-conflicts", "-f", "-"], ["create", "namespace", NAMESPACE]):
        done = cluster.kubectl(*arguments, input=text() if "-f" in arguments else "")
        assert done.returncode == 0, done.stderr
    yield kube.Kube.connect(2, kubeconfig=cluster.kubeconfig)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_real_api_server_keeps_the_contract(api: kube.Kube, promise: Callable[[Any], None]) -> None:
    promise(api)


def test_the_capabilities_of_kuberay_are_read_from_its_definition(api: kube.Kube, cluster: Any) -> None:
    found = capabilities(api)
    described = cluster.kubectl("explain", "rayjob.spec.rayClusterSpec.authOptions", "--api-version=ray.io/v1")
    assert found.rayjobs
    assert found.auth_options == (described.returncode == 0)


def test_a_rayjob_is_stored_as_the_controller_makes_it(api: kube.Kube) -> None:
    """Every field of the RayJob is known to the installed KubeRay, and none is changed by its definition's defaults."""
    owner, world = api.create(kube.SCENARIOS, NAMESPACE, new_scenario("a-job")), here()
    profile, can = world.profiles["default"], capabilities(api)
    from stepmark.scenario.load import scenario_from_object

    job = manifests.ray_job(owner, 1, scenario_from_object(owner), profile, can, world.settings)
    job["spec"]["suspend"] = True  # Suspended, it is only stored.
    made = api.create(kube.RAYJOBS, NAMESPACE, job)
    assert _holds(made["spec"], job["spec"]), json.dumps(made["spec"], indent=1)
    api.delete(kube.RAYJOBS, NAMESPACE, made["metadata"]["name"], made["metadata"]["uid"])


def _holds(found: Any, wanted: Any) -> bool:
    """Return whether everything that is wanted is there; the server may have added to it."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(k in found and _holds(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def test_a_field_that_the_server_does_not_know_is_refused(api: kube.Kube) -> None:
    with pytest.raises(kube.ApiError, match="unknown field") as refusal:
        api.create(kube.SCENARIOS, NAMESPACE, new_scenario("strict") | {"speck": {}})
    assert refusal.value.status == 400


def test_one_of_two_controllers_holds_the_lease_until_it_releases_it_or_stops_renewing(api: kube.Kube) -> None:
    now = [0.0]
    one, two = (Lease(api, NAMESPACE, "turn", name, 15, clock=lambda: now[0]) for name in ("one", "two"))
    one.renew()
    two.renew()
    assert (one.held(), two.held()) == (True, False)
    one.release()
    two.renew()
    assert (one.held(), two.held()) == (False, True)
    one.renew()  # It sees the Lease of `two` for the first time.
    now[0] = 12.0
    assert not two.held()  # It stops earlier than anybody takes over.
    one.renew()
    assert not one.held()
    now[0] = 16.0
    one.renew()
    assert one.held()
    two.renew()
    assert not two.held()


def test_a_namespace_without_rights_and_hostile_labels_do_not_stop_the_others(
    api: kube.Kube, cluster: Any, tmp_path: Path
) -> None:
    """The controller is a user who may do everything in one of two namespaces, and nothing in the other."""
    user, theirs = "only-here", f"{NAMESPACE}-forbidden"
    cluster.kubectl("create", "namespace", theirs)
    grant = ("create", "rolebinding", user, "--clusterrole=cluster-admin", f"--user={user}", "-n", NAMESPACE)
    assert cluster.kubectl(*grant).returncode == 0
    reads = ("create", "clusterrole", user, "--verb=get", "--resource=customresourcedefinitions.apiextensions.k8s.io")
    cluster.kubectl(*reads)
    cluster.kubectl("create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}")
    limited = kube.Kube.connect(2, kubeconfig=cluster.kubeconfig)
    limited._api.set_default_header("Impersonate-User", user)
    (tmp_path / "profiles.yaml").write_text("default: {image: 'nowhere:1', imagePullPolicy: Never}\n")
    world = settings(tmp_path / "profiles.yaml", namespaces=(theirs, NAMESPACE))
    for number, label in enumerate(("x", "", "9" * 60)):
        hostile = {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"entrypoint": "true", "suspend": True}}
        labels = {"app.kubernetes.io/managed-by": "stepmark-controller", ATTEMPT: label}
        hostile["metadata"] = {"name": f"hostile-{number}", "namespace": NAMESPACE, "labels": labels}
        hostile["spec"]["rayClusterSpec"] = {"headGroupSpec": {"template": {"spec": {"containers": []}}}}  # type: ignore[index]
        made = cluster.kubectl("create", "--filename", "-", input=json.dumps(hostile))
        assert made.returncode == 0, made.stderr
    api.create(kube.SCENARIOS, NAMESPACE, new_scenario("goes-on"))
    registry = CollectorRegistry()
    meters, pool = Meters(registry), ThreadPoolExecutor(1)
    ticker = Ticker(limited, FakeHub(), world, Worker(limited, FakeHub(), meters), meters, pool)
    ticker.tick()
    pool.shutdown()
    listed = {place: registry.get_sample_value("stepmark_controller_namespace_listed", {"namespace": place})
              for place in world.namespaces}  # fmt: skip
    assert listed == {theirs: 0, NAMESPACE: 1}
    found = api.get(kube.SCENARIOS, NAMESPACE, "goes-on")
    assert len(found["status"]["attempts"]) == 1
    assert (
        len([one for one in api.every(kube.RAYJOBS, NAMESPACE) if one["metadata"]["name"].startswith("hostile")]) == 3
    )
    cluster.kubectl("delete", "namespace", theirs, "--wait=false")
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", user)
