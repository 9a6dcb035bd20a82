"""Two electors and one Lease: at most one acts at any time, and the other takes over when the first is gone."""

from collections.abc import Callable

import pytest
from fake_api import FakeApi
from prometheus_client import CollectorRegistry

from stepmark.controller import kube
from stepmark.controller.lease import Lease
from stepmark.controller.meters import Meters

SECONDS = 15


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def electors(api: FakeApi, clock: Callable[[], float]) -> tuple[Lease, Lease]:
    one, two = (Lease(api, "stepmark", "controller", name, SECONDS, clock) for name in ("one", "two"))
    return one, two


def before(api: FakeApi, call: str, act: Callable[[], None]) -> None:
    """Do something right before the first call of this kind: after the elector has read, and before it writes."""

    def watch(verb: str, resource: str, committed: bool) -> None:
        if f"{verb} {resource}" == call and not committed:
            api.on_call = lambda *_: None
            act()

    api.on_call = watch


@pytest.mark.parametrize("expired", [False, True], ids=["no Lease yet", "an expired Lease"])
def test_of_two_electors_that_have_read_the_same_only_the_first_to_write_gets_the_lease(expired: bool) -> None:
    api, clock = FakeApi(), Clock()
    one, two = electors(api, clock)
    if expired:
        Lease(api, "stepmark", "controller", "former", SECONDS, clock).renew()
        one.renew()
        two.renew()
        clock.now = SECONDS + 1
    before(api, f"{'update' if expired else 'create'} {kube.LEASES}", two.renew)
    one.renew()
    assert (one.held(), two.held()) == (False, True)


def test_a_released_lease_is_taken_at_once() -> None:
    api, clock = FakeApi(), Clock()
    one, two = electors(api, clock)
    one.renew()
    two.renew()
    assert (one.held(), two.held()) == (True, False)
    one.stop()
    two.renew()
    assert (one.held(), two.held()) == (False, True)
    assert api.only(kube.LEASES, "stepmark")[0]["spec"]["leaseTransitions"] == 2


def test_an_elector_that_reaches_no_api_server_stops_before_another_takes_over() -> None:
    api, clock = FakeApi(), Clock()
    one, two = electors(api, clock)
    one.renew()
    two.renew()
    held_by_none = 0
    for clock.now in [float(second) for second in range(1, SECONDS + 2)]:
        two.renew()
        assert not (one.held() and two.held())
        held_by_none += not one.held() and not two.held()
    assert two.held()
    assert held_by_none > 0


def test_a_former_holder_says_nothing_of_namespaces_any_more() -> None:
    registry = CollectorRegistry()
    meters = Meters(registry)
    meters.active(True)
    meters.namespace("runs", True)
    meters.active(False)
    assert registry.get_sample_value("stepmark_controller_namespace_listed", {"namespace": "runs"}) is None
