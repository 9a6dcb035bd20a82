"""List the scenarios of each namespace with their RayJobs and pods.

A namespace that cannot be listed does not stop the others.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stepmark.controller import afterwards, kube
from stepmark.controller.actions import names
from stepmark.controller.facts import Problem
from stepmark.controller.plan import is_final, living, status_of
from stepmark.controller.ports import Api
from stepmark.controller.problems import problem_of
from stepmark.controller.settings import Settings

_OVER_MOST = 50
"""The maximum number of finished scenarios that are cleaned up in one tick."""

Object = dict[str, Any]
Objects = list[Object]
Place = str | None
"""A namespace, or None for all namespaces in one call."""


@dataclass(frozen=True)
class Case:
    """A scenario with its RayJobs and pods. `problem` is set where these could not be listed."""

    scenario: Object
    ray_jobs: Objects
    pods: Objects
    problem: Problem | None = None


@dataclass
class Look:
    """What one tick has listed. `failed` holds the error of each place that could not be listed completely."""

    scenarios: Objects = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    failed: dict[Place, kube.ApiError] = field(default_factory=dict)


def collect(api: Api, settings: Settings, rayjobs: bool, turned: Callable[[], None] = lambda: None) -> Look:
    """List all places. `rayjobs` is whether the RayJob kind exists; `turned` is called after each place.

    Raises:
        kube.ApiError: no place could be listed.
    """
    look, places = Look(), places_of(settings)
    for place in places:
        try:
            _look_at(api, place, rayjobs, look, settings)
        except kube.ApiError as error:
            look.failed[place] = error
        turned()
    if len(look.failed) == len(places) and not look.scenarios:
        raise next(iter(look.failed.values()))
    return look


def places_of(settings: Settings) -> tuple[Place, ...]:
    """Return the namespaces to list separately, or None alone to list all of them in one call."""
    return settings.namespaces or (None,)


def _look_at(api: Api, place: Place, rayjobs: bool, look: Look, settings: Settings) -> None:
    """List one place into `look`.

    RayJobs and pods are listed after the scenarios, so every child that a status names is older than that status: a
    child that is missing from the list is gone.
    """
    scenarios = list(api.every(kube.SCENARIOS, place))
    look.scenarios += scenarios
    alive = [one for one in scenarios if not is_final(one)]
    begun = [one["metadata"]["uid"] for one in alive if living(status_of(one)) is not None]
    problem = None
    ray_jobs: dict[str, Objects] = {}
    pods: dict[str, Objects] = {}
    try:
        ray_jobs = _of(api, kube.RAYJOBS, place, begun) if rayjobs else {}
        pods = _of(api, kube.PODS, place, [uid for uid in begun if ray_jobs.get(uid)])
    except kube.ApiError as error:
        look.failed[place] = error
        problem = problem_of(error, place or "*")
    now = datetime.now(UTC)
    over = [one for one in scenarios if is_final(one) and _is_due(one, settings, now)]
    look.cases += [Case(one, [], []) for one in over[:_OVER_MOST]]
    for one in alive:
        uid = one["metadata"]["uid"]
        look.cases.append(Case(one, ray_jobs.get(uid, []), pods.get(uid, []), problem))


def _is_due(scenario: Object, settings: Settings, now: datetime) -> bool:
    try:
        return afterwards.is_due(scenario, settings, now)
    except Exception:  # The status is malformed; the code that works on the scenario will report it.
        return True


def _of(api: Api, resource: str, place: Place, uids: list[str]) -> dict[str, Objects]:
    """Return the objects of these scenarios, by the scenario's UID."""
    found: dict[str, Objects] = defaultdict(list)
    for one in api.every_of(resource, place, names.UID, uids):
        found[one["metadata"]["labels"][names.UID]].append(one)
    return found
