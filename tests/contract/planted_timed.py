"""Mistakes of the timed run alone, planted one at a time into PyTorch DDP on two ranks. Run as a script, once a rank.

python planted_timed.py FOLDER RANK GROUP_PORT CONTROL_PORT    writes FOLDER/NAME.RANK.json, the proof with mistake
NAME planted, and FOLDER/NAME.txt, what the check before timing says of the same engine
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from stepmark import catalog
from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import RankContext
from stepmark.launch.group import ControlGroup
from stepmark.launch.proof import prove
from stepmark.launch.spec import LaunchSpec, RankGroup
from stepmark.parity.figures import compare
from stepmark.parity.judge import FLOAT32, problem
from stepmark.parity.probe import Trace, trace
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.scenario.data import Data
from stepmark.scenario.model import Measurement, Training
from stepmark.terms import OptimizerName
from stepmark.workloads import _batches

RANKS, SAMPLES_CHECKED, SAMPLES, STEPS = 2, 8, 32, 24
WORKLOAD = catalog.load_workload("mlp")
PARAMS = WORKLOAD.parse({"hidden": 32})
ALONE = RankContext(0, 1, "single", None, "eager", "float32", (), 1, 7, 7, 0, 60, accumulate=RANKS)
CELL = Cell(
    candidate="planted", engine="torch", strategy="ddp", variant=None, execution="eager", levels=("eager",),
    precision="float32", workers=RANKS, processes=RANKS, batch_per_worker=SAMPLES,
)  # fmt: skip
ENGINE: Any = None


@contextmanager
def step_replaced(make: Callable[[Any, Any, int], None]) -> Iterator[None]:
    """Replace a step by `make(the real step, the engine, the step's index)` in the block."""
    real = ENGINE.step
    with mock.patch.object(ENGINE, "step", lambda self, index: make(real, self, index)):
        yield


def local_sgd(exchanges: Callable[[int], bool]) -> Any:
    """Do local SGD: exchange gradients in some steps only."""

    def step(real: Any, engine: Any, index: int) -> None:
        with nullcontext() if exchanges(index) else engine._strategy.no_exchange():
            real(engine, index)

    return step_replaced(step)


def skipped_backward() -> Any:
    """Skip every second step after step 10."""
    return step_replaced(lambda real, engine, index: None if index > 10 and index % 2 else real(engine, index))


@contextmanager
def samples_left_out() -> Iterator[None]:
    """Train only on the first eight samples of each rank."""
    real = ENGINE._place
    few = SAMPLES_CHECKED
    with mock.patch.object(ENGINE, "_place", lambda self, batch: real(self, tuple(part[:few] for part in batch))):
        yield


@contextmanager
def memory_kept() -> Iterator[None]:
    """Put the known weights back without a reset of what the optimiser keeps."""

    def restart(self: Any, weights: Any, learning_rate: float) -> None:
        self.load_weights(weights)
        self._optimizer.param_groups[0]["lr"] = learning_rate

    with mock.patch.object(ENGINE, "restart", restart):
        yield


PLANTS: dict[str, Callable[[], Any]] = {
    "honest": nullcontext,
    "local-sgd-from-8": lambda: local_sgd(lambda index: index < 8),
    "local-sgd-every-10": lambda: local_sgd(lambda index: index < 8 or index % 10 == 0),
    "skipped-backward": skipped_backward,
    "samples-left-out": samples_left_out,
    "timed-shards-are-all-the-first": nullcontext,
    "adamw-honest": nullcontext,
    "adamw-memory-kept": memory_kept,
}


def weights(shapes: Any) -> Any:
    return WORKLOAD.starting_weights(shapes, 7)


def batches(samples: int) -> Any:
    return _batches.global_batches(WORKLOAD.input(PARAMS), "synthetic", 7, samples * RANKS, _batches.BATCHES)


def shards(samples: int, rank: int) -> Any:
    return [_batches.shard(batch, rank, RANKS) for batch in batches(samples)]


def optimizer_of(plant: str) -> OptimizerName:
    return "adamw" if plant.startswith("adamw") else "sgd"


def write_references(folder: Path, optimizer: OptimizerName) -> None:
    """Write the references of the check before timing, `few`, and of the timed batches."""
    for name, samples in (("few", SAMPLES_CHECKED), ("timed", SAMPLES)):
        engine = ENGINE(replace(ALONE, optimizer=optimizer))
        engine.build(WORKLOAD, PARAMS, batches(samples), RATES[optimizer])
        trace(engine, weights, lambda loss: loss, with_logits=name == "few").save(folder / f"{name}.{optimizer}.npz")


def check_before(folder: Path, engine: Any, group: ControlGroup, rank: int, optimizer: OptimizerName) -> str:
    """Make the check before timing, with few samples and few steps; return the problem, empty where there is none."""
    engine.build(WORKLOAD, PARAMS, shards(SAMPLES_CHECKED, rank), RATES[optimizer])
    found = trace(engine, weights, group.agree_mean)
    if rank:
        return ""
    figures = compare(Trace.load(folder / f"few.{optimizer}.npz"), found, slice(0, None, RANKS))
    return problem(figures, FLOAT32, (), distributed=True)


def run(folder: Path, name: str, engine: Any, group: ControlGroup, rank: int) -> None:
    optimizer = optimizer_of(name)
    engine._context = replace(engine._context, optimizer=optimizer)  # It is read when the model is built.
    spec = LaunchSpec.model_construct(  # type: ignore[call-arg]
        launch=Launch(CELL, block=0, position=0, seed=7),
        data=Data(),
        training=Training(optimizer=optimizer),
        measurement=Measurement(seed=7),
        group=RankGroup.model_construct(rank=rank),  # type: ignore[call-arg]
        reference=folder / f"timed.{optimizer}.npz",
    )
    with PLANTS[name]():
        said = check_before(folder, engine, group, rank, optimizer)
        own = 0 if name == "timed-shards-are-all-the-first" else rank
        engine.build(WORKLOAD, PARAMS, shards(SAMPLES, own), RATES[optimizer])
        for index in range(STEPS):
            engine.step(index)
        proof = prove(spec, engine, group, WORKLOAD, PARAMS, STEPS)
    (folder / f"{name}.{rank}.json").write_text(proof.model_dump_json())
    if rank == 0:
        (folder / f"{name}.txt").write_text(said)


def main(folder: Path, rank: int, group_port: str, control_port: str) -> None:
    global ENGINE
    module = catalog.load_engine("torch")
    module.import_framework()
    ENGINE = module.Engine
    if rank == 0:
        for optimizer in sorted({optimizer_of(name) for name in PLANTS}):
            write_references(folder, optimizer)
    group = ControlGroup.join(f"127.0.0.1:{control_port}", "token", rank, RANKS, 600)
    addresses = (f"127.0.0.1:{group_port}",) * RANKS
    engine = ENGINE(replace(ALONE, rank=rank, world_size=RANKS, strategy="ddp", addresses=addresses, accumulate=1))
    engine.join_group()
    for name in PLANTS:
        run(folder, name, engine, group, rank)
    group.finish()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
