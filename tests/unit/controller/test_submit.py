"""`stepmark submit` and `stepmark cancel` with the fake API server: what they create, print, and end with."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fake_api import FakeApi

from conftest import scenario_document
from stepmark.cli import watching
from stepmark.cli.cluster import Target
from stepmark.cli.options import HubChoices
from stepmark.cli.verbs.cancel import cancel
from stepmark.cli.verbs.submit import submit
from stepmark.controller import kube
from stepmark.errors import CannotRun, ScenarioErrors

NO_HUB = HubChoices(None, None)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    made = FakeApi()
    made.namespace_of_context = "default"
    monkeypatch.setattr(kube.Kube, "connect", lambda threads: made)
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.01)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(scenario_document()))
    return path


def named(api: FakeApi) -> None:
    """Let the fake server append fixed characters to a prefix of names, where a real one draws five."""
    create = api.create

    def with_name(resource: str, namespace: str | None, manifest: dict[str, Any]) -> dict[str, Any]:
        metadata = dict(manifest["metadata"])
        metadata["name"] = metadata.pop("generateName") + "x2x4z"
        return create(resource, namespace, {**manifest, "metadata": metadata})

    api.create = with_name


def test_the_name_in_the_file_is_the_prefix_of_the_created_scenarios_name(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named(api)
    submit(file, Target("bench"), False, NO_HUB)
    made = api.only(kube.SCENARIOS, "bench")[0]
    assert made["metadata"]["name"] == "test-x2x4z"
    assert made["spec"] == scenario_document()["spec"]
    said = capsys.readouterr().out
    assert "created scenario test-x2x4z in namespace bench" in said
    assert "stepmark cancel test-x2x4z -n bench" in said


def test_a_name_that_is_taken_is_refused_with_a_remedy(api: FakeApi, file: Path) -> None:
    submit(file, Target(None, "mine"), False, NO_HUB)
    assert api.only(kube.SCENARIOS, "default")
    with pytest.raises(CannotRun, match="choose another --name"):
        submit(file, Target(None, "mine"), False, NO_HUB)


def test_a_scenario_that_submit_refuses_never_reaches_the_cluster(api: FakeApi, file: Path) -> None:
    file.write_text(yaml.safe_dump(scenario_document(parity="maybe")))
    with pytest.raises(ScenarioErrors, match="parity"):
        submit(file, Target(None), False, NO_HUB)
    assert not api.log


def test_a_refusal_by_the_cluster_has_the_exit_code_of_a_refused_scenario(api: FakeApi, file: Path) -> None:
    def refuse(verb: str, resource: str, committed: bool) -> None:
        raise kube.ApiError(422, "spec.workload: Invalid value", "create", resource, None)

    api.on_call = refuse
    with pytest.raises(ScenarioErrors, match=r"spec\.workload") as error:
        submit(file, Target(None, "mine"), False, NO_HUB)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("message", "way_out"),
    [
        ('User "ada" cannot create resource "scenarios"', r"may create scenarios.*--clusterrole=edit .*-n bench"),
        ("exceeded quota: stepmark, used: count/scenarios.stepmark.dev=500", "Delete scenarios that are over"),
    ],
)
def test_a_submit_that_is_forbidden_ends_with_a_remedy(api: FakeApi, file: Path, message: str, way_out: str) -> None:
    def refuse(verb: str, resource: str, committed: bool) -> None:
        raise kube.ApiError(403, message, verb, resource, None)

    api.on_call = refuse
    with pytest.raises(CannotRun, match=way_out):
        submit(file, Target("bench", "mine"), False, NO_HUB)


def ended(phase: str, reason: str, **more: Any) -> dict[str, Any]:
    condition = {
        "type": "Complete" if phase == "Complete" else "Failed",
        "status": "True",
        "reason": reason,
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }
    return {"phase": phase, "message": f"it is {phase}", "conditions": [condition], **more}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ended("Complete", "Complete", result={"runId": "r-1", "verdict": "torch is faster"}), 0),
        (ended("Failed", "LaunchFailed", result={"runId": "r-1", "verdict": "inconclusive"}), 1),
        (ended("Failed", "BeyondLimits"), 2),
        (ended("Failed", "CannotRun"), 3),
        (ended("Cancelled", "Cancelled"), 1),
    ],
)
def test_watch_ends_with_the_exit_code_of_a_local_run(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str], status: dict[str, Any], code: int
) -> None:
    def end(verb: str, resource: str, committed: bool) -> None:
        if verb == "get":
            api.objects[kube.SCENARIOS, "default", "mine"]["status"] = status

    api.on_call = end
    try:
        submit(file, Target(None, "mine"), True, NO_HUB)
        found = 0
    except typer.Exit as exit:
        found = exit.exit_code
    said = capsys.readouterr()
    assert found == code
    assert f"{status['phase']}: it is {status['phase']}" in said.err
    assert ("stepmark results r-1" in said.out) is ("result" in status)


def test_watch_waits_for_a_cluster_that_does_not_answer(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([kube.ApiError(0, "no answer", "get", "scenarios", None), None])

    def away(verb: str, resource: str, committed: bool) -> None:
        if verb == "get":
            error = next(answers)
            if error is not None:
                raise error
            api.objects[kube.SCENARIOS, "default", "mine"]["status"] = ended("Complete", "Complete")

    api.on_call = away
    submit(file, Target(None, "mine"), True, NO_HUB)
    assert "the cluster does not answer, waiting" in capsys.readouterr().err


def test_cancel_marks_the_scenario_and_says_where_there_is_nothing_to_cancel(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(file, Target(None, "mine"), False, NO_HUB)
    cancel("mine", None)
    assert api.only(kube.SCENARIOS, "default")[0]["spec"]["cancel"] is True
    api.objects[kube.SCENARIOS, "default", "mine"]["status"] = ended("Complete", "Complete")
    cancel("mine", None)
    assert "over already: Complete" in capsys.readouterr().out
    with pytest.raises(CannotRun, match="expected it in namespace default"):
        cancel("other", None)


def watched(api: FakeApi, file: Path, *statuses: dict[str, Any] | None) -> None:
    """Watch a scenario that has these statuses at one look after the other, and then is complete."""
    looks = iter([*statuses, ended("Complete", "Complete")])

    def next_one(verb: str, resource: str, committed: bool) -> None:
        if verb == "get":
            status = next(looks)
            if status is not None:
                api.objects[kube.SCENARIOS, "default", "mine"]["status"] = status

    api.on_call = next_one
    submit(file, Target(None, "mine"), True, NO_HUB)


def test_watch_says_why_an_attempt_ended_though_the_next_one_has_begun(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {
        "number": 1, "rayJobName": "a-1", "state": "Ended", "reason": "StartTimeout", "message": "no \x1b[2Jnode",
        "endedAt": "2026-11-25T12:00:00Z",
    }  # fmt: skip
    second = {"number": 2, "rayJobName": "a-2", "state": "Creating"}
    status = {"phase": "Pending", "message": "attempt 2: its objects are being created", "attempts": [first, second]}
    watched(api, file, status, status)
    said = capsys.readouterr().err
    assert said.count("attempt 1 has ended, StartTimeout: no \\x1b[2Jnode") == 1


def test_watch_says_that_no_controller_has_looked_at_a_scenario(
    api: FakeApi, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_UNSEEN_SECONDS", 0.0)
    watched(api, file, None, None)
    said = capsys.readouterr().err
    assert said.count("no controller has looked at it") == 1
    assert "Is namespace default one of the chart's watchNamespaces" in said


def test_an_api_servers_remark_about_nil_is_left_out(api: FakeApi, file: Path) -> None:
    message = (
        'Scenario.stepmark.dev "x" is invalid: [spec.workload.params.depth: Invalid value: 3: expected 18, '
        '<nil>: Invalid value: "null": some validation rules were not checked because the object was invalid; '
        "correct the existing errors to complete validation]"
    )

    def refuse(verb: str, resource: str, committed: bool) -> None:
        raise kube.ApiError(422, message, "create", resource, None)

    api.on_call = refuse
    with pytest.raises(ScenarioErrors) as error:
        submit(file, Target(None, "mine"), False, NO_HUB)
    assert "expected 18" in str(error.value)
    assert "nil" not in str(error.value)
