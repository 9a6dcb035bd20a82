"""Labels, annotations, runtime class and ServiceAccount of a profile in the pods of a run."""

from typing import Any

import pytest
from pydantic import ValidationError
from worlds import scenario

from stepmark.controller.actions import pods
from stepmark.controller.facts import Capabilities
from stepmark.controller.profile_pods import Pods
from stepmark.controller.profiles import Profile

ADDED = Profile(
    image="runner:1",
    pods=Pods(
        labels={"team": "speed"},
        annotations={"kueue.x-k8s.io/podset-preferred-topology": "rack"},
        runtime_class_name="nvidia",
        service_account_name="benchmarks",
    ),
)


def templates(profile: Profile) -> dict[str, dict[str, Any]]:
    document, can = scenario(), Capabilities()
    return {
        "head": pods.head(document, 1, profile, can, "http://hub:8080"),
        "worker": pods.worker(document, 1, profile, can),
        "submitter": pods.submitter(document, 1, profile, can),
    }


@pytest.mark.parametrize("role", ["head", "worker", "submitter"])
def test_every_pod_has_the_labels_annotations_and_account_beside_its_own(role: str) -> None:
    before, after = templates(Profile(image="runner:1"))[role], templates(ADDED)[role]
    assert after["metadata"]["labels"] == before["metadata"]["labels"] | {"team": "speed"}
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"] | dict(ADDED.pods.annotations)
    assert after["spec"]["serviceAccountName"] == "benchmarks"
    assert after["spec"]["automountServiceAccountToken"] is False


def test_the_runtime_class_is_that_of_the_pods_with_devices() -> None:
    classes = {role: one["spec"].get("runtimeClassName") for role, one in templates(ADDED).items()}
    assert classes == {"head": None, "worker": "nvidia", "submitter": None}


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("labels", "stepmark.dev/scenario-uid"),
        ("labels", "ray.io/cluster"),
        ("labels", "kueue.x-k8s.io/queue-name"),
        ("annotations", "karpenter.sh/do-not-disrupt"),
    ],
)
def test_what_stepmark_or_its_operators_set_is_refused(field: str, key: str) -> None:
    with pytest.raises(ValidationError, match=f"without {key}"):
        Pods.model_validate({field: {key: "x"}})


@pytest.mark.parametrize("role", ["head", "worker", "submitter"])
def test_every_container_names_its_user_since_a_platform_may_draw_an_id_without_a_name(role: str) -> None:
    [container] = templates(Profile(image="runner:1"))[role]["spec"]["containers"]
    assert {"name": "USER", "value": "stepmark"} in container["env"]
