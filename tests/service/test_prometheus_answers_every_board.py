"""A real Prometheus scrapes a real hub, a run that is being measured, a controller, the exporters of GPUs and of Ray.

Every query of every panel and variable is sent: Prometheus accepts it and returns series with the database's figures.
"""

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_fixtures import GPU_PODS, PROMTOOL, needs_prometheus
from prometheus_world import GPUS, QUERIES, VARIABLES, Query, World, filled

from running_hub import wait_for
from stepmark.generate import rules
from stepmark.telemetry import names
from stepmark.telemetry.names import COLLECTIVE, CONFIGURATION, METRICS, PAIR, Metric

pytest_plugins = ["running_hub", "prometheus_world"]
pytestmark = needs_prometheus


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_query_of_every_panel_returns_series(world: World, query: Query) -> None:
    found = world.prometheus.query(query.expression)
    assert found, query.expression
    labels = [tuple(sorted(sample.labels.items())) for sample in found]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(("board", "name", "query", "regex"), VARIABLES, ids=lambda value: str(value)[:30])
def test_every_variable_of_a_board_has_values(world: World, board: str, name: str, query: str, regex: str) -> None:
    of_label, of_query = (re.fullmatch(rf"{kind}\((.*)\)", query) for kind in ("label_values", "query_result"))
    if of_label:
        selector, _, label = of_label[1].rpartition(", ")
        assert filled("$" + name, board) in (".+", *world.prometheus.label_values(label, selector))
        assert world.prometheus.label_values(label, selector)
    else:
        assert of_query is not None
        lines = [json.dumps(sample.labels) for sample in world.prometheus.query(of_query[1])]
        spelled = [re.sub(r'"(\w+)": ', r"\1=", line) for line in lines]  # Grafana writes a series in this way.
        values = {found[1] for line in spelled if (found := re.search(regex.strip("/"), line))}
        assert values == {*GPU_PODS, "bench-head"}


FIGURES = [
    (names.THROUGHPUT, "samples_per_second"), (names.THROUGHPUT_LOW, "samples_per_second_low"),
    (names.THROUGHPUT_HIGH, "samples_per_second_high"), (names.SPEEDUP, "speedup"), (names.EFFICIENCY, "efficiency"),
    (names.EXPOSED, "exposed_communication_ratio"), (names.WAIT, "wait_ratio"), (names.MFU, "mfu"),
    (names.MEMORY, "peak_memory_bytes"), (names.ENERGY, "joules_per_sample"), (names.LAST_RUN, "ended_at"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "column"), FIGURES, ids=str)
def test_series_have_the_figures_of_the_database_and_none_where_unknown(
    world: World, metric: Metric, column: str
) -> None:
    expected = {_key(row, CONFIGURATION): row[column] for row in world.cells if row[column] is not None}
    found = {_key(sample.labels, CONFIGURATION): sample.value for sample in world.prometheus.query(metric.name)}
    assert expected
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("metric", "column"),
    [(names.PAIR_RATIO, "ratio"), (names.PAIR_LOW, "ratio_low"), (names.PAIR_HIGH, "ratio_high")],
    ids=str,
)
def test_series_of_comparisons_have_the_figures_of_the_database(world: World, metric: Metric, column: str) -> None:
    found = {_key(sample.labels, PAIR): sample.value for sample in world.prometheus.query(metric.name)}
    assert found == pytest.approx({_key(row, PAIR): row[column] for row in world.pairs}, rel=1e-9)


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        (names.LATENCY, "latency_seconds"), (names.BUS, "bus_bytes_per_second"),
        (names.BUS_LOW, "bus_bytes_per_second_low"), (names.BUS_HIGH, "bus_bytes_per_second_high"),
    ],
    ids=str,
)  # fmt: skip
def test_series_of_collectives_have_the_figures_of_the_database(world: World, metric: Metric, column: str) -> None:
    expected = {_key(row, COLLECTIVE): row[column] for row in world.collectives if row[column] is not None}
    found = {_key(sample.labels, COLLECTIVE): sample.value for sample in world.prometheus.query(metric.name)}
    assert len(expected) == 2
    assert found == pytest.approx(expected, rel=1e-9)


def _key(row: Any, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(row.get(label, "")) for label in labels)  # Prometheus has no empty labels.


def _of(world: World, labels: tuple[str, ...], column: str) -> dict[tuple[str, ...], float]:
    """Return a column of the cells of the scenario on GPUs, by these labels."""
    return {_key(row, labels): row[column] for row in world.cells if row["scenario"] == GPUS}


WHICH = ("candidate", "execution", "precision", "workers")  # The order is alphabetical, as `World.ask` gives them.
ALL = tuple(sorted(set(CONFIGURATION) - {"batch"}))  # These runs have one batch, and Prometheus has no empty labels.


@pytest.mark.parametrize(
    ("board", "title", "number", "labels", "column"),
    [
        ("frameworks", "Throughput", 0, ALL, "samples_per_second"),
        ("frameworks", "Throughput with its interval", 1, WHICH, "samples_per_second_low"),
        ("frameworks", "Throughput with its interval", 2, WHICH, "samples_per_second_high"),
        ("frameworks", "Step time", 0, WHICH, "step_seconds_p50"),
        ("frameworks", "Step time", 2, WHICH, "step_seconds_p99"),
        ("frameworks", "Energy per sample", 0, ALL, "joules_per_sample"),
        ("frameworks", "Model FLOPs utilization", 0, ALL, "mfu"),
        ("frameworks", "Peak memory of a worker", 0, ALL, "peak_memory_bytes"),
        ("scaling", "Speed-up", 0, ("candidate", "workers"), "speedup"),
        ("scaling", "Efficiency", 0, ("candidate", "workers"), "efficiency"),
        ("scaling", "Median step time over time", 0, ALL, "step_seconds_p50"),
    ],
)
def test_panels_show_the_figures_of_the_database(
    world: World, board: str, title: str, number: int, labels: tuple[str, ...], column: str
) -> None:
    found = world.ask(f"stepmark-{board}", title, number)
    if title == "Median step time over time":
        found = {tuple(part for part in key if part != "p50"): value for key, value in found.items()}
    assert found == pytest.approx(_of(world, labels, column), rel=1e-9)


def test_the_board_shows_the_gpus_and_how_they_were_used(world: World) -> None:
    shown = [world.ask("stepmark-frameworks", "GPUs", number) for number in range(3)]
    for found, value in zip(shown, (1.7e9, 650.0, 0.1), strict=True):
        assert {key[1] for key in found} == {"nvidia-h100-80gb-hbm3"}
        assert found == pytest.approx(dict.fromkeys(found, value))
    memory = world.ask("stepmark-frameworks", "Peak GPU memory of a worker")
    assert memory == dict.fromkeys(_of(world, ALL, "workers"), 7 << 30)


def test_the_board_shows_waits_for_input_real_tokens_and_recompilations(world: World) -> None:
    waits, alone, over_training = (world.ask("stepmark-frameworks", "Input", number) for number in range(3))
    rates = _of(world, WHICH, "samples_per_second")
    assert waits.keys() == rates.keys()
    assert all(0 < wait < 1 for wait in waits.values())
    assert over_training == pytest.approx({key: alone[key] / rate for key, rate in rates.items()}, rel=1e-9)
    tokens, padding, again, seconds = (
        world.ask("stepmark-frameworks", "Batches of different lengths", number) for number in range(4)
    )
    assert tokens.keys() == rates.keys()
    assert [set(found.values()) for found in (padding, again, seconds)] == [{0.25}, {2.0}, {6.5}]


def test_tables_show_the_verdicts_and_badges_of_the_database(world: World) -> None:
    pairs = [row for row in world.pairs if row["scenario"] == GPUS]
    expected = {
        (row["candidate"], row["execution"], row["precision"], row["reference"], "team-a",
         row["verdict"].replace(" ", "-"), str(row["workers"])): row["ratio"] for row in pairs
    }  # fmt: skip
    assert world.ask("stepmark-frameworks", "Against the reference") == pytest.approx(expected)
    proven = world.ask("stepmark-frameworks", "What is proven of each configuration")
    badges = {(key[ALL_BUT_SCENARIO.index("candidate")], key[ALL_BUT_SCENARIO.index("parity")]) for key in proven}
    assert badges == {("torch", "certified"), ("keras", "within-limits")}
    assert len(proven) == 4


ALL_BUT_SCENARIO = tuple(sorted({*ALL, "parity", "verdict"} - {"scenario"}))


def test_the_overview_board_counts_runs_and_scenarios(world: World) -> None:
    shown = {title: world.ask("stepmark-overview", title) for title in (
        "Hub", "Scenarios", "Runs active", "Newest run failed or lost", "Not comparable", "Without a steady result",
    )}  # fmt: skip
    unsteady = sum(row["verdict"] != "steady" for row in world.cells)
    assert {title: value for title, found in shown.items() for value in found.values()} == {
        "Hub": 1, "Scenarios": 3, "Runs active": 1, "Newest run failed or lost": 0, "Not comparable": 0,
        "Without a steady result": unsteady,
    }  # fmt: skip
    assert world.ask("stepmark-overview", "Newest runs") == {("complete", "none", GPUS, "team-a"): 1}
    rates = _of(world, ALL, "samples_per_second")
    fastest = max(rates, key=lambda key: rates[key])
    assert world.ask("stepmark-overview", "Fastest of each scenario") == pytest.approx({fastest: rates[fastest]})


def test_the_hub_board_counts_what_was_sent(world: World) -> None:
    sent = {("launch", "stored"): 26, ("certificate", "stored"): 4, ("claim", "stored"): 4, ("state", "stored"): 4}
    for (kind, result), count in sent.items():
        assert world.prometheus.value(f'{names.RECEIVED}{{kind="{kind}",result="{result}"}}') == count
        assert world.ask("stepmark-hub", "Calls accepted")[kind, result] > 0
    assert world.ask("stepmark-hub", "Calls refused")[("unauthorized",)] > 0
    assert world.ask("stepmark-hub", "Step samples received")[()] > 0
    assert 0 < world.ask("stepmark-hub", "Time to derive", 1)[()] < 60
    assert world.ask("stepmark-hub", "Ended runs without figures") == {(): 0}
    assert 0 <= world.ask("stepmark-hub", "Most silent running run")[()] < 60
    stored = {("cell",): 8, ("comparison",): 4, ("collective",): 2, ("scenario",): 3}
    assert world.ask("stepmark-hub", "Configurations") == stored


def test_the_controller_board_shows_the_phases_of_the_scenarios(world: World) -> None:
    shown = {title: world.ask("stepmark-controller", title) for title in ("Active", "Running", "Waiting")}
    assert shown == {"Active": {(): 1}, "Running": {(): 0}, "Waiting": {(): 2}}
    assert 0 <= world.ask("stepmark-controller", "Last look")[()] < 60
    phases = world.ask("stepmark-controller", "Scenarios by phase")
    assert (phases["Failed",], sum(phases.values())) == (1, 3)
    assert world.prometheus.value(f'{names.ATTEMPTS_ENDED}{{reason="RayJobVanished"}}') == 1
    assert world.prometheus.value(f'{names.CONTROLLER_ERRORS}{{kind="event"}}') > 0


def test_the_live_board_shows_a_running_plan_beside_its_stored_result(world: World) -> None:
    assert world.ask("stepmark-live", "Launches planned") == {("test",): 2}
    assert list(world.ask("stepmark-live", "Progress").values()) == [0]
    [now] = world.ask("stepmark-live", "Running throughput").values()
    assert now == pytest.approx(8 / 0.05, rel=0.2)
    [stored] = world.ask("stepmark-live", "Running throughput", 1).values()
    [expected] = [
        row["samples_per_second"]
        for row in world.cells
        if (row["scenario"], row["candidate"], row["workers"]) == ("test", "plain", 1)
    ]
    assert stored == pytest.approx(expected)
    assert world.prometheus.value(f"rate({names.LIVE_STEPS}[5s])") == pytest.approx(
        1 / 0.05, rel=0.7
    )  # Steps are reported in bursts.


def test_gpus_and_nodes_belong_to_the_pods_that_use_them(world: World) -> None:
    """The pod is in `exported_pod` once and in `pod`. An idle GPU belongs to no pod, not to the exporter's either."""
    aside = world.prometheus.query('DCGM_FI_DEV_GPU_UTIL{job="dcgm"}')
    assert {sample.labels.get("exported_pod") for sample in aside} == {None, *GPU_PODS}
    for title, value in (
        ("GPU busy", 0.87),
        ("GPU memory", 2.0**30),
        ("GPU clock", 1.98e9),
        ("GPU power", 412),
        ("Last GPU fault", 79),
    ):
        expected = {(str(gpu), pod): value for gpu, pod in enumerate(GPU_PODS)}
        assert world.ask("stepmark-live", title) == pytest.approx(expected)
    assert world.ask("stepmark-live", "Node CPUs") == {("bench-head",): 0.55}


def test_the_rules_are_loaded_and_no_alert_fires_while_all_is_well(world: World) -> None:
    def groups() -> list[dict[str, Any]]:
        return world.prometheus.get("/api/v1/rules")["groups"]

    wait_for(lambda: all(rule["health"] == "ok" for group in groups() for rule in group["rules"]))
    found = [rule for group in groups() for rule in group["rules"]]
    assert {rule["name"] for rule in found} == {
        *(alert.name for alert in rules.ALERTS), *(one.record for one in rules.RECORDINGS),
    }  # fmt: skip
    disk = shutil.disk_usage(Path(__file__).parent)  # The hub's volume is this machine's disk.
    expected_alerts = ["StepmarkHubVolumeFills"] if disk.free < 0.15 * disk.total else []
    assert [rule["name"] for rule in found if rule.get("alerts")] in ([], expected_alerts)
    recorded = world.prometheus.query(rules.THROUGHPUT_NOW)
    expected = {_key(row, CONFIGURATION): row["samples_per_second"] for row in world.cells}
    assert {_key(sample.labels, CONFIGURATION): sample.value for sample in recorded} == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_a_renamed_series_would_leave_a_query_without_an_answer(world: World, metric: Metric) -> None:
    """For every series there is a query that returns nothing once the series has another name."""
    whole = re.compile(rf"\b{metric.name}(_bucket)?\b")
    asked = [query.expression for query in QUERIES] + [alert.expr for alert in rules.ALERTS]
    using = [expression for expression in asked if whole.search(expression)]
    renamed = [world.prometheus.query(whole.sub("stepmark_renamed", expression)) for expression in using]
    if metric in (names.PAIR_VERDICT, names.LEFT_OUT):  # One state, or a count, stands among others in its query.
        assert using
    assert [] in renamed


def test_promtool_accepts_the_metrics_of_a_hub_and_their_number_is_bounded(world: World) -> None:
    with urllib.request.urlopen(world.hub.metrics_url, timeout=120) as answer:
        text = answer.read().decode()
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert sum(not line.startswith("#") for line in text.splitlines()) <= 1000
