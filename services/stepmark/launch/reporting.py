"""Write what a rank found into its launch's folder: the report, its proof and the parts of a step, or a failure."""

import json
import os
import resource
import traceback
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stepmark import catalog
from stepmark.devices.nvml import here
from stepmark.devices.watch import energy_joules
from stepmark.engines._device import Memory, matmul_flops
from stepmark.engines._feed import Feed
from stepmark.engines._protocol import Engine
from stepmark.errors import ModelRefused, UnsupportedHere, printable
from stepmark.launch import loop
from stepmark.launch.group import ControlGroup
from stepmark.launch.nccl_log import setting_flags
from stepmark.launch.parts import time_parts
from stepmark.launch.proof import failed_proof, prove
from stepmark.launch.spec import LaunchSpec
from stepmark.results.device import DeviceMemory
from stepmark.results.feeding import Feeding
from stepmark.results.record import Departure, ModelFacts, Parts, RankReport, StartupSeconds
from stepmark.results.shapes import Recompilations
from stepmark.workloads._datasets import data_digest
from stepmark.workloads._protocol import Workload

REPORT, STEPS, STDERR, STAMPS, PID = "report.json", "steps.npz", "stderr.log", "stamps", "pid"


def write(spec: LaunchSpec, document: dict[str, object]) -> None:
    """Write the report under a draft name and rename it, so that it appears whole or not at all."""
    draft = spec.placement.directory / f"{REPORT}.draft"
    draft.write_text(json.dumps(document))
    draft.rename(spec.placement.directory / REPORT)


OUT_OF_MEMORY = "out of memory"
"""This is how the cause begins of a launch whose process ran out of memory."""


def cause(error: BaseException) -> str:
    """Return an error as the cause of a failure: its type and message, or that memory has run out."""
    if isinstance(error, UnsupportedHere | ModelRefused):
        return str(error)[:1000]
    text = f"{type(error).__name__}: {error}".strip()
    signs = ("can't allocate memory", "out of memory", "oom when allocating", "cannot allocate", "resource_exhausted")
    out_of_memory = isinstance(error, MemoryError) or any(sign in text.lower() for sign in signs)
    return f"{OUT_OF_MEMORY} ({text[:300]})" if out_of_memory else text[:1000]


@dataclass(frozen=True)
class Edge:
    """Hold what a process has counted at an edge of its measured windows. A value is None where it is unknown."""

    compilations: int | None
    joules: float | None
    waited_nanoseconds: int | None


def rank_report(
    spec: LaunchSpec,
    startup: StartupSeconds,
    recorder: loop.Recorder,
    engine: Engine,
    first_loss: float,
    edges: tuple[Edge, Edge],
) -> RankReport:
    """Return what was measured, after the windows, without proof and parts.

    `edges` are those before the first and after the last measured window.
    """
    last_loss, (before, after) = engine.synchronize(), edges
    joules = None if before.joules is None or after.joules is None else after.joules - before.joules
    return RankReport(
        rank=spec.group.rank,
        host=spec.placement.node,
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        startup_seconds=startup,
        windows=tuple(recorder.windows),
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        first_loss=first_loss if np.isfinite(first_loss) else None,
        last_loss=last_loss if np.isfinite(last_loss) else None,
        compilations_after_warmup=before.compilations,
        compilations_after_window=after.compilations,
        recompilations=_recompilations(engine),
        flags=engine.flags() | _process_flags(spec),
        energy_joules=joules,
        device_memory=_device_memory(engine.device_memory()),
        departures=_departures(spec) if spec.group.rank == 0 else (),
        feeding=_feeding(engine.feed, before, after),
    )


def joules(spec: LaunchSpec) -> float | None:
    """Return the energy that this rank's GPUs have used by their own counters, or None where it is unknown."""
    gpus = spec.placement.gpus
    return energy_joules(here(), gpus) if gpus else None


def _feeding(feed: Feed | None, before: Edge, after: Edge) -> Feeding | None:
    if feed is None or before.waited_nanoseconds is None or after.waited_nanoseconds is None:
        return None
    waited = after.waited_nanoseconds - before.waited_nanoseconds
    return Feeding(way=feed.way, batch_bytes=feed.batch_bytes, wait_nanoseconds=waited)


def _process_flags(spec: LaunchSpec) -> dict[str, str]:
    digest = data_digest(spec.data.source)
    data = {} if digest is None else {"data_digest": digest}
    return {"niceness": str(os.nice(0))} | data | (setting_flags(os.environ) if spec.placement.gpus else {})


def _recompilations(engine: Engine) -> Recompilations | None:
    """Return what the framework counted, or None where nothing is compiled."""
    found = engine.recompilations()
    return None if found is None else Recompilations(**asdict(found))


def _device_memory(memory: Memory | None) -> DeviceMemory | None:
    """Return what the framework counted, or None on CPU cores. The supervisor adds what the driver counted."""
    if memory is None:
        return None
    return DeviceMemory(
        allocated_peak_bytes=memory.allocated_peak_bytes, reserved_peak_bytes=memory.reserved_peak_bytes
    )


def _departures(spec: LaunchSpec) -> tuple[Departure, ...]:
    cell, optimizer = spec.cell, spec.training.optimizer
    support = catalog.load_engine(cell.engine).SUPPORT
    kind = (cell.strategy, cell.variant, cell.execution, cell.precision, cell.device, optimizer, cell.options)
    found = support.departures_of(*kind)
    return tuple(Departure(knob=one.knob, ours=one.ours, usual=one.usual, why=one.why) for one in found)


def add_proof(
    spec: LaunchSpec,
    report: RankReport,
    engine: Engine,
    group: ControlGroup,
    workload: Workload,
    params: Any,
    steps_done: int,
) -> tuple[RankReport, bool]:
    """Write the report again, with its proof, and return it with whether the group can go on.

    If the proof fails, the report keeps what was measured, and the launch ends here, because the other ranks may be
    waiting in a collective.
    """
    try:
        proof, intact = prove(spec, engine, group, workload, params, steps_done), True
    except Exception as error:
        proof, intact = failed_proof(error), False
    report = report.model_copy(update={"proof": proof})
    write(spec, {"report": report.model_dump(mode="json")})
    return report, intact


def add_model_facts(spec: LaunchSpec, report: RankReport, model: ModelFacts | None) -> RankReport:
    """Write the report of rank 0 again, with what was counted of its model, and return it."""
    if spec.group.rank == 0:
        report = report.model_copy(update={"model": model})
        write(spec, {"report": report.model_dump(mode="json")})
    return report


def add_parts(
    spec: LaunchSpec, report: RankReport, engine: Engine, group: ControlGroup, recorder: loop.Recorder
) -> bool:
    """Write the report again, with the parts of the step, and return whether they were timed.

    If timing them fails, the report keeps what was measured. A rank that has lost another rank writes nothing, because
    the rank that failed has written the reason if it could.
    """
    if recorder.round_steps > 1:
        parts = Parts(nanoseconds={}, missing="batches differ in shape, and parts are timed for one shape only")
        write(spec, {"report": report.model_copy(update={"parts": parts}).model_dump(mode="json")})
        return True
    flops = matmul_flops(spec.placement.device.kind, spec.cell.precision)
    seconds, with_step = recorder.total("measured")[1], "fit" not in spec.cell.options
    try:
        parts = time_parts(engine, group, seconds, recorder.steps_done, flops, with_step)
    except ConnectionError:
        return False
    except Exception as error:
        traceback.print_exc()
        parts = Parts(nanoseconds={}, missing=printable(f"timing the parts failed: {cause(error)}")[:400])
    write(spec, {"report": report.model_copy(update={"parts": parts}).model_dump(mode="json")})
    return bool(parts.nanoseconds)
