"""The collector of a hub's series, built from the stored figures at every scrape.

A figure that is no longer stored has no series.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stepmark.telemetry import names
from stepmark.telemetry.figures import (
    CellFigures,
    CollectiveFigures,
    DeviceFigures,
    InputFigures,
    PairFigures,
    RunState,
    Service,
    Snapshot,
)
from stepmark.telemetry.names import Metric

SERIES_MOST = 900
"""The most series of the whole endpoint, whatever is stored. Scraping them takes less than 20 ms."""
SCENARIOS_MOST = 50
RUN_COUNTS_MOST = 80
_OTHERS = 87  # the hub's own series, whose number does not grow
_CONFIGURATIONS_MOST = SERIES_MOST - SCENARIOS_MOST - RUN_COUNTS_MOST - _OTHERS
_PAIRS_MOST = _CONFIGURATIONS_MOST // 4  # a share of their own, which cells cannot take
_COLLECTIVES_MOST = _CONFIGURATIONS_MOST // 4

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Labels = tuple[str, ...]
Series = tuple[Metric, Labels, float]


class HubCollector(Collector):
    """A collector whose `read` returns a snapshot, or None where the database does not answer."""

    def __init__(self, read: Callable[[], Snapshot | None]) -> None:
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that registering the collector reads nothing."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read a snapshot and yield its metric families."""
        began = time.perf_counter()
        snapshot = self._read()
        yield from _families(
            [
                (names.DATABASE_UP, (), float(snapshot is not None)),
                (names.READ_SECONDS, (), time.perf_counter() - began),
                *(series(snapshot) if snapshot else ()),
            ]
        )


def series(snapshot: Snapshot) -> Iterator[Series]:
    """Yield all series of a snapshot: with those that `HubMeters` counts, at most `SERIES_MOST`."""
    scenarios = _Shown("scenario", snapshot.scenarios_stored, SCENARIOS_MOST)
    pairs = _Shown("comparison", snapshot.pairs_stored, _PAIRS_MOST)
    yield from _service(snapshot.service)
    yield from scenarios.of(map(_scenario, snapshot.scenarios))
    yield from pairs.of(map(_pair, snapshot.pairs))
    collectives = _Shown("collective", snapshot.collectives_stored, _COLLECTIVES_MOST)
    yield from collectives.of(map(_collective, snapshot.collectives))
    cells = _Shown("cell", snapshot.cells_stored, _CONFIGURATIONS_MOST - pairs.used - collectives.used)
    yield from cells.of(map(_cell, snapshot.cells))
    for shown in (scenarios, pairs, collectives, cells):
        yield from shown.counts()


@dataclass(frozen=True)
class _Configuration:
    """The series of one configuration, which `labels` identify.

    `words` holds the further label values that come from outside.
    """

    labels: Labels
    words: Labels
    series: list[Series]


@dataclass
class _Shown:
    """Select which configurations are shown.

    The newest come first, each once and with all its series, until `most` series are used.
    """

    what: str
    stored: int
    most: int
    used: int = 0
    left_out: dict[str, int] = field(default_factory=lambda: {"limit": 0, "name": 0, "duplicate": 0})
    seen: set[Labels] = field(default_factory=set)

    def of(self, configurations: Iterable[_Configuration]) -> Iterator[Series]:
        """Yield the series of the configurations that are shown, and count those that are left out, by reason."""
        for one in configurations:
            reason = self._why_not(one)
            if reason is not None:
                self.left_out[reason] += 1
                continue
            self.seen.add(one.labels)
            self.used += len(one.series)
            yield from one.series

    def _why_not(self, one: _Configuration) -> str | None:
        scenario, namespace, *rest = one.labels
        if rest and not rest[-1]:
            rest.pop()  # Both kinds of labels end with the batch, which is empty where a run has one.
        if not _are_labels((scenario, namespace or scenario, *rest, *one.words)):  # an empty namespace is allowed
            return "name"
        if one.labels in self.seen:
            return "duplicate"  # Prometheus would refuse the whole scrape
        if self.left_out["limit"] or self.used + len(one.series) > self.most:
            return "limit"  # nothing older is shown either, so that the shown ones are the newest
        return None

    def counts(self) -> Iterator[Series]:
        """Yield how many configurations are stored, and how many are left out for each reason."""
        unread = self.stored - len(self.seen) - sum(self.left_out.values())
        self.left_out["limit"] += max(0, unread)
        yield names.CONFIGURATIONS, (self.what,), self.stored
        for reason, count in self.left_out.items():
            yield names.LEFT_OUT, (self.what, reason), count


def word(text: str) -> str:
    """Return a word of the analysis as a label value.

    "no steady state" becomes "no-steady-state", and an empty word becomes "none".
    """
    return text.replace(" ", "-") or "none"


def _are_labels(values: Labels) -> bool:
    """Return whether all values have the form of a scenario's names; other values could flood the labels or deceive."""
    return all(map(_LABEL.fullmatch, values))


def _configuration(labels: Labels, figures: Iterable[tuple[Metric, Labels, float | None]]) -> _Configuration:
    """Return a configuration from its figures, each with its labels besides `labels`.

    Figures that are None or not finite are left out.
    """
    known = [(metric, more, value) for metric, more, value in figures if value is not None and math.isfinite(value)]
    words = tuple(word for _, more, _ in known for word in more)
    return _Configuration(labels, words, [(metric, (*labels, *more), value) for metric, more, value in known])


def _scenario(run: RunState) -> _Configuration:
    labels = (run.scenario, run.scenario_namespace)
    return _configuration(labels, [(names.RUN_STATE, (run.outcome, word(run.reason)), 1)])


def _pair(pair: PairFigures) -> _Configuration:
    return _configuration(
        tuple(str(getattr(pair, name)) for name in names.PAIR),
        [
            (names.PAIR_RATIO, (), pair.ratio),
            (names.PAIR_LOW, (), pair.ratio_low),
            (names.PAIR_HIGH, (), pair.ratio_high),
            (names.PAIR_VERDICT, (word(pair.verdict),), 1),
        ],
    )


def _collective(found: CollectiveFigures) -> _Configuration:
    return _configuration(
        tuple(str(getattr(found, name)) for name in names.COLLECTIVE),
        [
            (names.LATENCY, (), found.latency_seconds),
            (names.BUS, (), found.bus_bytes_per_second),
            (names.BUS_LOW, (), found.bus_bytes_per_second_low),
            (names.BUS_HIGH, (), found.bus_bytes_per_second_high),
        ],
    )


def _cell(cell: CellFigures) -> _Configuration:
    return _configuration(
        tuple(str(getattr(cell, name)) for name in names.CONFIGURATION),
        [
            (names.THROUGHPUT, (), cell.samples_per_second),
            (names.THROUGHPUT_LOW, (), cell.samples_per_second_low),
            (names.THROUGHPUT_HIGH, (), cell.samples_per_second_high),
            (names.STEP, ("p50",), cell.step_seconds_p50),
            (names.STEP, ("p95",), cell.step_seconds_p95),
            (names.STEP, ("p99",), cell.step_seconds_p99),
            (names.SPEEDUP, (), cell.speedup),
            (names.EFFICIENCY, (), cell.efficiency),
            (names.EXPOSED, (), cell.exposed_communication_ratio),
            (names.WAIT, (), cell.wait_ratio),
            (names.MFU, (), cell.mfu),
            (names.MEMORY, (), cell.peak_memory_bytes),
            (names.ENERGY, (), cell.joules_per_sample),
            *_devices(cell.devices),
            *_inputs(cell.inputs),
            (names.LAST_RUN, (), cell.ended_at),
            (names.PARITY, (word(cell.parity),), 1),
            (names.VERDICT, (word(cell.verdict),), 1),
        ],
    )


def _devices(devices: DeviceFigures | None) -> Iterator[tuple[Metric, Labels, float | None]]:
    if devices is None:
        return
    if devices.device is not None:
        yield names.DEVICE, (devices.device,), 1
    yield names.DEVICE_MEMORY, (), devices.memory_bytes
    yield names.DEVICE_CLOCK, (), devices.sm_clock_hz
    yield names.DEVICE_POWER, (), devices.power_watts
    yield names.DEVICE_CAPPED, (), devices.power_capped_ratio


def _inputs(inputs: InputFigures | None) -> Iterator[tuple[Metric, Labels, float | None]]:
    if inputs is None:
        return
    yield names.INPUT_WAIT, (), inputs.wait_ratio
    yield names.INPUT_CEILING, (), inputs.ceiling_samples_per_second
    yield names.TOKENS, (), inputs.tokens_per_second
    yield names.PADDING, (), inputs.padding_ratio
    yield names.RECOMPILES, (), inputs.recompiles
    yield names.COMPILE_SECONDS, (), inputs.compile_seconds


def _service(service: Service) -> Iterator[Series]:
    yield names.BUILD, (service.stepmark_version,), 1
    if service.schema_revision is not None:
        yield names.SCHEMA, (service.schema_revision,), 1
    yield names.DATABASE_BYTES, (), service.database_bytes
    yield names.DAMAGED, (), service.damaged
    if service.volume_bytes is not None and service.volume_free_bytes is not None:
        yield names.VOLUME_BYTES, (), service.volume_bytes
        yield names.VOLUME_FREE, (), service.volume_free_bytes
    yield names.QUEUE, ("running",), service.queue_running
    yield names.QUEUE, ("ended",), service.queue_ended
    if service.unseen_seconds is not None:
        yield names.UNSEEN, (), service.unseen_seconds
    for count in service.runs[:RUN_COUNTS_MOST]:
        labels = (count.outcome, word(count.reason))
        if _are_labels(labels):
            yield names.RUNS, labels, count.runs


def _families(found: Iterable[Series]) -> Iterator[GaugeMetricFamily]:
    """Yield the series grouped by name, since the series of a family must follow each other."""
    families: dict[str, GaugeMetricFamily] = {}
    for metric, labels, value in found:
        family = families.get(metric.name)
        if family is None:
            family = families[metric.name] = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        family.add_metric(labels, value)
    yield from families.values()
