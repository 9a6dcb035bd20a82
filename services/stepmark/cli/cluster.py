"""Scenario objects on a cluster: which one a verb is about, and what the API server's refusals mean."""

import re
from dataclasses import dataclass

from stepmark.controller import kube
from stepmark.errors import CannotRun, ScenarioError, ScenarioErrors, StepmarkError


@dataclass(frozen=True)
class Target:
    """Where a scenario is created.

    `name` is the object's exact name; None means that five characters are appended to the file's name.
    """

    namespace: str | None
    name: str | None = None


def explained(error: kube.ApiError, namespace: str, target: Target) -> StepmarkError:
    """Return what the API server refused, with what to do about it."""
    found = f"namespace {namespace}: {error}"
    if error.status in (400, 422):
        fix = "Correct the file, or bring the cluster's stepmark and yours to one version."
        refused = ScenarioError("the scenario", "one that this cluster takes", _refusal(error.message), fix)
        return ScenarioErrors([refused])
    if isinstance(error, kube.Conflict):
        return CannotRun(f"{found}. One object is one run: choose another --name, or give none.")
    if isinstance(error, kube.NotFound) and target.name and "not found" in error.message:
        return CannotRun(f"scenario {target.name}: expected it in namespace {namespace}, found none. Check -n.")
    if isinstance(error, kube.NotFound):
        return CannotRun(f"{found}. Expected the kind Scenario, and the namespace. Install stepmark's chart.")
    if error.status == 403:
        return CannotRun(f"{found}. {_way_to_the_right(error, namespace)}")
    return CannotRun(f"{found}. Check the cluster: kubectl cluster-info.")


def _refusal(message: str) -> str:
    """Remove the API server's remark that it has not checked everything, which begins with `<nil>`."""
    return re.sub(r"(, |\[)?<nil>: Invalid value: [^:]*: some validation rules were not checked[^\],]*", "", message)


def _way_to_the_right(error: kube.ApiError, namespace: str) -> str:
    if "exceeded quota" in error.message:
        return "Delete scenarios that are over, or ask the cluster's owner for a larger quota."
    grant = f"kubectl create rolebinding NAME --clusterrole=edit --user=YOU -n {namespace}"
    return f"Ask the cluster's owner for a role that may {error.verb} scenarios, as edit may: {grant}"
