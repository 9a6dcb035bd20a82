"""The expression of every alert, sent to a real Prometheus.

It scrapes a hub and a controller in trouble, and has samples of the hours before.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_fixtures import Prometheus, backfill, job, needs_prometheus, prometheus, static_exporter

from running_hub import wait_for
from stepmark.controller.meters import Meters
from stepmark.generate import rules
from stepmark.telemetry import names
from stepmark.telemetry.collector import HubCollector
from stepmark.telemetry.figures import CellFigures, RunCount, RunState, Service, Snapshot

pytestmark = needs_prometheus

CELL = CellFigures(
    scenario="cnn", candidate="keras", engine="keras-torch", strategy="ddp", execution="eager", precision="float32",
    workers=2, verdict="steady", parity="not comparable", ended_at=1.7e9, samples_per_second=90.0,
    samples_per_second_low=89.0, samples_per_second_high=91.0, step_seconds_p50=0.1, step_seconds_p95=0.1,
    step_seconds_p99=0.1, speedup=None, efficiency=None, exposed_communication_ratio=None, wait_ratio=None, mfu=None,
    peak_memory_bytes=None, joules_per_sample=None,
)  # fmt: skip
TROUBLE = Snapshot(
    cells=(CELL,), cells_stored=2, pairs=(), pairs_stored=0, collectives=(), collectives_stored=0,
    scenarios=(
        RunState(scenario="cnn", outcome="failed", reason="launch-failed"),
        RunState(scenario="gpt", outcome="lost", reason="heartbeat-lost"),
    ),
    scenarios_stored=2,
    service=Service(
        stepmark_version="0.1.0", schema_revision="0001", database_bytes=1, unseen_seconds=200.0, queue_running=0,
        queue_ended=3, volume_bytes=100, volume_free_bytes=1, damaged=2,
        runs=(RunCount(outcome="failed", reason="launch-failed", runs=1),),
    ),
)  # fmt: skip


def exposition_of(snapshot: Snapshot | None) -> bytes:
    """Return the metrics of a hub, and of a controller that has never completed a look."""
    registry = CollectorRegistry()
    registry.register(HubCollector(lambda: snapshot))
    if snapshot is not None:
        Meters(registry).namespace("team", well=False)
    return generate_latest(registry)


def openmetrics_of_the_past(now: float) -> str:
    """OpenMetrics of the last hours: a higher throughput, a queue as long, growing counters, a hub that was there."""
    labels = ",".join(f'{name}="{getattr(CELL, name)}"' for name in names.CONFIGURATION)
    counters = (
        f'{names.REFUSED}{{job="trouble",reason="unavailable"}}', f'{names.DATABASE_ERRORS}{{job="trouble"}}',
        f'{names.DERIVATIONS}{{job="trouble",result="failed"}}',
        f'{names.ATTEMPTS_ENDED}{{job="trouble",reason="StartTimeout"}}',
        f'{names.SCENARIOS_ENDED}{{job="trouble",phase="Failed"}}',
    )  # fmt: skip
    steady = {
        f'{rules.THROUGHPUT_NOW}{{job="trouble",{labels}}}': (100, 240, 12),
        f'{names.QUEUE}{{job="trouble",state="ended"}}': (3, 12, 0),
        f'{names.DATABASE_UP}{{job="gone"}}': (1, 30, 20),
    }
    lines = []
    for series, (value, oldest, newest) in steady.items():
        lines += [f"{series} {value} {now - 60 * minutes}" for minutes in range(oldest, newest, -1)]
    for series in counters:
        lines += [f"{series} {10 - minutes} {now - 60 * minutes}" for minutes in range(9, 0, -1)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder: Path = tmp_path_factory.mktemp("trouble")
    exported = folder / "exported"
    exported.mkdir()
    (exported / "trouble").write_bytes(exposition_of(TROUBLE))
    (exported / "away").write_bytes(exposition_of(None))
    backfill(folder, openmetrics_of_the_past(time.time()))
    with static_exporter(exported) as address:
        jobs = [job("trouble", address, "/trouble", pod="hub-1"), job("away", address, "/away", pod="hub-2")]
        with prometheus(folder, jobs) as server:
            wait_for(lambda: server.scraped("trouble") and server.scraped("away"))
            recorded = f"{rules.THROUGHPUT_PAST} > {rules.THROUGHPUT_NOW}"
            wait_for(lambda: server.query(recorded))
            yield server


@pytest.mark.parametrize("alert", rules.ALERTS, ids=lambda alert: alert.name)
def test_every_alert_finds_its_trouble(troubled: Prometheus, alert: rules.Alert) -> None:
    found = troubled.query(alert.expr)
    assert {sample.labels["job"] for sample in found} == {
        {"StepmarkHubNotScraped": "gone", "StepmarkHubDatabaseDown": "away"}.get(alert.name, "trouble")
    }
    assert not [sample for sample in found if {"instance", "pod"} & set(sample.labels)]


def test_the_past_throughput_is_a_median_and_the_present_one_the_newest(troubled: Prometheus) -> None:
    assert troubled.value(f'{rules.THROUGHPUT_PAST}{{job="trouble"}}') == 100
    assert troubled.value(f'{rules.THROUGHPUT_NOW}{{job="trouble"}}') == 90


def test_alerts_fire_with_all_labels_filled_in(troubled: Prometheus) -> None:
    """Only alerts that fire at once are looked at."""
    at_once = {alert.name for alert in rules.ALERTS if alert.lasting == "0m"}

    def firing() -> dict[str, dict[str, str]]:
        alerts = troubled.get("/api/v1/alerts")["alerts"]
        return {one["labels"]["alertname"]: one["annotations"] for one in alerts if one["state"] == "firing"}

    wait_for(lambda: at_once <= set(firing()))
    assert firing()["StepmarkThroughputFell"]["summary"] == "cnn: keras with 2 workers became slower"
    assert firing()["StepmarkResultLost"]["summary"] == "The newest run of gpt was never finished"
    assert not [words for words in firing().values() if "{{" in str(words) or "error" in words["summary"]]
