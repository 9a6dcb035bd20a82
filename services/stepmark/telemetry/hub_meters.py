"""The counters that a hub keeps about itself while it serves. Figures that its database has are read at each scrape."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from stepmark.telemetry import names
from stepmark.telemetry.names import Metric

KINDS = ("registration", "claim", "launch", "certificate", "state", "end")
RESULTS = ("stored", "repeated", "conflict", "superseded", "ended")
REFUSALS = ("unauthorized", "forbidden", "too-large", "too-slow", "invalid", "not-found", "unavailable")
DERIVED = ("derived", "failed")

_DERIVE_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class HubMeters:
    """Counters and one histogram in `registry`; thread-safe.

    The labels are kind and result for `received`, reason for `refused`, and result for `derivations`; their values are
    the constants of this module. Labelled series begin at 0, so that a first event is seen as a change.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # they double the number of series, and nothing here reads them
        self.registry = registry
        self.received = self._counter(names.RECEIVED)
        self.refused = self._counter(names.REFUSED)
        self.step_samples = self._counter(names.STEP_SAMPLES)
        self.derivations = self._counter(names.DERIVATIONS)
        self.database_errors = self._counter(names.DATABASE_ERRORS)
        self.derive_seconds = Histogram(
            names.DERIVE_SECONDS.name, names.DERIVE_SECONDS.help, buckets=_DERIVE_SECONDS, registry=registry
        )
        self._begin()

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)

    def _begin(self) -> None:
        for kind in KINDS:
            for result in RESULTS:
                self.received.labels(kind=kind, result=result)
        for reason in REFUSALS:
            self.refused.labels(reason=reason)
        for result in DERIVED:
            self.derivations.labels(result=result)
