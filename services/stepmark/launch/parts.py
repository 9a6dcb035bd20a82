"""Time the parts of a step one by one, after the measured windows, in the process that was measured.

Each sample begins at a barrier outside the clock and ends when the device is done. The parts take turns, so that a slow
second affects all of them alike (docs/measuring.md). Every launch times its parts, because launches are the independent
units: a few samples of many launches say more than many samples of one.
"""

from collections.abc import Callable
from time import perf_counter_ns

from stepmark.engines._protocol import Engine
from stepmark.launch.loop import Group
from stepmark.results.record import PartName, Parts

SAMPLES_LEAST, SAMPLES_MOST = 10, 25
PRODUCTS = 10  # A device that runs ahead makes so many in a sample. One would take hardly longer than waiting for it.
SHARE_OF_WINDOW = 0.25  # Beyond SAMPLES_LEAST, samples may take this share of the measured windows' seconds.

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
    if engine.asynchronous and "matmul" in calls:
        calls["matmul"], matmul_flops = _repeated(calls["matmul"]), PRODUCTS * matmul_flops
    for call in calls.values():  # Anything that must be traced or compiled is so before the first sample.
        _timed(call, engine, group, first_step)
    round_seconds = sum(_timed(call, engine, group, first_step) for call in calls.values()) / 1e9
    samples = min(max(int(SHARE_OF_WINDOW * window_seconds / round_seconds), SAMPLES_LEAST), SAMPLES_MOST)
    samples = int(group.agree_max(samples))
    found: dict[PartName, list[int]] = {name: [] for name in calls}
    for index in range(samples):
        for name, call in calls.items():
            found[name].append(_timed(call, engine, group, first_step + index))
    return Parts(
        nanoseconds={name: tuple(times) for name, times in found.items()},
        reduced_bytes=sum(w.nbytes for w in engine.weights().values()) if "all_reduce" in calls else None,
        matmul_flops=matmul_flops if "matmul" in calls else None,
        missing=missing,
    )


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
