"""Translate a failed call into the reason and message of a condition."""

from typing import Any

from stepmark.controller import kube
from stepmark.controller.actions.names import described
from stepmark.controller.facts import Problem
from stepmark.controller.hub_client import HubError


def problem_of(error: kube.ApiError | HubError, namespace: str) -> Problem:
    """Return the reason and the message of a failed call."""
    if isinstance(error, HubError):
        away = error.status in (0, 429) or error.status >= 500
        return Problem("HubUnavailable" if away else "HubRefused", str(error))
    text = error.message.lower()
    if error.status == 403 and "exceeded quota" in text:
        return Problem("QuotaExceeded", error.message)
    if error.status == 403:
        found = f"expected the right to {error.verb} {error.what} in namespace {namespace}, found none: {error.message}"
        return Problem("Forbidden", found)
    if error.status == 404 and error.what == kube.RAYJOBS:
        return Problem("KubeRayMissing", "expected the RayJob kind, found none. Install KubeRay.")
    if error.status >= 500 and "kueue" in text:
        return Problem("QueueUnavailable", error.message)
    if error.status == 429 or error.status >= 500 or error.status == 0:
        return Problem("ServerUnavailable", str(error))
    return Problem("Refused", str(error))


def taken(manifest: dict[str, Any]) -> Problem:
    """Return the problem that an object of a name that an attempt needs belongs to somebody else."""
    return Problem("NameTaken", f"{described(manifest)} belongs to somebody else; a new scenario has other names")
