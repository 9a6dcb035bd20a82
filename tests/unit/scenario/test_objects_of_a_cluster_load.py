"""An object as the API server returns it is the scenario that was sent, whatever the cluster added to it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from conftest import scenario_document
from stepmark.errors import ScenarioErrors
from stepmark.scenario.load import scenario_from_object, scenario_from_text
from stepmark.scenario.status import Attempt, Condition, ScenarioStatus

ADDED = {
    "uid": "83e4e319-bde5-4823-bf25-9380c3158939",
    "resourceVersion": "77",
    "generation": 2,
    "creationTimestamp": "2026-11-25T15:08:24Z",
    "deletionTimestamp": None,
    "managedFields": [{"manager": "kubectl-create", "fieldsV1": {"f:spec": {}}}],
    "ownerReferences": [],
    "finalizers": ["foregroundDeletion"],
    "namespace": "benchmarks",
    "labels": {"team": "vision"},
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
}


def of_a_cluster(**spec: Any) -> dict[str, Any]:
    document = scenario_document(**spec)
    document["metadata"] |= ADDED
    return document | {"status": {"phase": "Running", "anything": [1]}}


def test_fields_that_a_cluster_adds_do_not_change_the_digest() -> None:
    plain = scenario_from_object(scenario_document())
    told = of_a_cluster(cancel=True, runPolicy={"maxAttempts": 5})
    assert scenario_from_object(told).digest() == plain.digest()
    assert scenario_from_object(told).metadata.labels == {"team": "vision"}


def test_the_digest_of_a_document_is_the_one_of_before_clusters_were_supported() -> None:
    """Results that were kept are continued and compared by this digest."""
    document = scenario_document()
    del document["spec"]["measurement"]["maxTakenShare"], document["spec"]["measurement"]["maxMadeAgain"]
    digest = scenario_from_object(document).digest()
    assert digest == "e6cd7d22334a663f5750f925cc8729ea4509d9c96daf11d61730e30c056d2292"


def test_the_optimiser_of_older_scenarios_leaves_the_digest_and_another_one_changes_it() -> None:
    documents = [scenario_document(), *(scenario_document(training={"optimizer": o}) for o in ("sgd", "adamw"))]
    digests = [scenario_from_object(document).digest() for document in documents]
    assert digests[0] == digests[1] != digests[2]
    assert "optimizer" not in scenario_from_object(scenario_document()).canonical_json()


def test_the_canonical_text_is_a_scenario_with_the_same_digest() -> None:
    scenario = scenario_from_object(of_a_cluster())
    assert scenario_from_text(scenario.canonical_json()).digest() == scenario.digest()


@pytest.mark.parametrize("key", ["image", "nodeName", "Labels"])
def test_unknown_metadata_is_refused(key: str) -> None:
    document = of_a_cluster()
    document["metadata"][key] = "x"
    with pytest.raises(ScenarioErrors, match=f"metadata.{key}: expected one of the keys"):
        scenario_from_object(document)


def test_runs_of_one_generated_name_are_one_scenario() -> None:
    names = [{"generateName": "nightly-"}, {"generateName": "nightly-", "name": "nightly-x7k2p"}]
    scenarios = [scenario_from_object(scenario_document() | {"metadata": metadata}) for metadata in names]
    assert [scenario.metadata.name for scenario in scenarios] == ["nightly", "nightly-x7k2p"]
    assert {scenario.name for scenario in scenarios} == {"nightly"}
    assert scenarios[0].digest() == scenarios[1].digest()


def test_a_whole_number_is_the_same_with_and_without_its_fraction() -> None:
    """The API server returns 2.0 as 2."""
    ours, theirs = (scenario_document(workload={"model": "scripted", "params": {"stepSeconds": s}}) for s in (2.0, 2))
    assert scenario_from_object(ours).canonical_json() == scenario_from_object(theirs).canonical_json()


def test_a_status_is_written_without_unknown_fields_and_read_back_unchanged() -> None:
    now = datetime(2026, 11, 25, 15, 8, 24, tzinfo=UTC)
    status = ScenarioStatus(
        phase="Running",
        conditions=(Condition(type="Accepted", status="True", reason="Valid", last_transition_time=now),),
        attempts=(Attempt(number=1, ray_job_name="test-1", ray_job_uid="83e4e319", state="Creating"),),
    )
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written["conditions"][0]["lastTransitionTime"] == "2026-11-25T15:08:24Z"
    assert written["attempts"][0]["rayJobUID"] == "83e4e319"
    assert "result" not in written
    assert ScenarioStatus.model_validate_json(json.dumps(written)) == status
