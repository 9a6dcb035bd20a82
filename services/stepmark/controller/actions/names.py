"""Names and labels of an attempt's objects: the same for everyone who computes them."""

import hashlib
from typing import Any

from stepmark.errors import printable

UID, ATTEMPT, ROLE = "stepmark.dev/scenario-uid", "stepmark.dev/attempt", "stepmark.dev/role"
ATTEMPTS_MOST = 9
"""With a one-digit number a RayJob's name has at most 47 characters, which is what KubeRay allows."""

_NUMBERS = {str(number) for number in range(1, ATTEMPTS_MOST + 1)}


def child_name(scenario: dict[str, Any], number: int) -> str:
    """Name of every object of an attempt. The UID is in it: a new scenario of an old name meets no old objects."""
    if not 1 <= number <= ATTEMPTS_MOST:
        raise ValueError(f"expected an attempt from 1 to {ATTEMPTS_MOST}, found {number}")
    metadata = scenario["metadata"]
    return f"{metadata['name']}-{hashlib.sha256(metadata['uid'].encode()).hexdigest()[:4]}-{number}"


def labels(scenario: dict[str, Any], number: int) -> dict[str, str]:
    """Labels of every object of an attempt."""
    return {
        UID: scenario["metadata"]["uid"],
        ATTEMPT: str(number),
        "app.kubernetes.io/managed-by": "stepmark-controller",
    }


def child_metadata(scenario: dict[str, Any], number: int) -> dict[str, Any]:
    """Metadata of a child: when the scenario is deleted, so is the child."""
    metadata = scenario["metadata"]
    owner = {
        "apiVersion": scenario["apiVersion"],
        "kind": scenario["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,  # needs a right on the scenario's finalizers otherwise
    }
    return {
        "name": child_name(scenario, number),
        "namespace": metadata["namespace"],
        "labels": labels(scenario, number),
        "ownerReferences": [owner],
    }


def attempt_in(found: dict[str, Any]) -> int | None:
    """The number in an object's label; None where it is none of ours, as anybody may label an object."""
    label = (found.get("metadata", {}).get("labels") or {}).get(ATTEMPT, "")
    return int(label) if label in _NUMBERS else None


def described(manifest: dict[str, Any]) -> str:
    """A child, for people."""
    return printable(f"{manifest['kind']} {manifest['metadata']['name']}")
