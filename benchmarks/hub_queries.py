"""How long questions take while 10,000 runs are stored. Wanted: 95 % of summaries within 50 ms.

python benchmarks/hub_queries.py [RUNS]

One real run is sent and derived; copies of all its rows, under other names, make the rest. Then one client asks for
random runs, first alone, then while another client sends runs as fast as it can.
"""

import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing

import httpx2
import numpy as np
import psutil
from _hub import Hub, Measured, measure, scratch, serving

ASKED = 500
COPIED = ("runs", "attempts", "executions", "launches", "summaries", "cells", "comparisons")


def main(runs: int = 10_000) -> None:
    with scratch() as folder:
        measured = measure(folder, workers=(1, 2), steps=200, launches=3)
        with serving(folder) as hub:
            with hub.client() as client:
                run_id = hub.send(client, measured)
                while not client.get(f"/api/v1/runs/{run_id}").json()["settled"]:
                    time.sleep(0.05)
            ids = _copy(hub, runs)
            size = f"{len(ids)} runs of {len(measured.bodies)} launches, {hub.database.stat().st_size / 1e6:,.0f} MB"
            print(f"{size}; load of the machine {os.getloadavg()[0]:.1f}")
            _ask(hub, ids, "alone")
            with _Sending(hub, measured) as sending:
                _ask(hub, ids, "while another client sends")
            print(f"meanwhile {sending.runs} runs were stored")


def _copy(hub: Hub, runs: int) -> list[str]:
    """Copy all rows of the run; each copy is a second later than the one before."""
    with closing(sqlite3.connect(hub.database)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        for table in COPIED:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            source = [_renamed(table, name) for name in columns]
            database.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs - 1}) "
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {', '.join(source)} FROM (SELECT * FROM {table}) AS t, n"
            )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return [row[0] for row in database.execute("SELECT run_id FROM runs")]


def _renamed(table: str, column: str) -> str:
    if column in ("run_id", "execution_id"):
        return f"printf('%s-%d', t.{column}, n.i)"
    if column == "token_sha256":
        return "printf('%064x', n.i)"
    return f"t.{column} + n.i" if column.endswith("_at") else f"t.{column}"


def _ask(hub: Hub, ids: list[str], when: str) -> None:
    chance = random.Random(0)
    questions: dict[str, Callable[[], str]] = {
        "summary": lambda: f"/api/v1/runs/{chance.choice(ids)}/summary",
        "run": lambda: f"/api/v1/runs/{chance.choice(ids)}",
        "list of runs": lambda: f"/api/v1/runs?search={chance.randrange(1000)}",
        "history": lambda: "/api/v1/scenarios/bench/history?limit=10",
    }
    with hub.client() as client:
        for name, question in questions.items():
            before = _cpu_seconds(hub)
            times = [_seconds(client, question()) for _ in range(ASKED // (10 if name == "history" else 1))]
            cpu = (_cpu_seconds(hub) - before) / len(times) * 1e3
            p50, p95, p99 = np.percentile(times, (50, 95, 99)) * 1e3
            print(f"{when}: {name}: p50 {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}; {cpu:.1f} ms of the hub's CPU")


def _cpu_seconds(hub: Hub) -> float:
    times = psutil.Process(hub.process.pid).cpu_times()
    return float(times.user + times.system)


def _seconds(client: httpx2.Client, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    return took


class _Sending:
    """A thread that sends runs for as long as the block lasts."""

    def __init__(self, hub: Hub, measured: Measured) -> None:
        self.runs, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._send, args=(hub, measured))

    def _send(self, hub: Hub, measured: Measured) -> None:
        with hub.client() as client:
            while not self._ended.is_set():
                hub.send(client, measured)
                self.runs += 1

    def __enter__(self) -> "_Sending":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
