"""Train the cells of a scenario to an accuracy in this process, with a mistake planted into Keras or without.

python learned.py SCENARIO FOLDER ENGINE... [rescaled]    writes FOLDER/time-to-accuracy.json, certificates too
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from stepmark import catalog
from stepmark.engines._device import CPU
from stepmark.engines._optimizers import RATES
from stepmark.launch import loop
from stepmark.launch.buffer import StampBuffer
from stepmark.launch.group import ControlGroup
from stepmark.launch.learning import learn
from stepmark.launch.samples import own_samples
from stepmark.launch.spec import LaunchSpec, Placement, RankGroup
from stepmark.parity.certify import certificate, stage
from stepmark.parity.figures import compare
from stepmark.parity.judge import cell_limits
from stepmark.parity.probe import Trace, batches_digest, trace
from stepmark.plan.blocks import Launch, Plan, make_plan
from stepmark.plan.cells import Cell
from stepmark.plan.learning import learning_blocks
from stepmark.results.certificate import Certificate, ProbeReport
from stepmark.results.learning import LearningRecord, LearningRecords
from stepmark.runs.machine import machine_for
from stepmark.scenario.load import scenario_from_file
from stepmark.workloads import _weights

ENGINES = [name for name in sys.argv[3:] if name != "rescaled"]
SAMPLES = 8


def spec_of(plan: Plan, launch: Launch, folder: Path) -> LaunchSpec:
    asked = plan.scenario.spec
    return LaunchSpec(
        launch=launch,
        workload=asked.workload,
        data=asked.data,
        training=asked.training,
        measurement=asked.measurement,
        group=RankGroup(rank=0, addresses=("127.0.0.1:0",), control_address="127.0.0.1:0", control_token=""),
        placement=Placement(node="here", cpus=(0,), device=CPU, directory=folder),
        reference=None,
        requested_at_ns=0,
    )


def built(spec: LaunchSpec, samples: Any = None) -> Any:
    module = catalog.load_engine(spec.cell.engine)
    workload = catalog.load_workload(spec.workload.model)
    params = workload.parse(spec.workload.params)
    engine = module.Engine(spec.rank_context())
    engine.join_group()
    batches = own_samples(spec, workload.input(params))
    if samples is not None:
        batches = [(inputs[:samples], labels[:samples]) for inputs, labels in batches]
    engine.build(workload, params, batches, RATES[spec.training.optimizer])
    return engine, workload, workload.input(params), batches


def record(plan: Plan, launch: Launch, folder: Path) -> LearningRecord:
    spec = spec_of(plan, launch, folder)
    engine, workload, inputs, _ = built(spec)
    group = ControlGroup.join("127.0.0.1:0", "", 0, 1, 60)
    recorder = loop.Recorder(
        engine.step, engine.synchronize, group, StampBuffer.create(folder / "stamps", spec.stamps_most)
    )
    recorder.window("warmup", 1)
    report = learn(spec, engine, group, workload, inputs, recorder)
    place: dict[str, Any] = {"position": launch.position, "started_at": "", "wall_seconds": 1.0}
    return LearningRecord(cell=launch.cell.key, block=launch.block, ranks=(report,), **place)


def traced(plan: Plan, launch: Launch, folder: Path) -> tuple[Trace, str]:
    engine, workload, _, batches = built(spec_of(plan, launch, folder), SAMPLES)
    found = trace(engine, lambda shapes: workload.starting_weights(shapes, 7), lambda value: value)
    return found, batches_digest(batches)


def certified(reference: Cell, cell: Cell, known: Trace, found: Trace, batches: str) -> Certificate:
    report = ProbeReport(
        rank=0,
        start_digest=found.start_digest,
        batches_digest=batches,
        end_digest=_weights.digest(found.end),
        tensors=tuple(sorted(found.end)),
        figures=compare(known, found, slice(None)),
        flags={},
    )
    stages = [stage("as timed", cell, reference, [report], cell_limits(cell, 1e-12, False, "sgd"), tuple(known.end))]
    return certificate(cell, reference, stages, [report], SAMPLES)


def rescaled() -> Any:
    """Have Keras' model divide the pixels by 16 once more, as where data that were scaled already are scaled again."""
    workload = catalog.load_workload("mlp")
    real = workload.keras_model  # type: ignore[attr-defined]

    def model(params: Any) -> Any:
        import keras

        inputs = keras.Input((params.features,))
        return keras.Model(inputs, real(params)(keras.layers.Rescaling(1 / 16)(inputs)))

    return mock.patch.object(workload, "keras_model", model)


def main() -> None:
    folder, scenario = Path(sys.argv[2]), scenario_from_file(Path(sys.argv[1]))
    plan = make_plan(scenario, machine_for(scenario.spec))
    for name in ENGINES:
        catalog.load_engine(name).import_framework()
    blocks = [[launch for launch in block if launch.cell.engine in ENGINES] for block in learning_blocks(plan)]
    records = tuple(record(plan, launch, folder) for block in blocks for launch in block)
    first = sorted(blocks[0], key=lambda launch: ENGINES.index(launch.cell.engine))
    known, _ = traced(plan, first[0], folder)
    certificates = tuple(
        certified(first[0].cell, launch.cell, known, *traced(plan, launch, folder)) for launch in first
    )
    empty = LearningRecords.empty(plan, "bare")
    empty.model_copy(update={"launches": records, "certificates": certificates}).save(folder)


if __name__ == "__main__":
    with rescaled() if "rescaled" in sys.argv else nullcontext():
        main()
