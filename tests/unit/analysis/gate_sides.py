"""Two runs to compare, made from the mean step times of their launches."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from conftest import scenario_document
from stepmark.analysis.alike import Side
from stepmark.analysis.cells import CellResult
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.step_times import StepSeconds
from stepmark.analysis.summary import Summary
from stepmark.plan.cells import Machine
from stepmark.results.environment import Environment
from stepmark.results.store import Run
from stepmark.scenario.load import scenario_from_object

ENVIRONMENT = Environment(
    host="a", kernel="6.1", python="3.11.1", cpu_model="X", cpu_count=8, cpu_governor=None, memory_bytes=64 << 30,
    cgroup_memory_limit_bytes=None, cgroup_cpu_limit=None, load_average_1m=0.0, packages={"torch": "2.13"},
)  # fmt: skip


def cell(key: str, means: Sequence[float], **changes: Any) -> CellResult:
    """Return a steady cell, or a failed one if there are no means."""
    result = CellResult(
        key=key, candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager",
        levels=("default",), precision="float32", options=(), workers=1, processes=1, batch_per_worker=8,
        global_batch=8, launches=len(means), launches_failed=0, verdict="steady" if means else "failed",
        reason="" if means else "2 of 2 launches failed: rank 0: out of memory", parity=None,
        step_seconds=_step(tuple(means)) if means else None,
    )  # fmt: skip
    return result.model_copy(update=changes)


def _step(means: tuple[float, ...]) -> StepSeconds:
    middle = Estimate(value=float(np.exp(np.log(means).mean())), low=None, high=None)
    return StepSeconds.model_construct(  # type: ignore[call-arg]
        median=middle.value, low=None, high=None, mean=middle, launch_medians=means, launch_means=means
    )


@functools.cache
def _run(changes_json: str) -> Run:
    changes = json.loads(changes_json)
    environment = {name: value for name, value in changes.items() if name in Environment.model_fields}
    spec = {name: value for name, value in changes.items() if name not in Environment.model_fields}
    return Run(
        stepmark_version="0.1.0", scenario=scenario_document(**spec), scenario_digest="0" * 64,
        machine=Machine(places=8, programs=()), launcher="bare", forked=True,
        environment=ENVIRONMENT.model_copy(update=environment),
    )  # fmt: skip


def side(
    cells: Mapping[str, Sequence[float]] | Sequence[CellResult],
    facts: Mapping[str, Mapping[str, str]] | None = None,
    **changes: Any,
) -> Side:
    """Return one side of a gate. `changes` are those of the environment or of the scenario's spec."""
    results = [cell(key, means) for key, means in cells.items()] if isinstance(cells, Mapping) else cells
    run = _run(json.dumps(changes))
    summary = Summary.model_construct(  # type: ignore[call-arg]
        scenario="test", scenario_digest="0" * 64, stepmark_version="0.1.0", cells=tuple(results),
        measurement=scenario_from_object(run.scenario).spec.measurement, mode="weak",
    )  # fmt: skip
    return Side("folder", run, summary, facts or {})
