"""A whole summary made by hand: cells that are steady, undecided or drifting, and cells without figures."""

from collections.abc import Iterator

import numpy as np

from stepmark.analysis.breakdown import breakdown, launch_split
from stepmark.analysis.cells import CellResult
from stepmark.analysis.compare import Comparison, judge
from stepmark.analysis.disturbance import Disturbance
from stepmark.analysis.economics import break_even
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.scaling import Scaling, efficiency, karp_flatt, scaled_serial_fraction
from stepmark.analysis.step_times import Rate, StepSeconds
from stepmark.analysis.stragglers import Straggler, StragglerReport
from stepmark.analysis.summary import Summary
from stepmark.analysis.utilization import Utilization
from stepmark.results.certificate import Certificate, Figures, Limits, Stage, TensorError
from stepmark.results.environment import Environment
from stepmark.results.record import Departure, StartupSeconds
from stepmark.scenario.model import Measurement

EXECUTIONS = {
    "torch": {"default": "eager", "compiled": "compiled"},
    "keras": {"default": "graph", "compiled": "compiled"},
}
SECONDS = {("torch", "default"): 0.0142, ("torch", "compiled"): 0.0117, ("keras", "default"): 0.0121}
DEPARTURE = Departure(knob="DDP's buffers", ours="off", usual="on", why="the split needs it")
VERDICTS = ("steady", "steady", "undecided", "steady", "drifting")
MISSING = {
    ("keras", "compiled", 8): ("failed", "3 of 3 launches failed: rank 5 made no step for 60 s, stopped: UNAVAILABLE"),
    ("keras", "compiled", 4): ("unsupported", "XLA compiles no all-reduce of this strategy on CPUs"),
}


def estimate(value: float, spread: float = 0.03) -> Estimate:
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread))


def example(precisions: int = 1, more_candidates: int = 0) -> Summary:
    """Return a summary of sixteen cells; each further precision or candidate adds eight or more."""
    names = ["torch", "keras", *(f"other-{index}" for index in range(more_candidates))]
    kinds = ["float32", "bfloat16", "float16", "float64"][:precisions]
    cells = tuple(
        cell(name, level, precision, workers, index)
        for precision in kinds
        for index, name in enumerate(names)
        for level in ("default", "compiled")
        for workers in (1, 2, 4, 8)
    )
    comparisons = tuple(compared(cells))
    return Summary(
        scenario="cnn-pytorch-vs-keras", scenario_digest="5e" * 32, stepmark_version="0.1.0", seed=7, launcher="ray",
        forked=True, blocks=5, workload="resnet", mode="weak", measurement=Measurement(max_launches=10), cells=cells,
        comparisons=comparisons, break_evens=tuple(break_evens()), parity="required",
        certificates=tuple(certificate(one) for one in cells if one.verdict != "unsupported"), environment=machine(),
    )  # fmt: skip


def cell(name: str, level: str, precision: str, workers: int, index: int) -> CellResult:
    missing = MISSING.get((name, level, workers))
    execution = EXECUTIONS.get(name, EXECUTIONS["torch"])[level]
    badge = "certified" if level == "default" else "compiled: within 2.2e-07"
    if (name, level, workers) == ("keras", "default", 8):
        badge = "not comparable: gradient off by 1.4e-02, as if BatchNorm's epsilon differed"
    known = CellResult(
        key=f"{name}.{execution}.{precision}.w{workers}", candidate=name, engine=name, strategy="ddp", variant=None,
        execution=execution, levels=(level,), precision=precision, options=(), workers=workers, processes=workers,
        batch_per_worker=32, global_batch=32 * workers, launches=0 if missing else 5,
        launches_failed=3 if missing else 0,
        verdict=missing[0] if missing else VERDICTS[(index + workers + len(level)) % len(VERDICTS)],
        reason=missing[1] if missing else "", parity=None if missing and missing[0] == "unsupported" else badge,
        disturbance=Disturbance() if missing else others(workers),
    )  # fmt: skip
    if missing:
        return known
    if known.verdict == "undecided":
        reason = "the windows are too short for this noise: a drift of up to 12.2% cannot be excluded; raise minSteps"
        known = known.model_copy(update={"reason": reason})
    return known.model_copy(update=figures(known, SECONDS.get((name, level), 0.0151 + 0.002 * index)))


def others(workers: int) -> Disturbance:
    """Return the disturbance of a cell: in the largest ones one launch was disturbed and made again."""
    once = int(workers == 8)
    return Disturbance(
        taken_share_median=0.012, taken_share_worst=0.31 if once else 0.02, launches_made=5 + once,
        launches_disturbed=once, launches_made_again=once,
        because="others took 31.0% of the cores of rank 5 (maxTakenShare 5.0%)" if once else "",
    )  # fmt: skip


def figures(cell: CellResult, seconds: float) -> dict[str, object]:
    random = np.random.default_rng(abs(hash((cell.workers, len(cell.candidate), len(cell.execution)))) % 2**32)
    one, n = seconds, cell.workers
    whole = one * (1 + (0.09 if cell.candidate == "torch" else 0.13) * (n - 1) ** 0.8)
    steps = whole * np.exp(0.03 * random.standard_normal(600)) * (1 + 0.5 * (random.random(600) > 0.96))
    medians = whole * np.exp(0.012 * random.standard_normal(5))
    speed = estimate(n * one / whole, 0.02 + 0.01 * n) if n > 1 else Estimate(value=1, low=1, high=1)
    rate = cell.global_batch / whole
    return {
        "step_seconds": step_seconds(steps, medians, whole),
        "samples_per_second": Rate(median=rate, low=rate * 0.97, high=rate * 1.03),
        "scaling": Scaling(
            mode="weak", workers=n, speedup=speed, efficiency=efficiency(speed, n), karp_flatt=karp_flatt(speed, n),
            scaled_serial_fraction=scaled_serial_fraction(speed, n), note="",
        ),
        **parts(cell, one, whole, rate),
    }  # fmt: skip


def step_seconds(steps: np.ndarray, medians: np.ndarray, median: float) -> StepSeconds:
    p = np.percentile(steps, np.arange(101)).tolist()
    return StepSeconds(
        median=median, low=median * 0.98, high=median * 1.02, p5=p[5], p95=p[95], p99=p[99], percentiles=tuple(p),
        launch_medians=tuple(medians.tolist()), launch_means=tuple((1.01 * medians).tolist()),
        mean=estimate(median * 1.01, 0.02), median_after_first=median * 1.011,
    )  # fmt: skip


def parts(cell: CellResult, one: float, whole: float, rate: float) -> dict[str, object]:
    n, explicit = cell.workers, cell.candidate != "keras" or cell.execution != "compiled"
    lag = np.zeros(n)
    lag[: n // 2] = 0.0006
    slow = Straggler(rank=n - 1, host="node-b", slower=0.06, low=0.04, high=0.08, p_value=1e-5, slowest_share=0.71)
    splits = [
        launch_split(
            step=np.full(n, whole * noise), step_without_reduce=one + lag, step_without_update=np.full(n, one * 0.85),
            isolated_all_reduce=np.full(n, 0.004) if n > 1 else None, reduced_bytes=44_700_000,
        )
        for noise in (0.98, 0.99, 1.0, 1.01, 1.02)
    ]  # fmt: skip
    split = breakdown(splits, [whole if n < 8 else whole / 2] * 5)
    first = 3.4 if cell.execution == "compiled" else 0.5
    return {
        "time_split": split if explicit else None,
        "time_split_missing": "" if explicit else "this strategy cannot leave out its exchange",
        "stragglers": StragglerReport(
            ranks=n, steps=125, launches=5, detectable=0.021 if n > 2 else None, slow=(slow,) if n == 8 else (),
            spread_mean=0.031, spread_p99=0.2, spread_expected=0.018
        ) if n > 1 else None,
        "utilization": Utilization(
            flops_per_sample=18_239_232, model_flops_per_second=18_239_232 * rate, peak_flops_per_second=None,
            peak_source=None, matmul_flops_per_second=2e11 * n, mfu=None, joules_per_sample=None,
            matmul_utilization=18_239_232 * rate / (2e11 * n), cost_per_million_samples=2.5 * n / 3600 / rate * 1e6,
        ),
        "peak_memory_bytes": 600_000_000,
        "departures": (DEPARTURE,) if cell.candidate == "torch" and n > 1 else (),
        "startup_seconds": StartupSeconds(spawn=0.02, import_=2.4, group=0.1 * n, build=0.8, first_step=first),
    }  # fmt: skip


def compared(cells: tuple[CellResult, ...]) -> Iterator[Comparison]:
    """Compare every cell with torch's; intervals are wider at two workers, so that not all comparisons are decided."""
    bases = {(c.levels, c.precision, c.workers): c for c in cells if c.candidate == "torch"}
    for one in cells:
        base = bases[one.levels, one.precision, one.workers]
        if one.candidate == "torch":
            continue
        ratio = None
        if one.step_seconds and base.step_seconds:
            ratio = estimate(one.step_seconds.median / base.step_seconds.median, 0.02 + 0.25 * (one.workers == 2))
        verdict, reason = judge(ratio, 0.01)
        if one.parity is not None and one.parity.startswith("not comparable"):
            verdict, reason = "inconclusive", f"parity is required and not proven: {one.parity}"
        yield Comparison(
            candidate=one.candidate, reference="torch", execution=one.levels[0], candidate_execution=one.execution,
            reference_execution=base.execution, precision=one.precision, workers=one.workers, ratio=ratio,
            blocks=5 if ratio else 0, parity="certified", verdict=verdict, reason=reason,
        )  # fmt: skip


def break_evens() -> Iterator[object]:
    for n in (1, 2):
        torch, keras = f"torch.eager.float32.w{n}", f"keras.graph.float32.w{n}"
        yield break_even(torch, estimate(3.5), estimate(0.0142), keras, estimate(4.4), estimate(0.0121))
    yield break_even("torch.a", estimate(3), estimate(0.01), "keras.b", estimate(4), estimate(0.02))


def certificate(cell: CellResult) -> Certificate:
    text = cell.parity or ""
    failed = text.startswith("not comparable")
    figures = Figures(
        forward=1.1e-7, loss=1e-7, gradient=1.4e-2 if failed else 9.2e-8, gradient_scale=1, gradient_rest=0,
        tensors=(TensorError(tensor="layer1.0.bn1.weight", error=1.2e-7),), weights=7.7e-10, steps=5,
    )  # fmt: skip
    limits = Limits(forward=1e-5, loss=1e-5, gradient=1e-5, scale=1e-5, tensor=1e-4, weights=1e-5)
    stage = Stage(
        name="as timed", engine=cell.engine, reference_engine="torch", figures=figures, limits=limits, ranks_agree=True,
        problem="gradient off by 1.4e-02" if failed else "",
    )  # fmt: skip
    badge = "not comparable" if failed else "certified" if text == "certified" else "within limits"
    return Certificate(cell=cell.key, reference="torch.eager.float32.w1", badge=badge, text=text, stages=(stage,))


def machine() -> Environment:
    return Environment(
        host="bench-01", kernel="6.1.0", python="3.11.9", cpu_model="AMD EPYC 7B13", cpu_count=16, cpu_governor=None,
        memory_bytes=64 * 2**30, cgroup_memory_limit_bytes=None, cgroup_cpu_limit=16.0, load_average_1m=0.4,
        packages={"torch": "2.13.0", "tensorflow-cpu": "2.21.0", "keras": "3.15.1", "ray": "2.60.0"},
    )  # fmt: skip
