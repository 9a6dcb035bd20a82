"""Carry out the decisions about one scenario, and decide again, until nothing is left but to wait.

A call that fails is backed off, longer each time. Meanwhile its reason stands in the scenario's conditions.
"""

import base64
import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from stepmark.controller import kube
from stepmark.controller.actions.kinds import (
    Action,
    CreateChild,
    DeleteRayJob,
    Event,
    GiveToken,
    PatchStatus,
    RemoveChildren,
    RemoveScenario,
    TellEnd,
)
from stepmark.controller.actions.names import child_name, described
from stepmark.controller.facts import Problem, RayJob, owner_uid
from stepmark.controller.hub_client import HubError
from stepmark.controller.log import log, of
from stepmark.controller.meters import Meters
from stepmark.controller.plan import Here, Seen, plan
from stepmark.controller.ports import Api, Hub
from stepmark.controller.problems import problem_of, taken
from stepmark.results.wire import new_token

_ROUNDS_MOST = 8


class NotActive(Exception):
    """Another controller has taken over, so everything must stay as it is."""


@dataclass(frozen=True)
class _Rest:
    failures: int
    until: float
    problem: Problem


class Rests:
    """Which scenarios are backed off after a failed call, and why.

    This state is in memory only: a new controller tries again at once.
    """

    def __init__(self, patience: kube.Patience | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._patience, self._clock = patience or kube.Patience(), clock
        self._rests: dict[str, _Rest] = {}
        self._lock = threading.Lock()

    def problem(self, uid: str) -> Problem | None:
        """Return why this scenario is backed off now, or None if it is not."""
        with self._lock:
            rest = self._rests.get(uid)
        return rest.problem if rest is not None and self._clock() < rest.until else None

    def failed(self, uid: str, problem: Problem, retry_after_seconds: float | None) -> None:
        """Back the scenario off after a failed call, no shorter than the server asks for."""
        with self._lock:
            before = self._rests.get(uid)
            failures = before.failures + 1 if before is not None else 1
            until = self._clock() + self._patience.seconds(failures, retry_after_seconds)
            self._rests[uid] = _Rest(failures, until, problem)

    def succeeded(self, uid: str) -> None:
        """Forget the scenario's failures."""
        with self._lock:
            self._rests.pop(uid, None)

    def keep_only(self, uids: set[str]) -> None:
        """Forget all scenarios but these."""
        with self._lock:
            self._rests = {uid: rest for uid, rest in self._rests.items() if uid in uids}


class Worker:
    """Processes scenarios, one at a time in each calling thread. `active` returns whether this controller may act."""

    def __init__(
        self, api: Api, hub: Hub, meters: Meters, active: Callable[[], bool] = lambda: True, rests: Rests | None = None
    ) -> None:
        self._api, self._hub, self._meters, self._active = api, hub, meters, active
        self.rests = rests if rests is not None else Rests()

    def work(self, scenario: dict[str, Any], seen: Seen, here: Here) -> None:
        """Decide and act for one scenario, for several rounds."""
        uid = scenario["metadata"]["uid"]
        seen = replace(seen, problem=seen.problem or self.rests.problem(uid))
        try:
            self._rounds(scenario, seen, here)
        except NotActive:
            return
        except kube.Conflict as error:
            what = "another writer was faster; the scenario is decided again at the next look"
            self._failure("conflict", what, error, scenario)
        except (kube.ApiError, HubError) as error:
            kind = "hub" if isinstance(error, HubError) else "api"
            self._failure(kind, "a call failed and is tried again", error, scenario)
            if seen.problem is None:
                self._rest(scenario, seen, here, error)

    def _rounds(self, scenario: dict[str, Any], seen: Seen, here: Here) -> None:
        for _ in range(_ROUNDS_MOST):
            actions = plan(scenario, seen, here, datetime.now(UTC))
            if not actions:
                if seen.problem is None:
                    self.rests.succeeded(scenario["metadata"]["uid"])
                return
            resting = seen.problem
            for action in actions:
                if not self._active():
                    raise NotActive
                scenario, seen = self._do(action, scenario, seen)
                if seen.problem is not resting:
                    break  # A child's name is taken, so nothing more of this attempt is created.
            else:
                if isinstance(actions[-1], CreateChild | DeleteRayJob | RemoveScenario):
                    self.rests.succeeded(scenario["metadata"]["uid"])
                    return  # KubeRay acts next.

    def _rest(self, scenario: dict[str, Any], seen: Seen, here: Here, error: kube.ApiError | HubError) -> None:
        uid, problem = scenario["metadata"]["uid"], problem_of(error, scenario["metadata"]["namespace"])
        self.rests.failed(uid, problem, error.retry_after_seconds if isinstance(error, kube.ApiError) else None)
        try:  # Start from the current object, since earlier rounds may have written to it.
            fresh = self._api.get(kube.SCENARIOS, scenario["metadata"]["namespace"], scenario["metadata"]["name"])
            for action in plan(fresh, replace(seen, problem=problem), here, datetime.now(UTC)):
                if isinstance(action, PatchStatus) and fresh["metadata"]["uid"] == uid:
                    self._do(action, fresh, seen)
        except (kube.ApiError, HubError) as again:
            self._failure("api", "why a call failed could not be written to the status either", again, scenario)

    def _failure(self, kind: str, what: str, error: Exception, scenario: dict[str, Any]) -> None:
        self._meters.error(kind)
        log.log(logging.INFO if kind == "conflict" else logging.WARNING, what, exc_info=error, extra=of(scenario))

    def _do(self, action: Action, scenario: dict[str, Any], seen: Seen) -> tuple[dict[str, Any], Seen]:
        """Carry out one action, and return the scenario and the facts after it."""
        namespace = scenario["metadata"]["namespace"]
        match action:
            case PatchStatus():
                return self._patch(action, scenario), seen
            case CreateChild(manifest):
                found = self._create(scenario, manifest)
                if found is None:
                    return scenario, replace(seen, problem=taken(manifest))
                return scenario, replace(seen, ray_job=RayJob.of(found)) if manifest["kind"] == "RayJob" else seen
            case GiveToken(manifest, number):
                if not self._give_token(scenario, manifest, number):
                    return scenario, replace(seen, problem=taken(manifest))
            case DeleteRayJob(name, uid):
                self._delete(namespace, name, uid)
                log.info("deleted RayJob %s", name, extra=of(scenario))
            case TellEnd(number, end):
                self._hub.end(scenario["metadata"]["uid"], number, end)
                log.info("told the hub: %s", end.reason, extra=of(scenario, attempt=number))
            case RemoveChildren(number):
                self._remove_children(scenario, number)
            case RemoveScenario():
                self._api.delete(kube.SCENARIOS, namespace, scenario["metadata"]["name"], scenario["metadata"]["uid"])
                log.info("removed the scenario, as its runPolicy asks", extra=of(scenario))
        return scenario, seen

    def _patch(self, action: PatchStatus, scenario: dict[str, Any]) -> dict[str, Any]:
        metadata = scenario["metadata"]
        status = action.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        change = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        written = self._api.patch(kube.SCENARIOS, metadata["namespace"], metadata["name"], change, status=True)
        before, after = (one.get("status") or {} for one in (scenario, written))
        moved = before.get("phase") != after.get("phase")
        said = logging.INFO if moved else logging.DEBUG
        log.log(said, "%s: %s", after.get("phase"), after.get("message", ""), extra=of(scenario))
        for event in action.events:
            log.info("%s: %s", event.reason, event.message, extra=of(scenario))
            self._meters.event(event.reason)
            self._say(event, written)
        return written

    def _create(self, scenario: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any] | None:
        """Create the child, or return the one that exists; None if its name belongs to somebody else."""
        resource = kube.RESOURCE_OF_KIND[manifest["kind"]]
        metadata = manifest["metadata"]
        try:
            made = self._api.create(resource, metadata["namespace"], manifest)
            log.info("created %s", described(manifest), extra=of(scenario))
            return made
        except kube.Conflict:
            found = self._api.get(resource, metadata["namespace"], metadata["name"])
        return found if owner_uid(found) == scenario["metadata"]["uid"] else None

    def _give_token(self, scenario: dict[str, Any], manifest: dict[str, Any], number: int) -> bool:
        """Create the Secret with the write token and register the token at the hub.

        The Secret decides which token holds: if two controllers draw one each, both register the one in the Secret.
        """
        drawn = new_token()
        found = self._create(scenario, {**manifest, "data": {"token": base64.b64encode(drawn.encode()).decode()}})
        if found is None:
            return False
        self._hub.register(scenario, number, _token_in(found))
        return True

    def _delete(self, namespace: str, name: str, uid: str) -> None:
        try:
            self._api.delete(kube.RAYJOBS, namespace, name, uid)
        except (kube.NotFound, kube.Conflict):
            return  # It is gone, or another object has its name.

    def _remove_children(self, scenario: dict[str, Any], number: int) -> None:
        """Remove an attempt's objects, the RayJob first, since its pods use the others.

        Objects of the same name that belong to somebody else stay.
        """
        metadata = scenario["metadata"]
        name = child_name(scenario, number)
        for resource in (kube.RAYJOBS, kube.SECRETS, kube.CONFIG_MAPS, kube.NETWORK_POLICIES):
            try:
                found = self._api.get(resource, metadata["namespace"], name)
                if owner_uid(found) == metadata["uid"]:
                    self._api.delete(resource, metadata["namespace"], name, found["metadata"]["uid"])
            except (kube.NotFound, kube.Conflict):
                continue  # It is gone, or another object has its name.
        log.info("removed the objects of attempt %d", number, extra=of(scenario))

    def _say(self, event: Event, scenario: dict[str, Any]) -> None:
        try:
            self._api.create(kube.EVENTS, scenario["metadata"]["namespace"], event_manifest(event, scenario))
        except kube.ApiError as error:  # Nothing depends on the event, and the status says the same.
            self._failure("event", "an event could not be written", error, scenario)


def event_manifest(event: Event, scenario: dict[str, Any]) -> dict[str, Any]:
    """Return the Event object. Its name is derived from its content, so each event is written once."""
    metadata = scenario["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']}{event.reason}{event.message}".encode()).hexdigest()[:16]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": scenario["apiVersion"],
            "kind": scenario["kind"],
            **{key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
        },
        "type": event.kind,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": "stepmark-controller"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _token_in(secret: dict[str, Any]) -> str:
    return base64.b64decode(secret["data"]["token"]).decode("ascii")
