"""Prometheus metrics of the controller itself."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stepmark.controller.reasons import ENDINGS

PHASES = ("Pending", "Queued", "Starting", "Running", "Complete", "Failed", "Cancelled")
KINDS = ("api", "hub", "conflict", "event", "tick", "scenario", "namespace", "sweep")
"""The kinds of failures that are counted."""
_FINAL = ("Complete", "Failed", "Cancelled")
_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Meters:
    """The metrics of one controller, in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._last = Gauge(
            "stepmark_controller_last_sync_timestamp_seconds",
            "When the controller last finished looking at all scenarios.",
            registry=registry,
        )
        self._tick = Histogram(
            "stepmark_controller_reconcile_seconds",
            "How long one look at all scenarios took.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._errors = Counter("stepmark_controller_errors", "Calls that failed.", ["kind"], registry=registry)
        self._scenarios = Gauge(
            "stepmark_controller_scenarios", "Scenarios in the cluster.", ["phase"], registry=registry
        )
        self._ended = Counter(
            "stepmark_controller_attempts_ended", "Attempts that have ended.", ["reason"], registry=registry
        )
        self._active = Gauge(
            "stepmark_controller_active", "1 for the controller that holds the Lease.", registry=registry
        )
        self._namespaces = Gauge(
            "stepmark_controller_namespace_listed",
            "1 for a namespace whose objects the last look could list.",
            ["namespace"],
            registry=registry,
        )
        self._over = Counter(
            "stepmark_controller_scenarios_ended", "Scenarios that have ended.", ["phase"], registry=registry
        )
        for phase in _FINAL:
            self._over.labels(phase)
        for kind in KINDS:  # Without a 0 before the first failure, a rate would miss it.
            self._errors.labels(kind)
        for reason in ENDINGS:
            self._ended.labels(reason)

    def ticked(self, seconds: float, phases: dict[str, int]) -> None:
        """Record a completed tick: its duration and the number of scenarios in each phase."""
        self._last.set(time.time())
        self._tick.observe(seconds)
        for phase in PHASES:
            self._scenarios.labels(phase).set(phases.get(phase, 0))

    def error(self, kind: str) -> None:
        """Count a failure. `kind` is one of KINDS."""
        self._errors.labels(kind).inc()

    def namespace(self, name: str | None, well: bool) -> None:
        """Record whether the objects of a namespace could be listed. None means all namespaces in one call."""
        self._namespaces.labels(name or "").set(well)

    def event(self, reason: str) -> None:
        """Count the end of an attempt or of a scenario; other events are ignored. Each end has exactly one event."""
        if reason in ENDINGS:
            self._ended.labels(reason).inc()
        if reason in _FINAL:
            self._over.labels(reason).inc()

    def active(self, active: bool) -> None:
        """Record whether this controller holds the Lease. What a former holder listed says nothing any more."""
        self._active.set(active)
        if not active:
            self._namespaces.clear()
