"""One look at everything: list, then decide and act for each scenario that is not over."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from stepmark.controller import kube
from stepmark.controller.actions import names
from stepmark.controller.capabilities import capabilities
from stepmark.controller.facts import Capabilities, HubView, Pod, Problem, RayJob
from stepmark.controller.meters import PHASES, Meters
from stepmark.controller.plan import Here, Seen, is_final, living, status_of
from stepmark.controller.ports import Api, Hub
from stepmark.controller.profiles import profiles_from_file
from stepmark.controller.settings import Settings
from stepmark.controller.work import Worker

_LOOK_SECONDS = 300.0
_OURS = "app.kubernetes.io/managed-by=stepmark-controller"

Objects = list[dict[str, Any]]
Case = tuple[dict[str, Any], Objects, Objects]


@dataclass
class Ticker:
    """Looks at everything, again and again. Only capabilities, and what rests, are remembered between two looks."""

    api: Api
    hub: Hub
    settings: Settings
    worker: Worker
    meters: Meters
    pool: ThreadPoolExecutor
    _can: Capabilities = field(default_factory=lambda: Capabilities(rayjobs=False))
    _looked: float | None = None

    def tick(self) -> None:
        """List, compute, act.

        Raises:
            kube.ApiError: something could not be listed; nothing was done about it.
            CannotRun: the profiles cannot be read.
        """
        started = monotonic()
        sweep = self._look(started)
        here = Here(self.settings, profiles_from_file(self.settings.profiles_file), self._can)
        scenarios = self._everywhere(kube.SCENARIOS)
        alive = [one for one in scenarios if not is_final(one)]
        list(self.pool.map(lambda case: self._work(case, here), self._cases(alive)))
        if sweep and self._can.rayjobs:
            self._sweep(scenarios)
        self.worker.rests.keep_only({one["metadata"]["uid"] for one in alive})
        self.meters.ticked(monotonic() - started, phases_of(scenarios))

    def _look(self, now: float) -> bool:
        """Read KubeRay's CRD now and then, as it may be upgraded; whether it was time to."""
        due = self._looked is None or not self._can.rayjobs or now - self._looked > _LOOK_SECONDS
        if due:
            self._can, self._looked = capabilities(self.api), now
        return due

    def _everywhere(self, resource: str, selector: str = "") -> Objects:
        return [one for place in self._places() for one in self.api.every(resource, place, selector)]

    def _of(self, resource: str, uids: list[str]) -> dict[str, Objects]:
        """Objects of these scenarios, by the scenario's UID."""
        found: dict[str, Objects] = defaultdict(list)
        for place in self._places():
            for one in self.api.every_of(resource, place, names.UID, uids):
                found[one["metadata"]["labels"][names.UID]].append(one)
        return found

    def _places(self) -> tuple[str | None, ...]:
        return self.settings.namespaces or (None,)

    def _cases(self, alive: Objects) -> Iterator[Case]:
        """Scenarios with their RayJobs and pods.

        These are listed later than the scenarios: a child that a status speaks of is older than this status, so one
        that is missing now is gone.
        """
        begun = [one["metadata"]["uid"] for one in alive if living(status_of(one)) is not None]
        ray_jobs = self._of(kube.RAYJOBS, begun) if self._can.rayjobs else {}
        running = [uid for uid in begun if ray_jobs.get(uid)]
        pods = self._of(kube.PODS, running)
        for one in alive:
            uid = one["metadata"]["uid"]
            yield one, ray_jobs.get(uid, []), pods.get(uid, [])

    def _work(self, case: Case, here: Here) -> None:
        scenario, ray_jobs, pods = case
        try:
            self.worker.work(scenario, self._seen(scenario, ray_jobs, pods), here)
        except (kube.ApiError, ValueError, KeyError, TypeError, AttributeError):
            self.meters.error("scenario")  # one scenario must not keep the others from going on

    def _seen(self, scenario: dict[str, Any], ray_jobs: Objects, pods: Objects) -> Seen:
        attempt = living(status_of(scenario))
        if attempt is None:
            return Seen()
        if not self._can.rayjobs:
            return Seen(problem=Problem("KubeRayMissing", "expected the RayJob kind, found none. Install KubeRay."))
        found = next((one for one in ray_jobs if one["metadata"]["name"] == attempt.ray_job_name), None)
        if found is None and attempt.ray_job_uid is not None:
            found = self._once_more(scenario, attempt.ray_job_name)
        hub = self._hub_view(scenario, attempt.number) if attempt.ray_job_uid or found else None
        if found is not None and hub is not None and hub.execution is not None and hub.execution.ended_early:
            # Why? It may have been suspended, or have lost a pod, since these were listed.
            found = self._once_more(scenario, attempt.ray_job_name)
            uid, place = scenario["metadata"]["uid"], scenario["metadata"]["namespace"]
            pods = list(self.api.every_of(kube.PODS, place, names.UID, [uid]))
        ray_job = None if found is None else RayJob.of(found)
        own = [pod for pod in pods if pod["metadata"]["labels"].get(names.ATTEMPT) == str(attempt.number)]
        return Seen(ray_job, tuple(map(Pod.of, own)), hub)

    def _once_more(self, scenario: dict[str, Any], name: str) -> dict[str, Any] | None:
        """As it is now, or None if it is really gone: what is at stake is the whole attempt."""
        try:
            return self.api.get(kube.RAYJOBS, scenario["metadata"]["namespace"], name)
        except kube.NotFound:
            return None

    def _hub_view(self, scenario: dict[str, Any], number: int) -> HubView | None:
        return self.hub.view(scenario["metadata"]["uid"], number)

    def _sweep(self, scenarios: Objects) -> None:
        """End RayJobs of attempts that are over: of a controller that was paused, and went on where it had stopped.

        The scenarios were listed before; what was over then is over now.
        """
        oldest = {one["metadata"]["uid"]: _oldest_alive(one) for one in scenarios}
        for found in self._everywhere(kube.RAYJOBS, _OURS):
            job, number = RayJob.of(found), int(found["metadata"]["labels"].get(names.ATTEMPT, 0))
            over = number < oldest.get(job.owner_uid or "", 0)
            if over and not job.finished and job.deleted_at is None:
                self.api.delete(kube.RAYJOBS, found["metadata"]["namespace"], job.name, job.uid)


def _oldest_alive(scenario: dict[str, Any]) -> int:
    """Attempts before this one are over for good."""
    if is_final(scenario):
        return names.ATTEMPTS_MOST + 1
    attempts = status_of(scenario).attempts
    return attempts[-1].number if attempts else 0


def phases_of(scenarios: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many scenarios are in each phase. One that has no status yet is pending."""
    phases = Counter(str((one.get("status") or {}).get("phase") or PHASES[0]) for one in scenarios)
    return dict(phases)
