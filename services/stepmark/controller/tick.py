"""One tick: list all objects, then decide and act for each scenario that has not finished.

A failure in one namespace, scenario or RayJob is logged and counted, and the others go on.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from stepmark.controller import kube
from stepmark.controller.actions import names
from stepmark.controller.capabilities import capabilities
from stepmark.controller.collect import Case, Look, Place, collect, places_of
from stepmark.controller.facts import AwaitedRun, Capabilities, HubView, Pod, Problem, RayJob
from stepmark.controller.log import fields, log, of
from stepmark.controller.meters import PHASES, Meters
from stepmark.controller.plan import Here, Seen, is_final, living, status_of
from stepmark.controller.ports import Api, Hub
from stepmark.controller.profiles import BadProfile, profiles_from_file
from stepmark.controller.settings import Settings
from stepmark.controller.turns import with_turn
from stepmark.controller.work import Worker
from stepmark.results.wire import AttemptEnd

_LOOK_SECONDS = 300.0
_DELETED = AttemptEnd(outcome="cancelled", reason="deleted", message="the Scenario was deleted")
_OURS = "app.kubernetes.io/managed-by=stepmark-controller"


@dataclass
class Ticker:
    """Runs ticks. Between two ticks it remembers KubeRay's capabilities, back-offs, and what it has reported.

    `turned` is called whenever a part of a tick is done, so that a watcher sees that the loop does not hang.
    """

    api: Api
    hub: Hub
    settings: Settings
    worker: Worker
    meters: Meters
    pool: ThreadPoolExecutor
    turned: Callable[[], None] = lambda: None
    _can: Capabilities = field(default_factory=lambda: Capabilities(rayjobs=False))
    _looked: float | None = None
    _failed: dict[Place, str] = field(default_factory=dict)
    _bad: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def tick(self) -> None:
        """List everything, decide, and act.

        Raises:
            kube.ApiError: no namespace could be listed, and nothing was done.
            CannotRun: the profiles cannot be read.
        """
        started = monotonic()
        sweep = self._look(started)
        here = Here(self.settings, profiles_from_file(self.settings.profiles_file), self._can)
        self._tell_bad(here)
        look = collect(self.api, self.settings, self._can.rayjobs, self.turned)
        self._tell_failed(look)
        turns = with_turn((case.scenario for case in look.cases), here)
        list(self.pool.map(lambda case: self._work(case, here, turns), look.cases))
        if sweep and self._can.rayjobs:
            self._sweep(look)
        self._tell_deleted(look, sweep)
        if not look.failed:
            self.worker.rests.keep_only({case.scenario["metadata"]["uid"] for case in look.cases})
        self.meters.ticked(monotonic() - started, phases_of(look.scenarios))

    def _look(self, now: float) -> bool:
        """Read KubeRay's CRD from time to time, since KubeRay may be upgraded. Return whether it was read now."""
        due = self._looked is None or not self._can.rayjobs or now - self._looked > _LOOK_SECONDS
        if not due:
            return False
        try:
            found = capabilities(self.api)
        except kube.ApiError as error:
            if self._looked is None:
                raise
            self._failure("api", "KubeRay's capabilities could not be read; those read before stay in use", error)
            return False
        if found != self._can or self._looked is None:
            log.info("this cluster's KubeRay: %s", found)
        self._can, self._looked = found, now
        return True

    def _places(self) -> tuple[Place, ...]:
        return places_of(self.settings)

    def _tell_failed(self, look: Look) -> None:
        """Log a namespace's failure when it begins and when it ends; update the metrics at every tick."""
        for place in self._places():
            error = look.failed.get(place)
            before, now = self._failed.pop(place, None), None if error is None else str(error)
            self.meters.namespace(place, well=error is None)
            if error is not None and now is not None:
                self._failed[place] = now
                self.meters.error("namespace")
            if now is not None and now != before:
                log.warning("a namespace could not be listed; the others are not affected", extra=_at(place, error=now))
            elif now is None and before is not None:
                log.info("a namespace can be listed again", extra=_at(place))

    def _tell_bad(self, here: Here) -> None:
        """Log the refused profiles when they change."""
        bad = {name: one.problem for name, one in here.profiles.items() if isinstance(one, BadProfile)}
        for name, problem in bad.items():
            if self._bad.get(name) != problem:
                log.error(
                    "a profile is refused, and scenarios that name it wait: %s", problem, extra=fields(profile=name)
                )
        self._bad = bad

    def _work(self, case: Case, here: Here, turns: set[str]) -> None:
        try:
            seen = replace(self._seen(case), has_turn=case.scenario["metadata"]["uid"] in turns)
            self.worker.work(case.scenario, seen, here)
        except Exception as error:  # Whatever the error is, one scenario must not stop the others.
            self._failure("scenario", "a scenario could not be processed", error, of(case.scenario))
        self.turned()

    def _failure(self, kind: str, what: str, error: Exception, extra: dict[str, Any] | None = None) -> None:
        self.meters.error(kind)
        log.error(what, exc_info=error, extra=extra)

    def _seen(self, case: Case) -> Seen:
        scenario, ray_jobs, pods = case.scenario, case.ray_jobs, case.pods
        attempt = living(status_of(scenario))
        if attempt is None:
            return Seen()
        if not self._can.rayjobs:
            return Seen(problem=Problem("KubeRayMissing", "expected the RayJob kind, found none. Install KubeRay."))
        if case.problem is not None:
            return Seen(problem=case.problem)
        found = next((one for one in ray_jobs if one["metadata"]["name"] == attempt.ray_job_name), None)
        if found is None and attempt.ray_job_uid is not None:
            found = self._once_more(scenario, attempt.ray_job_name)
        hub = self._hub_view(scenario, attempt.number) if attempt.ray_job_uid or found else None
        if found is not None and hub is not None and hub.execution is not None and hub.execution.ended_early:
            # The reason may be that the RayJob was suspended, or lost a pod, after these were listed.
            found = self._once_more(scenario, attempt.ray_job_name)
            uid, place = scenario["metadata"]["uid"], scenario["metadata"]["namespace"]
            pods = list(self.api.every_of(kube.PODS, place, names.UID, [uid]))
        ray_job = None if found is None else RayJob.of(found)
        own = [pod for pod in pods if pod["metadata"]["labels"].get(names.ATTEMPT) == str(attempt.number)]
        return Seen(ray_job, tuple(map(Pod.of, own)), hub)

    def _once_more(self, scenario: dict[str, Any], name: str) -> dict[str, Any] | None:
        """Read the RayJob again, or return None if it is really gone: the whole attempt depends on it."""
        try:
            return self.api.get(kube.RAYJOBS, scenario["metadata"]["namespace"], name)
        except kube.NotFound:
            return None

    def _hub_view(self, scenario: dict[str, Any], number: int) -> HubView | None:
        return self.hub.view(scenario["metadata"]["uid"], number)

    def _sweep(self, look: Look) -> None:
        """End the RayJobs of attempts that have ended.

        Such RayJobs come from a controller that was paused and then continued with an old decision. The scenarios were
        listed earlier; what had ended then has ended now.
        """
        oldest = {one["metadata"]["uid"]: _oldest_alive(one) for one in look.scenarios}
        for place in (one for one in self._places() if one not in look.failed):
            try:
                found = list(self.api.every(kube.RAYJOBS, place, _OURS))
            except kube.ApiError as error:
                self._failure("sweep", "old RayJobs could not be listed", error, _at(place))
                continue
            for one in found:
                try:
                    self._sweep_away(one, oldest)
                except Exception as error:
                    name = one.get("metadata", {}).get("name")
                    self._failure("sweep", "an old RayJob could not be ended", error, _at(place, ray_job=name))
            self.turned()

    def _tell_deleted(self, look: Look, sweep: bool) -> None:
        """Report to the hub the scenarios that were deleted before their runs had ended."""
        known = {one["metadata"]["uid"] for one in look.scenarios}
        gone, self._known = self._known - known, known
        for place in (one for one in self._places() if one not in look.failed and (sweep or gone)):
            try:
                for run in self.hub.awaited(place):
                    if run.run_id not in known and self._is_gone(run):
                        self.hub.end(run.run_id, run.number, _DELETED)
                        log.info(
                            "told the hub that a scenario was deleted", extra=_at(run.namespace, scenario=run.name)
                        )
            except Exception as error:
                self._failure("hub", "the hub could not be told of deleted scenarios", error, _at(place))

    def _is_gone(self, run: AwaitedRun) -> bool:
        """Return whether the run's scenario is gone. It may have been created after the scenarios were listed."""
        try:
            found = self.api.get(kube.SCENARIOS, run.namespace, run.name)
        except kube.NotFound:
            return True
        return bool(found["metadata"]["uid"] != run.run_id)

    def _sweep_away(self, found: dict[str, Any], oldest: dict[str, int]) -> None:
        number, job = names.attempt_in(found), RayJob.of(found)
        over = number is not None and number < oldest.get(job.owner_uid or "", 0)
        if over and not job.finished and job.deleted_at is None:
            self.api.delete(kube.RAYJOBS, found["metadata"]["namespace"], job.name, job.uid)
            log.info("ended a RayJob of an attempt that has ended", extra=_at(None, ray_job=job.name))


def _at(place: Place, **more: Any) -> dict[str, Any]:
    return fields(namespace=place, **more)


def _oldest_alive(scenario: dict[str, Any]) -> int:
    """Return the oldest attempt number that may still be live; all earlier attempts have ended."""
    if is_final(scenario):
        return names.ATTEMPTS_MOST + 1
    attempts = status_of(scenario).attempts
    return attempts[-1].number if attempts else 0


def phases_of(scenarios: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how many scenarios are in each phase. A scenario without a status counts as Pending."""
    phases = Counter(str((one.get("status") or {}).get("phase") or PHASES[0]) for one in scenarios)
    return dict(phases)
