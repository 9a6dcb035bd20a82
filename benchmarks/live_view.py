"""What the live view costs those it watches: the step time with it over that without it.

    python benchmarks/live_view.py [BLOCKS]        target: 1.005 at most; 12 blocks by default, about five minutes

Real launches: PyTorch DDP on two workers. Each block has two of them from one zygote, one watched and one not, in ABBA
order. Watched is all of it: rank 0's supervisor reads the stamps and tells the driver, the driver writes the board, and
a client scrapes the endpoint every second. A launch's figure is its median step; the ratio is that of pairs in a block.
Also printed: the processor time that the driver's process takes (supervisors, endpoint and client are its threads): a
busy machine blurs it less, and what watching takes more is what it can take away from those it watches.
"""

import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import ratio, shown

from stepmark.cli.following import Follower
from stepmark.cli.machine import this_machine
from stepmark.orchestrate import rank
from stepmark.orchestrate.driver import Options, measure
from stepmark.plan.blocks import make_plan
from stepmark.results.certificate import Certificate
from stepmark.results.record import LaunchRecord
from stepmark.results.standing import Board
from stepmark.scenario.load import scenario_from_object
from stepmark.telemetry.live import serving

SCENARIO = {
    "apiVersion": "stepmark.dev/v1alpha1",
    "kind": "Scenario",
    "metadata": {"name": "live-view"},
    "spec": {
        "workload": {"model": "resnet", "params": {"depth": 8, "imageSize": 16, "channels": 1, "classes": 10}},
        "candidates": [
            {"name": "unwatched", "engine": "torch", "strategy": "ddp"},
            {"name": "watched", "engine": "torch", "strategy": "ddp"},
        ],
        "scale": {"workers": [2], "batchPerWorker": 32},
        "measurement": {"minSteps": 100, "minSeconds": 6, "warmupSteps": 20, "warmupSeconds": 1},
        "parity": "skipped",
    },
}


class Kept:
    """A sink in memory, and progress that nobody sees."""

    def __init__(self) -> None:
        self.records: list[LaunchRecord] = []

    def launch_ids(self) -> frozenset[str]:
        return frozenset()

    def certified(self) -> frozenset[str]:
        return frozenset()

    def append(self, record: LaunchRecord) -> None:
        self.records.append(record)

    def certify(self, certificate: Certificate) -> None: ...
    def checked(self, certificate: Certificate) -> None: ...
    def started(self, launches: int) -> None: ...
    def finished(self, record: LaunchRecord) -> None: ...


class Client:
    """Scrapes once a second, while it may."""

    def __init__(self, url: str) -> None:
        self._url, self.scrapes = url, 0
        self.may, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._scrape, daemon=True).start()

    def _scrape(self) -> None:
        while True:
            self.may.wait()
            with urllib.request.urlopen(self._url) as answer:
                answer.read()
            self.scrapes += 1
            self._over.wait(1.0)


def only_the_watched(
    run_child: Callable[..., Any], client: Client, used: dict[bool, list[float]]
) -> Callable[..., Any]:
    """Launches of the other candidate are run as if nobody had asked. `used`: processor seconds per second."""

    def run(spec: Any, zygote: Any, environment: Any, failed: Any, tell: Any) -> Any:
        watched = ".watched." in spec.launch_id
        (client.may.set if watched else client.may.clear)()
        wall, own = time.monotonic(), time.process_time()
        outcome = run_child(spec, zygote, environment, failed, tell if watched else None)
        if spec.rank == 0:
            used[watched].append((time.process_time() - own) / (time.monotonic() - wall))
        return outcome

    return run


def medians(records: list[LaunchRecord], candidate: str) -> list[float]:
    """Of a block each, in order: the median step of the slowest rank."""
    chosen = sorted((r for r in records if r.header.cell.candidate == candidate), key=lambda r: r.header.block)
    return [float(np.median(r.step_nanoseconds[:, r.warmup_steps :].max(axis=0))) / 1e9 for r in chosen]


def main(blocks: int) -> None:
    SCENARIO["spec"]["measurement"]["launches"] = blocks  # type: ignore[index]
    plan = make_plan(scenario_from_object(SCENARIO), this_machine())
    kept, board = Kept(), Board("live-view", 0)
    used: dict[bool, list[float]] = {True: [], False: []}
    with serving("127.0.0.1", 0, board.now) as url:
        client = Client(url)
        rank.run_child = only_the_watched(rank.run_child, client, used)
        measure(plan, kept, kept, Options(launcher="bare"), lambda: True, Follower(board, None))
        client.may.clear()
    with_it, without = medians(kept.records, "watched"), medians(kept.records, "unwatched")
    for pair in zip(with_it, without, strict=True):
        print(f"watched {1e3 * pair[0]:.2f} ms, unwatched {1e3 * pair[1]:.2f} ms, ratio {pair[0] / pair[1]:.4f}")
    print(f"watched / unwatched {shown(ratio(with_it, without))}, {blocks} blocks, {client.scrapes} scrapes")
    milliseconds = {watched: 1e3 * float(np.mean(shares)) for watched, shares in used.items()}
    print(f"the driver's own: {milliseconds[True]:.2f} ms a second watched, {milliseconds[False]:.2f} ms unwatched")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
