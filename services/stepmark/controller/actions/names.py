"""Names and labels of an attempt's objects, which everyone computes in the same way."""

import hashlib
from typing import Any

from stepmark.errors import printable

UID, ATTEMPT, ROLE = "stepmark.dev/scenario-uid", "stepmark.dev/attempt", "stepmark.dev/role"
ATTEMPTS_MOST = 9
"""The highest attempt number. With one digit, a RayJob's name has at most 47 characters, KubeRay's limit."""

_NUMBERS = {str(number) for number in range(1, ATTEMPTS_MOST + 1)}


def child_name(scenario: dict[str, Any], number: int) -> str:
    """Return the name of every object of an attempt.

    It contains a hash of the UID, so a new scenario with an old name does not meet old objects.
    """
    if not 1 <= number <= ATTEMPTS_MOST:
        raise ValueError(f"expected an attempt from 1 to {ATTEMPTS_MOST}, found {number}")
    metadata = scenario["metadata"]
    return f"{metadata['name']}-{hashlib.sha256(metadata['uid'].encode()).hexdigest()[:4]}-{number}"


def labels(scenario: dict[str, Any], number: int) -> dict[str, str]:
    """Return the labels of every object of an attempt."""
    return {
        UID: scenario["metadata"]["uid"],
        ATTEMPT: str(number),
        "app.kubernetes.io/managed-by": "stepmark-controller",
    }


def child_metadata(scenario: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the metadata of a child, which is deleted with its scenario."""
    metadata = scenario["metadata"]
    owner = {
        "apiVersion": scenario["apiVersion"],
        "kind": scenario["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,  # True would need a right on the scenario's finalizers.
    }
    return {
        "name": child_name(scenario, number),
        "namespace": metadata["namespace"],
        "labels": labels(scenario, number),
        "ownerReferences": [owner],
    }


def attempt_in(found: dict[str, Any]) -> int | None:
    """Return the attempt number in an object's label.

    None means that the label is not one of ours, since anybody may label an object.
    """
    label = (found.get("metadata", {}).get("labels") or {}).get(ATTEMPT, "")
    return int(label) if label in _NUMBERS else None


def described(manifest: dict[str, Any]) -> str:
    """Return a child's kind and name, for people."""
    return printable(f"{manifest['kind']} {manifest['metadata']['name']}")
