"""What the live view costs the steps that it watches: a step's time with it over that without it, within one launch.

    python benchmarks/live_view.py [LAUNCHES [RATE]]     target: 1.005 at most at rate 1; 6 launches, 7 minutes

The launches are real: PyTorch DDP on two workers. While one runs, watching is switched on and off every six seconds, in
ABBA order. When it is on, rank 0's supervisor reads the stamps and tells the driver, the driver writes the board, and a
client scrapes the endpoint every second. An interval's figure is the mean of its steps, since what disturbs one step in
a hundred does not move a median; the ratio is that of neighbouring intervals, so that what drifts, drifts for both.

RATE: progress is told and scraped that many times as often. Each such event is independent of the others, so a cost
that is too small to be seen at rate 1 is a tenth of that at rate 10.
"""

import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import numpy as np
from _parts import ratio, shown

from stepmark.cli.following import Follower
from stepmark.launch import pace as pace_module
from stepmark.launch.pace import Pace
from stepmark.orchestrate.driver import Options, Rules, measure
from stepmark.plan.blocks import Launch, make_plan
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchHeader, LaunchRecord
from stepmark.runs.machine import this_machine
from stepmark.scenario.load import scenario_from_object
from stepmark.telemetry.live import serving
from stepmark.telemetry.progress import Board

INTERVAL_SECONDS = 6.0
SCENARIO = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "live-view"},
    "spec": {
        "workload": {"model": "resnet", "params": {"depth": 8, "imageSize": 16, "channels": 1, "classes": 10}},
        "candidates": [{"name": "torch", "engine": "torch", "strategy": "ddp"}],
        "scale": {"workers": [2], "batchPerWorker": 32},
        "measurement": {"minSteps": 100, "minSeconds": 60, "warmupSteps": 20, "warmupSeconds": 1},
        "parity": "skipped",
    },
}


class Kept:
    """A sink in memory, and progress that nobody sees."""

    def __init__(self) -> None:
        self.records: list[LaunchRecord] = []

    def headers(self) -> Iterator[LaunchHeader]:
        return (record.header for record in self.records)

    def certified(self) -> frozenset[str]:
        return frozenset()

    def append(self, record: LaunchRecord) -> None:
        self.records.append(record)

    def certify(self, certificate: Certificate) -> None: ...
    def starting(self, launcher: str) -> None: ...
    def warming(self, launches: int) -> None: ...
    def warmed(self, launch: Launch, seconds: float, problem: str | None) -> None: ...
    def checking(self, launches: int) -> None: ...
    def check_ended(self, launch: Launch) -> None: ...
    def checked(self, certificate: Certificate) -> None: ...
    def started(self, launches: int) -> None: ...
    def added(self, launches: int) -> None: ...
    def finished(self, record: LaunchRecord) -> None: ...


class Switch:
    """A replacement of `Pace.look` that watches and rests by turns, and keeps the mean step of every interval."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._look = Pace.look
        self.launches: list[list[tuple[bool, float]]] = []
        """For every launch, by interval: whether it was watched, and its mean step in seconds."""
        self._pace: Pace | None = None

    def look(self, pace: Pace, cursor: int) -> None:
        now = time.monotonic()
        if pace is not self._pace:
            self._pace, self._began_at, self._interval, self._from = pace, now, 0, cursor
            self.launches.append([])
        interval = int((now - self._began_at) / INTERVAL_SECONDS)
        if interval != self._interval:
            self._keep(pace, cursor)
            self._interval, self._from = interval, cursor
            pace._told_to, pace._next_at = cursor, now
            (self._client.may.set if self._on() else self._client.may.clear)()
        if self._on():
            self._look(pace, cursor)

    def _on(self) -> bool:
        return self._interval % 4 in (1, 2)

    def _keep(self, pace: Pace, cursor: int) -> None:
        steps, seconds = pace._buffer.steps_between(self._from, cursor) if cursor > self._from else (0, 0.0)
        if seconds > 0.9 * INTERVAL_SECONDS:  # A shorter interval holds imports, compiling, or the timing of parts.
            self.launches[-1].append((self._on(), seconds / steps))


class Client:
    """A client that scrapes once a second at rate 1, while it may."""

    def __init__(self, url: str, rate: float) -> None:
        self._url, self._rate, self.scrapes = url, rate, 0
        self.may, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._scrape, daemon=True).start()

    def _scrape(self) -> None:
        while True:
            self.may.wait()
            with urllib.request.urlopen(self._url) as answer:
                answer.read()
            self.scrapes += 1
            self._over.wait(1.0 / self._rate)


def pairs(launches: list[list[tuple[bool, float]]]) -> tuple[list[float], list[float]]:
    """Return the mean steps of neighbouring intervals of which one was watched: those with it, and those without."""
    with_it, without = [], []
    for intervals in launches:
        rest = list(intervals)
        while len(rest) >= 2:
            (first_on, first), (second_on, second) = rest[:2]
            if first_on == second_on:
                rest.pop(0)
                continue
            with_it.append(first if first_on else second)
            without.append(second if first_on else first)
            del rest[:2]
    return with_it, without


def main(launches: int, rate: float) -> None:
    SCENARIO["spec"]["measurement"]["launches"] = launches  # type: ignore[index]
    pace_module.TELL_SECONDS /= rate
    scenario = scenario_from_object(SCENARIO)
    plan = make_plan(scenario, this_machine(scenario.spec.device))
    kept, board = Kept(), Board("live-view", 0)
    with serving("127.0.0.1", 0, board.now) as url:
        client = Client(url, rate)
        switch = Switch(client)
        Pace.look = lambda pace, cursor: switch.look(pace, cursor)  # type: ignore[method-assign, assignment]
        rules = Rules(precise_enough=lambda: True, disturbed=lambda _: None)
        measure(plan, kept, kept, Options(launcher="bare"), rules, Follower(board, None))
        client.may.clear()
    with_it, without = pairs(switch.launches)
    for pair in zip(with_it, without, strict=True):
        print(f"watched {1e3 * pair[0]:.3f} ms, unwatched {1e3 * pair[1]:.3f} ms, ratio {pair[0] / pair[1]:.4f}")
    found = ratio(with_it, without)
    print(f"watched / unwatched at rate {rate:g}: {shown(found)}, {len(with_it)} pairs, {client.scrapes} scrapes")
    at_one = 1e2 * (np.array([found.value, found.low, found.high]) - 1) / rate
    print("so at rate 1: {:+.3f} % [{:+.3f}, {:+.3f}]".format(*at_one))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
