"""Time the parts of a step one by one, after the measured windows, in the process that was measured.

Each sample begins at a barrier outside the clock and ends when the device is done. The parts take turns, so that a slow
second affects all of them alike (docs/measuring.md). Every launch times its parts, because launches are the independent
units: a few samples of many launches say more than many samples of one.
"""

import itertools
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter_ns

from stepmark.engines._feed import Feed
from stepmark.engines._protocol import Engine
from stepmark.launch.loop import Group
from stepmark.results.record import PartName, Parts

SAMPLES_LEAST, SAMPLES_MOST = 5, 25
PRODUCTS = 10  # A device that runs ahead makes so many in a sample. One would take hardly longer than waiting for it.
SHARE_OF_WINDOW = 0.25  # Beyond SAMPLES_LEAST, samples may take this share of the measured windows' seconds.

BATCHES_LEAST, BATCHES_MOST = 10, 1000  # So many batches are taken from a feed alone.

Call = Callable[[int], None]


def time_parts(
    engine: Engine, group: Group, window_seconds: float, first_step: int, matmul_flops: int, with_step: bool = True
) -> Parts:
    """Return samples of every part that the engine can run alone. All ranks take the same number of samples.

    `matmul_flops` is what one call of the part `matmul` computes. `with_step` is false where a single step is a call of
    the framework's own loop, which would be timed with it.
    """
    calls, missing = _calls(engine, first_step)
    if not with_step:
        del calls["step"]
    feed, take = engine.feed, calls.get("input")
    if feed is not None and feed.ahead:
        del calls["input"]  # Taken by itself, a batch has been prepared during the other calls.
    if engine.asynchronous and "matmul" in calls:
        calls["matmul"], matmul_flops = _repeated(calls["matmul"]), PRODUCTS * matmul_flops
    turns = _Turns(engine, group, calls, first_step)
    turns.round()  # Anything that must be traced or compiled is so before the first sample.
    rounds = [turns.round()]
    round_seconds = sum(rounds[0].values()) / 1e9
    samples = min(max(int(SHARE_OF_WINDOW * window_seconds / round_seconds), SAMPLES_LEAST), SAMPLES_MOST)
    rounds += [turns.round() for _ in range(int(group.agree_max(samples)) - 1)]
    found: dict[PartName, Sequence[int]] = {name: [one[name] for one in rounds] for name in rounds[0]}
    if feed is not None and take is not None:
        found["pipeline"] = time_pipeline(take, feed, engine, group, SHARE_OF_WINDOW * window_seconds, turns.step)
    return Parts(
        nanoseconds={name: tuple(times) for name, times in found.items()},
        reduced_bytes=sum(w.nbytes for w in engine.weights().values()) if "all_reduce" in calls else None,
        matmul_flops=matmul_flops if "matmul" in calls else None,
        missing=missing,
    )


class _Turns:
    """Time the parts in turn. `step` is the number of the next step, which the next part that is fed takes."""

    def __init__(self, engine: Engine, group: Group, calls: dict[PartName, Call], step: int) -> None:
        self._engine, self._group, self._calls, self.step = engine, group, calls, step

    def round(self) -> dict[PartName, int]:
        """Return the nanoseconds of each part, of the same batch. Where batches are fed, each part takes the next one.

        The part `input` of a feed that prepares batches during steps is what the step without update waited for its
        own.
        """
        found: dict[PartName, int] = {}
        feed, first = self._engine.feed, self.step
        for name, call in self._calls.items():
            waited = 0 if feed is None else feed.waited_nanoseconds
            found[name] = _timed(call, self._engine, self._group, self.step)
            if feed is not None and feed.waited_nanoseconds > waited:
                self.step += 1
                if feed.ahead and name == "step_without_update":
                    found["input"] = feed.waited_nanoseconds - waited
        self.step = max(self.step, first + 1)
        return found


def time_pipeline(take: Call, feed: Feed, engine: Engine, group: Group, seconds: float, step: int) -> list[int]:
    """Return the nanoseconds of batches that are taken one after another, without training: the feed's own pace.

    What was prepared before is used up first. There are as many batches as fit into `seconds`, within bounds, and the
    same number on all ranks, which begin together: they share the machine.
    """
    prepared = _taken(take, engine, group, step, feed.ahead + BATCHES_LEAST)
    pace = statistics.mean(prepared[feed.ahead :]) / 1e9
    count = int(group.agree_max(min(max(int(seconds / pace), BATCHES_LEAST), BATCHES_MOST)))
    return _taken(take, engine, group, step + len(prepared), count)


def _taken(take: Call, engine: Engine, group: Group, first_step: int, count: int) -> list[int]:
    """Return the nanoseconds of each of `count` batches, at least 1. The last one ends when the device is done."""
    group.agree_max(0.0)
    stamps = [perf_counter_ns()]
    for step in range(first_step, first_step + count):
        take(step)
        stamps.append(perf_counter_ns())
    engine.synchronize()
    stamps[-1] = perf_counter_ns()
    return [max(after - before, 1) for before, after in itertools.pairwise(stamps)]


def _calls(engine: Engine, first_step: int) -> tuple[dict[PartName, Call], str]:
    """Return the parts by name, and the reason why the step without its exchange is missing (empty where it is not)."""
    calls: dict[PartName, Call] = {"step": engine.step}
    try:
        engine.step_without_reduce(first_step)
        calls["step_without_reduce"] = engine.step_without_reduce
        missing = ""
    except NotImplementedError as error:
        missing = str(error)
    return calls | engine.parts(), missing


def _repeated(call: Call) -> Call:
    def several(index: int) -> None:
        for _ in range(PRODUCTS):
            call(index)

    return several


def _timed(call: Call, engine: Engine, group: Group, index: int) -> int:
    """Return the nanoseconds of one sample, at least 1."""
    group.agree_max(0.0)
    begin = perf_counter_ns()
    call(index)
    engine.synchronize()
    return max(perf_counter_ns() - begin, 1)
