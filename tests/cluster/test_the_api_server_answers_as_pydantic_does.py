"""One corpus of documents, two validators: the API server with the generated CRD, and Pydantic.

A document that only one of them can judge says so in its first line.
"""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, scenario_document
from stepmark.generate.crd import crd, text
from stepmark.scenario.load import scenario_from_file, scenario_from_object
from stepmark.scenario.status import ScenarioStatus

pytestmark = pytest.mark.cluster

CORPUS = ROOT / "tests" / "corpus" / "scenarios"
VALID = [*sorted((CORPUS / "valid").glob("*.yaml")), *sorted((ROOT / "scenarios").glob("*.yaml"))]
INVALID = sorted((CORPUS / "invalid").glob("*.yaml"))
DEFINITION = "crd/scenarios.stepmark.dev"
NAMESPACE = "answers-as-pydantic-does"


def done(process: Any) -> str:
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def server(cluster: Any) -> Iterator[Any]:
    """Yield the cluster with the CRD. A CRD that the chart brought is updated, and left at the end."""
    ours = cluster.kubectl("get", DEFINITION).returncode != 0
    done(cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text()))
    done(cluster.kubectl("wait", "--for=condition=Established", DEFINITION, "--timeout=60s"))
    done(cluster.kubectl("create", "namespace", NAMESPACE))
    yield cluster
    done(cluster.kubectl("delete", "namespace", NAMESPACE))
    if ours:
        done(cluster.kubectl("delete", DEFINITION))


@pytest.fixture
def objects(server: Any) -> Iterator[Any]:
    """Yield kubectl in a namespace with one scenario, `test`."""

    def kubectl(*arguments: str, **more: Any) -> Any:
        return server.kubectl("-n", NAMESPACE, *arguments, **more)

    done(kubectl("create", "-f", "-", input=yaml.safe_dump(scenario_document() | {"status": {"phase": "Complete"}})))
    yield kubectl
    done(kubectl("delete", "scenarios", "--all"))


def create(server: Any, path: Path) -> Any:
    return server.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", str(path))


@pytest.fixture(scope="module")
def answer_to(server: Any) -> Callable[[Path], Any]:
    """Return a function of the server's answer to a document, which is sent once."""
    return functools.cache(lambda path: create(server, path))


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def rules() -> set[str]:
    """Return the messages of all CEL rules but those about changes."""
    messages: set[str] = set()

    def collect(schema: Any) -> None:
        if isinstance(schema, dict):
            for rule in schema.get("x-kubernetes-validations", ()):
                messages.update([] if "oldSelf" in rule["rule"] else [rule["message"]])
            for one in schema.values():
                collect(one)

    collect(crd()["spec"]["versions"][0])
    assert messages
    return messages


def layers(path: Path) -> set[str]:
    return set(path.read_text().splitlines()[0].removeprefix("# refused-by: ").split(", "))


def test_the_api_server_keeps_the_definition_as_it_was_sent(server: Any) -> None:
    found = json.loads(done(server.kubectl("get", DEFINITION, "-o", "json")))
    assert found["spec"]["versions"][0]["schema"] == crd()["spec"]["versions"][0]["schema"]
    conditions = {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_document_gets_pydantics_defaults(server: Any, path: Path) -> None:
    theirs = json.loads(done(create(server, path)))
    ours = scenario_from_file(path)
    assert scenario_from_object(theirs).canonical_json() == ours.canonical_json()
    filled = ours.spec.model_dump(mode="json", by_alias=True)
    assert without_nulls(theirs["spec"]) == without_nulls(filled)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_document_is_refused_by_the_validators_that_it_names(
    answer_to: Callable[[Path], Any], path: Path
) -> None:
    answer = answer_to(path)
    assert (answer.returncode != 0) == bool(layers(path) & {"schema", "cel"}), answer.stderr
    if "cel" in layers(path):
        assert any(message in answer.stderr for message in rules()), answer.stderr


def test_every_cel_rule_refuses_a_document(answer_to: Callable[[Path], Any]) -> None:
    answers = [answer_to(path).stderr for path in INVALID if "cel" in layers(path)]
    assert [rule for rule in rules() if not any(rule in answer for answer in answers)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"profile": "other"},
        {"workload": {"params": {"stepSeconds": 0.005}}},
        {"workload": {"params": {"stepSeconds": None, "jitter": 0.004}}},
        {"candidates": [{"name": "b", "engine": "sleeper"}, {"name": "a", "engine": "sleeper"}]},
        {"sweep": {"execution": ["eager", "default"]}},
        {"scale": {"workers": [2, 1]}},
        {"training": {"clipGlobalNorm": 1}},
        {"measurement": {"seed": 1}},
        {"measurement": {"seed": 1}, "cancel": True},
        {"runPolicy": {"maxAttempts": 3}},
        {"parity": "required"},
    ],
    ids=str,
)
def test_a_change_of_a_scenarios_spec_is_refused(objects: Any, change: dict[str, Any]) -> None:
    document = scenario_document(
        candidates=[{"name": "a", "engine": "sleeper"}, {"name": "b", "engine": "sleeper"}],
        sweep={"execution": ["default", "eager"]},
        scale={"workers": [1, 2], "batchPerWorker": 8},
    )
    document["metadata"]["name"] = "other"
    done(objects("create", "-f", "-", input=yaml.safe_dump(document)))
    answer = objects("patch", "scenario", "other", "--type=merge", "-p", json.dumps({"spec": change}))
    assert "a scenario is one run and cannot change" in answer.stderr


def test_labels_and_annotations_of_a_scenario_can_change(objects: Any) -> None:
    done(objects("label", "scenario", "test", "team=vision"))
    done(objects("annotate", "scenario", "test", "note=x"))


def test_applying_a_scenario_twice_changes_nothing(objects: Any) -> None:
    document = yaml.safe_dump(scenario_document())
    done(objects("apply", "-f", "-", input=document))
    done(objects("patch", "scenario", "test", "--type=merge", "-p", '{"spec": {"cancel": true}}'))
    before = done(objects("get", "scenario", "test", "-o", "json"))
    done(objects("apply", "-f", "-", input=document))
    assert done(objects("get", "scenario", "test", "-o", "json")) == before


@pytest.mark.parametrize("value", ["false", "null"])
def test_a_cancelled_scenario_cannot_be_revived(objects: Any, value: str) -> None:
    done(objects("patch", "scenario", "test", "--type=merge", "-p", '{"spec": {"cancel": true}}'))
    answer = objects("patch", "scenario", "test", "--type=merge", "-p", f'{{"spec": {{"cancel": {value}}}}}')
    assert "a cancelled scenario stays cancelled" in answer.stderr


STATUS = {
    "observedGeneration": 1,
    "phase": "Complete",
    "message": "12 of 12 launches",
    "conditions": [
        {
            "type": "Complete",
            "status": "True",
            "reason": "Recorded",
            "message": "",
            "lastTransitionTime": "2026-11-25T15:08:24Z",
        }
    ],
    "attempts": [
        {"number": number, "rayJobName": f"test-{number}", "rayJobUID": "83e4e319", "state": "Ended", "validity": valid}
        for number, valid in ((1, "invalid"), (2, "valid"))
    ],
    "preemptions": 0,
    "result": {"runId": "r1", "verdict": "torch faster x1.30", "url": "https://hub.example/runs/r1", "headlines": []},
}


def set_status(objects: Any, **changes: Any) -> Any:
    patch = json.dumps({"status": STATUS | changes})
    return objects("patch", "scenario", "test", "--subresource=status", "--type=merge", "-p", patch)


def test_the_status_is_written_only_through_its_subresource(objects: Any) -> None:
    fresh = json.loads(done(objects("get", "scenario", "test", "-o", "json")))
    assert "status" not in fresh  # The server drops the status of a new document.
    done(set_status(objects))
    found = json.loads(done(objects("get", "scenario", "test", "-o", "json")))
    assert found["status"] == STATUS
    assert found["metadata"]["generation"] == 1
    ScenarioStatus.model_validate_json(json.dumps(found["status"]))
    done(objects("wait", "--for=condition=Complete", "scenario/test", "--timeout=10s"))


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "Splendid"},
        {"preemptions": -1},
        {"attempts": [{"number": n, "rayJobName": "x", "state": "Ended"} for n in range(1, 12)]},
        {"attempts": [{"number": 1, "rayJobName": "x", "state": "Ended"}] * 2},
        {"conditions": STATUS["conditions"] * 2},  # type: ignore[operator]
        {"result": {"runId": "r1", "verdict": "x", "url": "javascript:alert(1)"}},
        {"specDigest": "short"},
    ],
    ids=str,
)
def test_an_invalid_status_is_refused(objects: Any, change: dict[str, Any]) -> None:
    assert "is invalid" in set_status(objects, **change).stderr


def test_kubectl_get_shows_phase_progress_and_verdict(objects: Any) -> None:
    done(set_status(objects))
    head, line = done(objects("get", "scn", "test")).splitlines()
    assert head.split() == ["NAME", "PHASE", "PROGRESS", "VERDICT", "ATTEMPT", "AGE"]
    assert line.split()[:-1] == ["test", "Complete", "12", "of", "12", "launches", "torch", "faster", "x1.30", "2"]
    assert "r1" in done(objects("get", "stepmark", "-o", "wide"))


def test_kubectl_explain_describes_the_fields(objects: Any) -> None:
    told = " ".join(done(objects("explain", "scenario.spec")).split())
    assert "On a cluster only `cancel` and `suspend` can change" in told
