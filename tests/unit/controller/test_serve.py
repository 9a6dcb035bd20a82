"""The controller's loop: health by the age of the last look, back-off, the Lease, settings from the command line."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_api import FakeApi
from typer.testing import CliRunner
from worlds import CRD, FakeHub, scenario, settings

from stepmark.cli.commands.controller import READERS, VARIABLES, app
from stepmark.cli.service_settings import settings_of
from stepmark.controller import kube
from stepmark.controller.capabilities import of_crd
from stepmark.controller.facts import Pod
from stepmark.controller.lease import Lease
from stepmark.controller.serve import Controller, Pulse, _health_server
from stepmark.controller.settings import Settings
from stepmark.errors import CannotRun


def health(pulse: Pulse, path: str = "/healthz") -> int:
    server = _health_server("127.0.0.1", 0, pulse)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    finally:
        server.shutdown()
        server.server_close()


def test_a_controller_is_ready_by_its_last_look_and_alive_while_its_loop_turns() -> None:
    assert (health(Pulse(60, 60)), health(Pulse(60, 60), "/readyz")) == (200, 200)
    assert (health(Pulse(-1, 60)), health(Pulse(-1, 60), "/readyz")) == (200, 503)
    assert (health(Pulse(60, -1)), health(Pulse(60, -1), "/readyz")) == (503, 200)
    assert health(Pulse(60, 60), "/else") == 404


def test_an_api_server_that_is_away_makes_the_controller_unready_and_not_dead(profiles: Path) -> None:
    api = FakeApi(on_call=raising(0))
    controller = Controller(settings(profiles), api, FakeHub())
    controller.pulse = Pulse(-1, 60, _looked=0, _turned=0)
    controller._look()
    assert (controller.pulse.is_ready(), controller.pulse.is_alive()) == (False, True)


def raising(status: int) -> Callable[[str, str, bool], None]:
    def fail(verb: str, resource: str, committed: bool) -> None:
        raise kube.ApiError(status, "no answer", verb, resource, None)

    return fail


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    (tmp_path / "profiles.yaml").write_text("default: {image: 'runner:1'}\n")
    return tmp_path / "profiles.yaml"


def served(api: FakeApi, profiles: Path, until: str) -> Controller:
    """Run a controller until it has made a call of this verb and kind, and return it."""
    controller = Controller(settings(profiles, tick_seconds=0.1), api, FakeHub())
    seen = threading.Event()

    def watch(verb: str, resource: str, committed: bool) -> None:
        if f"{verb} {resource}" == until:
            seen.set()

    api.on_call = watch
    thread = threading.Thread(target=controller.run)
    thread.start()
    assert seen.wait(20)
    controller.stop()
    thread.join(20)
    assert not thread.is_alive()
    return controller


def test_a_controller_looks_again_and_again_and_counts_its_looks(profiles: Path) -> None:
    api = FakeApi()
    api.create(kube.CRDS, None, CRD)
    api.create(kube.SCENARIOS, "runs", scenario())
    controller = served(api, profiles, f"create {kube.RAYJOBS}")
    assert controller.registry.get_sample_value("stepmark_controller_reconcile_seconds_count") >= 1  # type: ignore[operator]
    assert controller.registry.get_sample_value("stepmark_controller_last_sync_timestamp_seconds") > 1e9  # type: ignore[operator]
    assert controller.registry.get_sample_value("stepmark_controller_active") == 1


def test_a_look_that_fails_is_logged_and_counted_and_the_next_one_succeeds(
    profiles: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeApi()
    api.create(kube.CRDS, None, CRD)
    text = profiles.read_text()
    profiles.write_text("[]")
    controller = Controller(settings(profiles, tick_seconds=0.1), api, FakeHub())
    assert controller._look() > 0
    assert "expected a mapping from names to profiles" in caplog.text
    assert controller.registry.get_sample_value("stepmark_controller_errors_total", {"kind": "tick"}) == 1
    profiles.write_text(text)
    controller._look()
    assert controller.registry.get_sample_value("stepmark_controller_errors_total", {"kind": "tick"}) == 1


def test_scenarios_are_counted_by_phase(profiles: Path) -> None:
    api = FakeApi()
    api.create(kube.CRDS, None, CRD)
    api.create(kube.SCENARIOS, "runs", scenario("one"))
    api.create(kube.SCENARIOS, "runs", scenario("two", profile="nowhere"))
    controller = Controller(settings(profiles), api, FakeHub())
    controller._look()
    controller._look()
    count = controller.registry.get_sample_value
    assert count("stepmark_controller_scenarios", {"phase": "Failed"}) == 1
    assert count("stepmark_controller_scenarios", {"phase": "Complete"}) == 0


@pytest.mark.parametrize(
    ("failures", "asked", "least", "most"), [(1, None, 0.5, 1), (4, None, 4, 8), (99, None, 30, 60)]
)
def test_waits_grow_with_failures_are_random_and_last_as_long_as_the_server_asks(
    failures: int, asked: float | None, least: float, most: float
) -> None:
    patience = kube.Patience()
    assert patience.seconds(failures, asked, 0.0) == least
    assert patience.seconds(failures, asked, 1.0) == most
    assert patience.seconds(failures, 120.0, 0.0) == 120


def test_a_lease_is_lost_by_its_holder_before_another_takes_it() -> None:
    now, api = [0.0], FakeApi()
    one, two = (Lease(api, "ns", "turn", name, 15, clock=lambda: now[0]) for name in ("one", "two"))
    one.renew()
    two.renew()
    assert (one.held(), two.held()) == (True, False)
    now[0] = 10.5
    assert not one.held()
    two.renew()
    assert not two.held()
    now[0] = 15.5
    two.renew()
    assert two.held()
    one.renew()
    assert not one.held()


def test_a_controller_that_lost_the_lease_creates_nothing_more(profiles: Path) -> None:
    api = FakeApi()
    api.create(kube.CRDS, None, CRD)
    api.create(kube.SCENARIOS, "runs", scenario())
    controller = Controller(settings(profiles, lease_namespace="runs"), api, FakeHub())
    assert controller._look() == 1.0
    assert not api.only(kube.RAYJOBS)


def test_settings_are_read_from_environment_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr("stepmark.controller.serve.serve", lambda found: given.update(found.model_dump()))
    variables = {
        "STEPMARK_CONTROLLER_PROFILES_FILE": "/p.yaml",
        "STEPMARK_CONTROLLER_HUB_URL": "http://hub:8080",
        "STEPMARK_CONTROLLER_HUB_TOKEN_FILE": "/token",
        "STEPMARK_CONTROLLER_NAMESPACES": "a,b",
        "STEPMARK_CONTROLLER_HUB_PEER": json.dumps({"podLabels": {"app": "hub"}, "port": 8080}),
        "STEPMARK_CONTROLLER_LEASE_NAMESPACE": "stepmark",
    }
    done = CliRunner().invoke(app, ["run"], env=variables)
    assert done.exit_code == 0, done.output
    assert given["namespaces"] == ("a", "b")
    assert given["hub_peer"] == {"namespace_labels": {}, "pod_labels": {"app": "hub"}, "port": 8080}
    assert given["lease_namespace"] == "stepmark"


def test_what_nobody_sets_has_the_default_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []
    monkeypatch.setattr("stepmark.controller.serve.serve", given.append)
    required = {"profiles_file": "p", "hub_url": "http://h", "hub_token_file": "t"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in required.items()]
    assert CliRunner().invoke(app, ["run", *options]).exit_code == 0
    assert given == [Settings(profiles_file=Path("p"), hub_url="http://h", hub_token_file=Path("t"))]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hub_url", "ftp://x", "text like"),
        ("namespaces", "A B", "text like"),
        ("hub_peer", "{", "JSON"),
        ("hub_peer", '{"podLabelz": {}}', "one of the keys namespaceLabels, podLabels, port"),
        ("tick_seconds", 100.0, "more than the 100 seconds of a tick"),
    ],
)
def test_a_setting_that_is_refused_is_named_with_its_variable_and_what_is_expected(
    name: str, value: object, expected: str
) -> None:
    good = {"profiles_file": Path("p"), "hub_url": "http://h", "hub_token_file": Path("t"), "namespaces": ""}
    named = "stale_seconds" if name == "tick_seconds" else name
    words = f"^--{named.replace('_', '-')} \\(STEPMARK_CONTROLLER_{named.upper()}\\): .*expected {expected}"
    with pytest.raises(CannotRun, match=words):
        settings_of(Settings, {**good, name: value}, VARIABLES, READERS)


def test_capabilities_are_those_of_the_served_version() -> None:
    assert of_crd(CRD).rayjobs
    assert not of_crd(CRD).auth_options
    assert not of_crd({"spec": {"versions": []}}).rayjobs


def test_the_trouble_of_a_pod_is_the_schedulers_or_the_kubelets_message() -> None:
    pod = {
        "metadata": {"name": "p", "creationTimestamp": "2026-11-25T12:00:00Z", "labels": {"stepmark.dev/role": "head"}}
    }
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    assert Pod.of({**pod, "status": {"containerStatuses": [waiting]}}).trouble == "ImagePullBackOff: no such image"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert Pod.of({**pod, "status": {"conditions": [condition]}}).trouble == "Unschedulable: 0/1 nodes"
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    assert Pod.of({**pod, "status": {"conditions": [target]}}).disrupted == "EvictionByEvictionAPI"
    assert Pod.of(pod).role == "head"
