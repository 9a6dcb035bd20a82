"""A real API server keeps the contract that the tests' fake one was made after."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import ROOT
from stepmark.controller import kube
from stepmark.controller.actions import manifests
from stepmark.controller.capabilities import capabilities
from stepmark.controller.lease import Lease
from stepmark.scenario.crd import text

sys.path.insert(0, str(ROOT / "tests" / "unit" / "controller"))
from api_contract import CONTRACT, NAMESPACE, new_scenario
from worlds import here

pytestmark = [pytest.mark.cluster, pytest.mark.core]


@pytest.fixture(scope="module")
def api(cluster: Any) -> Iterator[kube.Kube]:
    for arguments in (["apply", "--server-side", "--force-conflicts", "-f", "-"], ["create", "namespace", NAMESPACE]):
        done = cluster.kubectl(*arguments, input=text() if "-f" in arguments else "")
        assert done.returncode == 0, done.stderr
    yield kube.Kube.connect(2, kubeconfig=cluster.kubeconfig)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_real(api: kube.Kube, promise: Callable[[Any], None]) -> None:
    promise(api)


def test_what_kuberay_can_do_is_read_from_its_definition(api: kube.Kube, cluster: Any) -> None:
    found = capabilities(api)
    described = cluster.kubectl("explain", "rayjob.spec.rayClusterSpec.authOptions", "--api-version=ray.io/v1")
    assert found.rayjobs
    assert found.auth_options == (described.returncode == 0)


def test_a_rayjob_is_stored_as_we_make_it(api: kube.Kube) -> None:
    """No field of it is unknown to the installed KubeRay, or changed by its definition's defaults."""
    owner, world = api.create(kube.SCENARIOS, NAMESPACE, new_scenario("a-job")), here()
    profile, can = world.profiles["default"], capabilities(api)
    from stepmark.scenario.load import scenario_from_object

    job = manifests.ray_job(owner, 1, scenario_from_object(owner), profile, can, world.settings)
    job["spec"]["suspend"] = True  # so that it is only stored
    made = api.create(kube.RAYJOBS, NAMESPACE, job)
    assert _holds(made["spec"], job["spec"]), json.dumps(made["spec"], indent=1)
    api.delete(kube.RAYJOBS, NAMESPACE, made["metadata"]["name"], made["metadata"]["uid"])


def _holds(found: Any, wanted: Any) -> bool:
    """Everything that is wanted is there; the server may have added to it."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(k in found and _holds(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def test_a_field_that_the_server_does_not_know_is_refused(api: kube.Kube) -> None:
    with pytest.raises(kube.ApiError, match="unknown field") as refusal:
        api.create(kube.SCENARIOS, NAMESPACE, new_scenario("strict") | {"speck": {}})
    assert refusal.value.status == 400


def test_one_of_two_has_the_lease_until_it_gives_it_back_or_falls_silent(api: kube.Kube) -> None:
    now = [0.0]
    one, two = (Lease(api, NAMESPACE, "turn", name, 15, clock=lambda: now[0]) for name in ("one", "two"))
    one.renew()
    two.renew()
    assert (one.held(), two.held()) == (True, False)
    one.release()
    two.renew()
    assert (one.held(), two.held()) == (False, True)
    one.renew()  # it sees the Lease of `two` for the first time
    now[0] = 12.0
    assert not two.held()  # it stops earlier than anybody takes over
    one.renew()
    assert not one.held()
    now[0] = 16.0
    one.renew()
    assert one.held()
    two.renew()
    assert not two.held()
