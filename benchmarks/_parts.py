"""Shared parts of the benchmarks: engines in this process, specs for single launches, and a ratio with its interval."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stepmark import catalog
from stepmark.analysis.intervals import Estimate, geometric_mean
from stepmark.engines._device import CPU
from stepmark.engines._protocol import Engine, RankContext
from stepmark.launch.spawn import child_environment
from stepmark.launch.spec import LaunchSpec, Placement, RankGroup, RankOutcome
from stepmark.launch.supervise import run_child
from stepmark.orchestrate.folders import leased_ports, own_folders, run_folder, scratch_folder
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.results.record import unpack_steps
from stepmark.scenario.data import Data
from stepmark.scenario.model import Measurement, Training, WorkloadChoice
from stepmark.terms import ExecutionLevel
from stepmark.workloads import _batches


def engine_here(name: str, execution: ExecutionLevel, model: str, params: dict[str, Any], batch: int) -> Engine:
    """Return a built engine of one worker in this very process."""
    module, workload = catalog.load_engine(name), catalog.load_workload(model)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    context = RankContext(0, 1, "single", None, execution, "float32", (), 1, 0, 0, 0, 60)
    engine = module.Engine(context)
    engine.join_group()
    parsed = workload.parse(params)
    engine.build(workload, parsed, _batches.global_batches(workload.input(parsed), "synthetic", 0, batch, 4), 0.0625)
    return engine


class Lab:
    """A place for single launches of one worker, forked or fresh, without a scenario around them."""

    def __init__(self, run_id: str) -> None:
        self._run_id, self._count = run_id, 0
        self.folder = run_folder(run_id)

    def environment(self, engine: str) -> dict[str, str]:
        return child_environment(engine, 1, scratch_folder(self._run_id))

    def launch(self, engine: str, zygote: Path | None, core: int, params: dict[str, Any]) -> np.ndarray:
        """Return the measured step seconds of one launch of an mlp, shape (steps,)."""
        self._count += 1
        cell = Cell(
            candidate=f"l{self._count}", engine=engine, strategy="single", variant=None,
            execution=catalog.load_engine(engine).SUPPORT.default_execution, levels=("default",), precision="float32",
            workers=1, processes=1, batch_per_worker=64,
        )  # fmt: skip
        with leased_ports(2) as [group, control]:
            spec = LaunchSpec(
                launch=Launch(cell, block=0, position=0, seed=0),
                workload=WorkloadChoice(model="mlp", params=params),
                data=Data(),
                training=Training(),
                measurement=Measurement(
                    warmup_steps=20, warmup_seconds=0.3, min_steps=100, min_seconds=1.0, launch_timeout_seconds=300
                ),
                group=RankGroup(
                    rank=0, addresses=(f"127.0.0.1:{group}",), control_address=f"127.0.0.1:{control}", control_token=""
                ),
                placement=Placement(node="here", cpus=(core,), device=CPU, directory=self.folder / f"l{self._count}"),
                reference=None,
                requested_at_ns=time.perf_counter_ns(),
            )
            outcome = run_child(spec, zygote, self.environment(engine), lambda: False)
        return _measured(outcome)


def _measured(outcome: RankOutcome) -> np.ndarray:
    assert outcome.report is not None, outcome.failure
    warmup = sum(window.steps for window in outcome.report.windows if window.kind == "warmup")
    return unpack_steps(outcome.steps_npz)[0][0, warmup:] / 1e9


@contextmanager
def lab() -> Iterator[Lab]:
    run_id = secrets.token_hex(8)
    with own_folders(run_id):
        yield Lab(run_id)


def ratio(numerators: list[float], denominators: list[float]) -> Estimate:
    """Return the geometric mean of the pairs' ratios, with its 95 % interval."""
    return geometric_mean(np.array(numerators) / np.array(denominators))


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
