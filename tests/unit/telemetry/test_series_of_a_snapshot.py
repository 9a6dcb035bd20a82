"""The series that /metrics shows of known figures: no hostile labels, no duplicates, and never more than a limit."""

import math
from typing import Any

import pytest
from example_figures import cell, exchange, pair, service, snapshot
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stepmark.telemetry import names
from stepmark.telemetry.collector import SERIES_MOST, HubCollector, series
from stepmark.telemetry.figures import RunCount, RunState, Snapshot
from stepmark.telemetry.hub_meters import HubMeters
from stepmark.telemetry.names import Metric

CELL = {
    "scenario": "cnn", "scenario_namespace": "team-a", "candidate": "keras", "engine": "keras-tensorflow",
    "strategy": "multi-worker-mirrored",
    "execution": "graph", "precision": "float32", "workers": "2", "batch": "",
}  # fmt: skip
PAIR = {
    "scenario": "cnn", "scenario_namespace": "team-a", "candidate": "keras", "reference": "torch",
    "execution": "default", "precision": "float32",
    "workers": "2", "batch": "",
}  # fmt: skip


def scraped(given: Snapshot | None) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return label sets with their values by metric name, parsed from the text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(HubCollector(lambda: given))
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def left_out(found: dict[str, Any], what: str) -> dict[str, float]:
    """Return how many of `what` were left out for each reason; a reason without any is absent."""
    rows = [(labels["reason"], value) for labels, value in found[names.LEFT_OUT.name] if labels["what"] == what]
    return {reason: value for reason, value in rows if value}


@pytest.mark.parametrize(
    ("metric", "more", "value"),
    [
        (names.THROUGHPUT, {}, 2000.0), (names.THROUGHPUT_LOW, {}, 1990.0), (names.THROUGHPUT_HIGH, {}, 2010.0),
        (names.SPEEDUP, {}, 1.8), (names.EFFICIENCY, {}, 0.9), (names.EXPOSED, {}, 0.06), (names.WAIT, {}, 0.01),
        (names.MFU, {}, 0.31), (names.MEMORY, {}, float(3 << 30)), (names.ENERGY, {}, 0.2),
        (names.DEVICE, {"device": "nvidia-h100-80gb-hbm3"}, 1.0), (names.DEVICE_CLOCK, {}, 1.7e9),
        (names.DEVICE_POWER, {}, 650.0), (names.DEVICE_CAPPED, {}, 0.1), (names.DEVICE_MEMORY, {}, float(5 << 30)),
        (names.INPUT_WAIT, {}, 0.4), (names.INPUT_CEILING, {}, 2500.0), (names.TOKENS, {}, 9000.0),
        (names.PADDING, {}, 0.3), (names.RECOMPILES, {}, 2.0), (names.COMPILE_SECONDS, {}, 6.5),
        (names.LAST_RUN, {}, 1.7e9), (names.PARITY, {"state": "within-limits"}, 1.0),
        (names.VERDICT, {"state": "no-steady-state"}, 1.0),
    ],
    ids=str,
)  # fmt: skip
def test_a_cell_is_shown_with_its_figures(metric: Metric, more: dict[str, str], value: float) -> None:
    assert scraped(snapshot())[metric.name] == [(CELL | more, value)]


def test_step_times_of_a_cell_differ_by_the_label_stat() -> None:
    expected = [(CELL | {"stat": stat}, value) for stat, value in (("p50", 0.032), ("p95", 0.034), ("p99", 0.05))]
    assert scraped(snapshot())[names.STEP.name] == expected


def test_a_comparison_is_shown_with_its_interval_and_verdict() -> None:
    found = scraped(snapshot())
    assert found[names.PAIR_RATIO.name] == [(PAIR, 1.001)]
    assert (found[names.PAIR_LOW.name], found[names.PAIR_HIGH.name]) == ([(PAIR, 0.995)], [(PAIR, 1.007)])
    assert found[names.PAIR_VERDICT.name] == [(PAIR | {"state": "no-measurable-difference"}, 1)]


def test_a_collective_is_shown_by_the_size_of_its_message() -> None:
    found = scraped(snapshot(collectives=(exchange(), exchange(message_bytes=2048, bus_bytes_per_second_low=None))))
    rates = {labels["message_bytes"]: value for labels, value in found[names.BUS.name]}
    assert rates == {"1048576": 1.05e9, "2048": 1.05e9}
    assert [labels["message_bytes"] for labels, _ in found[names.BUS_LOW.name]] == ["1048576"]
    assert found[names.LATENCY.name][0][0]["collective"] == "all-reduce"


def test_the_hub_shows_its_database_runs_queue_and_version() -> None:
    found = scraped(snapshot())
    assert found[names.DATABASE_UP.name] == [({}, 1)]
    run = {"scenario": "cnn", "scenario_namespace": "", "outcome": "failed", "reason": "launch-failed"}
    assert found[names.RUN_STATE.name] == [(run, 1)]
    assert found[names.RUNS.name] == [({"outcome": "failed", "reason": "launch-failed"}, 3)]
    assert found[names.QUEUE.name] == [({"state": "running"}, 1), ({"state": "ended"}, 2)]
    assert (found[names.UNSEEN.name], found[names.DATABASE_BYTES.name]) == ([({}, 12.5)], [({}, 4096)])
    assert (found[names.BUILD.name], found[names.SCHEMA.name]) == (
        [({"version": "0.1.0"}, 1)],
        [({"revision": "0001"}, 1)],
    )


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_figure_that_is_unknown_or_not_finite_is_absent(value: float | None) -> None:
    unknown = cell(samples_per_second=value, mfu=value, step_seconds_p99=value)
    found = scraped(snapshot(cells=(unknown,), service=service(unseen_seconds=None, schema_revision=None)))
    assert not {names.THROUGHPUT.name, names.MFU.name, names.UNSEEN.name, names.SCHEMA.name} & set(found)
    assert [labels["stat"] for labels, _ in found[names.STEP.name]] == ["p50", "p95"]
    assert found[names.SPEEDUP.name] == [(CELL, 1.8)]


def test_a_hub_whose_database_is_away_shows_that_and_no_figures() -> None:
    found = scraped(None)
    assert found[names.DATABASE_UP.name] == [({}, 0)]
    assert set(found) == {names.DATABASE_UP.name, names.READ_SECONDS.name}


HOSTILE = ['x"} 1\nfake{a="b', "x\n", "{{.Labels}}", "Ünïcode", "a" * 64, "", "-x", "x-", "a.b", "A", "a b\0"]


@pytest.mark.parametrize("label", ["scenario", "candidate", "engine", "strategy", "execution", "precision"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_label_is_dropped_and_counted(label: str, value: str) -> None:
    found = scraped(snapshot(cells=(cell(**{label: value}), cell())))
    assert found[names.THROUGHPUT.name] == [(CELL, 2000.0)]
    assert left_out(found, "cell") == {"name": 1}


@pytest.mark.parametrize("value", [value for value in HOSTILE if value])
def test_a_hostile_batch_is_dropped_and_counted(value: str) -> None:
    assert left_out(scraped(snapshot(cells=(cell(batch=value), cell(batch="64")))), "cell") == {"name": 1}


def test_batches_of_one_cell_are_series_of_their_own() -> None:
    found = scraped(snapshot(cells=(cell(batch="32"), cell(batch="64", samples_per_second=5.0))))
    shown = {labels["batch"]: value for labels, value in found[names.THROUGHPUT.name]}
    assert shown == {"32": 2000.0, "64": 5.0}


@pytest.mark.parametrize("label", ["verdict", "parity"])
@pytest.mark.parametrize("value", [value for value in HOSTILE if value])
def test_a_hostile_state_is_dropped_and_counted(label: str, value: str) -> None:
    hostile = {label: value.replace(" ", "_")}
    assert left_out(scraped(snapshot(cells=(cell(**hostile), cell()))), "cell") == {"name": 1}


@given(st.text(), st.text(), st.text())
def test_no_text_in_a_snapshot_breaks_the_answer(scenario: str, verdict: str, reason: str) -> None:
    found = scraped(
        snapshot(
            cells=(cell(scenario=scenario, verdict=verdict),),
            pairs=(pair(candidate=scenario, verdict=verdict),),
            scenarios=(RunState(scenario=scenario, outcome="failed", reason=reason),),
            service=service(runs=(RunCount(outcome=scenario, reason=reason, runs=1),)),
        )
    )
    assert set(found) <= {metric.name for metric in names.METRICS}


def test_cells_with_the_same_labels_are_shown_once_with_the_newest_figure() -> None:
    found = scraped(snapshot(cells=(cell(samples_per_second=5.0), cell(verdict="steady"))))
    assert found[names.THROUGHPUT.name] == [(CELL, 5.0)]
    assert left_out(found, "cell") == {"duplicate": 1}


def many(count: int) -> Snapshot:
    return snapshot(
        cells=tuple(cell(scenario=f"s{index}") for index in range(count)),
        pairs=tuple(pair(scenario=f"s{index}") for index in range(count)),
        collectives=tuple(exchange(scenario=f"s{index}") for index in range(count)),
        scenarios=tuple(RunState(scenario=f"s{index}", outcome="complete", reason="") for index in range(count)),
        service=service(runs=tuple(RunCount(outcome=f"o{index}", reason="", runs=1) for index in range(count))),
        cells_stored=10_000,
    )


def test_a_full_hub_stays_within_the_limit_of_series_and_shows_the_newest_cells() -> None:
    registry = CollectorRegistry()
    HubMeters(registry)
    registry.register(HubCollector(lambda: many(400)))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert 0.9 * SERIES_MOST < len(lines) <= SERIES_MOST
    found = scraped(many(400))
    shown = [labels["scenario"] for labels, _ in found[names.THROUGHPUT.name]]
    assert shown == [f"s{index}" for index in range(len(shown))]
    assert left_out(found, "cell") == {"limit": 10_000 - len(shown)}
    assert {labels["what"]: value for labels, value in found[names.CONFIGURATIONS.name]}["cell"] == 10_000


def test_a_configuration_is_shown_whole_or_not_at_all() -> None:
    found = scraped(many(400))
    for metric in (names.VERDICT, names.PARITY, names.LAST_RUN, names.ENERGY):
        assert len(found[metric.name]) == len(found[names.THROUGHPUT.name])


def test_cells_may_use_the_room_that_comparisons_do_not_need_and_no_more() -> None:
    alone = scraped(snapshot(cells=many(400).cells, pairs=(), collectives=()))
    both = scraped(many(400))
    assert len(alone[names.THROUGHPUT.name]) > len(both[names.THROUGHPUT.name])
    assert len(both[names.PAIR_RATIO.name]) > 40


def test_a_series_has_as_many_labels_as_its_metric_in_the_table() -> None:
    for metric, labels, _ in series(snapshot()):
        assert len(labels) == len(metric.labels)
