"""What a scrape costs of a hub with 10,000 finished trials, and how many series it gives.

    python benchmarks/scrape.py [DATABASE_URL]        target: <= 20 ms and <= 1,000 series

Each trial is a run with one execution, whose cells and comparisons are stored; every tenth configuration is new. The
time is of the whole answer: queries, collector, text. On a machine that others use, the processor time says more. An
empty database given as an argument is filled; without one a SQLite file is made and deleted at the end.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from stepmark.hub import tables
from stepmark.hub.database import Database
from stepmark.hub.health import Readiness
from stepmark.hub.metrics import metrics_app, snapshot
from stepmark.telemetry.collector import SERIES_MOST
from stepmark.telemetry.hub_meters import HubMeters

TRIALS, ROUNDS = 10_000, 50
SCENARIOS = 1000
DOCUMENT = '{"scenario": "' + "x" * 3000 + '"}'  # It is as long as a real run's.


def main(url: str) -> None:
    database = Database(url)
    tables.metadata.create_all(database.engine)
    fill(database)
    meters = HubMeters(CollectorRegistry())
    metrics_app(database, meters, Readiness(database))
    scrapes = [_timed(lambda: generate_latest(meters.registry)) for _ in range(ROUNDS)]
    reads = [_timed(lambda: snapshot(database)) for _ in range(ROUNDS)]
    lines = scrapes[-1][2].decode().splitlines()
    series = sum(not line.startswith("#") for line in lines)
    print(f"{TRIALS} trials, {database.url.get_backend_name()}: {series} series (limit {SERIES_MOST})")
    for name, runs in (("scrape", scrapes), ("of it, reading", reads)):
        wall, cpu = (np.array([run[which] for run in runs]) * 1e3 for which in (0, 1))
        print(
            f"  {name}: median {np.median(wall):.1f} ms, p95 {np.percentile(wall, 95):.1f} ms;"
            f" of this process' processor time {np.median(cpu):.1f} ms, least {cpu.min():.1f} ms"
        )
    for line in lines:
        if "left_out{" in line and 'reason="limit"' in line:
            print(f"  {line}")
    database.close()


def _timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the seconds, the processor's seconds, and the result of the work."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def fill(database: Database) -> None:
    draw = random.Random(0)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("runs", "executions", "cells", "comparisons")}
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for trial in range(TRIALS):
        scenario, at = f"scenario-{trial % SCENARIOS}", 1.7e9 + 60 * trial
        run, execution = _run(trial, scenario, at, draw)
        rows["runs"].append(run)
        rows["executions"].append(execution)
        for what, row, labels in _results(execution["execution_id"], scenario, at, draw):
            rows[f"{what}s"].append(row)
            known = {"what": what, "configuration": "/".join(labels), "ended_at": at}
            latest[what, "/".join(labels)] = known | {"execution_id": row["execution_id"], "key": row["key"]}
    with database.write() as connection:
        for name, values in rows.items():
            connection.execute(tables.metadata.tables[name].insert(), values)
        connection.execute(tables.latest.insert(), list(latest.values()))
    with database.engine.connect() as connection:
        connection.execute(sa.text("ANALYZE"))


def _run(trial: int, scenario: str, at: float, draw: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    outcome, reason = draw.choice([("complete", "")] * 18 + [("failed", "launch-failed"), ("interrupted", "stopped")])
    run = {"run_id": f"r{trial}", "name": scenario, "created_at": at, "execution_id": f"e{trial}"}
    execution = {
        "execution_id": f"e{trial}", "run_id": f"r{trial}", "attempt": 1, "document": DOCUMENT, "message": "",
        "scenario_digest": "5e" * 32, "claimed_at": at, "seen_at": at, "ended_at": at, "outcome": outcome,
        "reason": reason, "sequence": 9, "revision": 40, "derived_revision": 40,
    }  # fmt: skip
    return run, execution


def _results(
    execution_id: str, scenario: str, at: float, draw: random.Random
) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Yield the kind of row, the row, and its labels."""
    for candidate in ("torch", "keras"):
        for workers in (1, 2):
            shared = {
                "execution_id": execution_id, "key": f"{candidate}.graph.float32.w{workers}", "scenario": scenario,
                "candidate": candidate, "execution": "graph", "precision": "float32", "workers": workers,
                "ended_at": at,
            }  # fmt: skip
            rate = draw.uniform(100, 10_000)
            figures = {
                "engine": candidate, "strategy": "ddp", "verdict": "steady", "parity": "certified",
                "samples_per_second": rate, "samples_per_second_low": 0.99 * rate,
                "samples_per_second_high": 1.01 * rate,
                "step_seconds_p50": 0.01, "step_seconds_p95": 0.011, "step_seconds_p99": 0.012, "speedup": 1.9,
                "efficiency": 0.95, "exposed_communication_ratio": 0.1, "wait_ratio": 0.01, "mfu": 0.3,
                "peak_memory_bytes": 10**9, "joules_per_sample": 0.2,
            }  # fmt: skip
            labels = [scenario, candidate, str(workers)]
            yield "cell", shared | figures, labels
            if candidate == "keras":
                ratio = {"reference": "torch", "verdict": "slower", "ratio": 1.1, "ratio_low": 1.0, "ratio_high": 1.2}
                yield "comparison", shared | ratio, labels


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(f"sqlite:///{Path(folder) / 'hub.db'}")
