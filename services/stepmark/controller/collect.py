"""One look at the cluster, namespace by namespace: what cannot be listed in one stops none of the others."""

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
"""Scenarios that are over and are tidied up after in one look."""

Object = dict[str, Any]
Objects = list[Object]
Place = str | None
"""A namespace; None: all of them at once."""


@dataclass(frozen=True)
class Case:
    """A scenario with its RayJobs and pods. `problem`: those could not be listed."""

    scenario: Object
    ray_jobs: Objects
    pods: Objects
    problem: Problem | None = None


@dataclass
class Look:
    """What was found. `failed`: what could not be listed, by place."""

    scenarios: Objects = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    failed: dict[Place, kube.ApiError] = field(default_factory=dict)


def collect(api: Api, settings: Settings, rayjobs: bool, turned: Callable[[], None] = lambda: None) -> Look:
    """Look everywhere. `rayjobs`: whether there is this kind. `turned` is called after each place.

    Raises:
        kube.ApiError: nothing could be listed in any of the places.
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
    return settings.namespaces or (None,)


def _look_at(api: Api, place: Place, rayjobs: bool, look: Look, settings: Settings) -> None:
    """RayJobs and pods are listed later than the scenarios: a child that a status speaks of is older than this status,
    so one that is missing now is gone.
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
    except Exception:  # a status that makes no sense: whoever works on it will say so
        return True


def _of(api: Api, resource: str, place: Place, uids: list[str]) -> dict[str, Objects]:
    """Objects of these scenarios, by the scenario's UID."""
    found: dict[str, Objects] = defaultdict(list)
    for one in api.every_of(resource, place, names.UID, uids):
        found[one["metadata"]["labels"][names.UID]].append(one)
    return found
