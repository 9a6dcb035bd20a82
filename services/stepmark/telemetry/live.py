"""The metrics of a running plan, served on its driver's own port for as long as it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from stepmark.errors import CannotRun
from stepmark.plan.cells import Cell
from stepmark.telemetry import names
from stepmark.telemetry.names import Metric
from stepmark.telemetry.progress import Standing


class LiveCollector(Collector):
    """A collector that builds its series at every scrape from what `now` returns."""

    def __init__(self, now: Callable[[], Standing]) -> None:
        self._now = now

    def collect(self) -> Iterator[Family]:
        """Yield the metric families of the plan's current state."""
        now = self._now()
        scenario = (now.scenario,)
        yield _family(names.LIVE_LAUNCHES_DONE, {scenario: now.launches_done})
        if now.launches_planned is not None:
            yield _family(names.LIVE_LAUNCHES_PLANNED, {scenario: now.launches_planned})
        if now.launches_planned:
            yield _family(names.LIVE_PROGRESS, {scenario: now.launches_done / now.launches_planned})
        if now.cell is not None:
            yield _family(names.LIVE_CELL, {_labels(now, now.cell): 1})
            if now.global_samples_per_second is not None:
                yield _family(names.LIVE_SAMPLES_PER_SECOND, {_labels(now, now.cell): now.global_samples_per_second})
        yield _family(names.LIVE_STEPS, {_labels(now, cell): steps for cell, steps in now.steps.items()})


def _labels(now: Standing, cell: Cell) -> tuple[str, ...]:
    return (now.scenario, *(str(getattr(cell, name)) for name in names.CELL))


def _family(metric: Metric, values: dict[tuple[str, ...], float]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


@contextmanager
def serving(host: str, port: int, now: Callable[[], Standing]) -> Iterator[str]:
    """Serve /metrics from a thread inside the context, and yield the address. Port 0 takes any free port.

    Raises:
        CannotRun: The address cannot be listened on.
    """
    registry = CollectorRegistry()
    registry.register(LiveCollector(now))
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise CannotRun(
            f"--live-listen: expected a free port on an address of this machine, found {host}:{port}: {error}. "
            "Choose another; port 0 takes any that is free."
        ) from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
