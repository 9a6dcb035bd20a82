"""Run one rank of a launch: join the group, build, warm up, measure and report. This process never talks to Ray.

It is started as `python -m stepmark.launch.child` with a LaunchSpec on standard input, or forked by a zygote.
"""

import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, cast

from stepmark import catalog
from stepmark.devices.visible import device_variables
from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import Engine
from stepmark.launch import IMPORTED_AT_NS, loop, own_model, process, reporting
from stepmark.launch.buffer import Phase, StampBuffer
from stepmark.launch.check import check
from stepmark.launch.fit_window import FitLoop, FitRecorder
from stepmark.launch.foreign import workload_of
from stepmark.launch.group import ControlGroup
from stepmark.launch.interference import Meter
from stepmark.launch.joining import join
from stepmark.launch.learning import learn
from stepmark.launch.samples import batch_tokens, own_samples, shaped, steps_of_a_round
from stepmark.launch.spec import LaunchSpec
from stepmark.results.learning import LearningReport
from stepmark.results.record import StartupSeconds
from stepmark.results.starts import StartReport
from stepmark.workloads._protocol import InputSpec, Workload


@dataclass
class Stopwatch:
    """Measure the seconds between calls of `lap`."""

    last_ns: int

    def lap(self) -> float:
        """Return the seconds since the last call, at least 0."""
        now = perf_counter_ns()
        seconds = (now - self.last_ns) / 1e9
        self.last_ns = now
        return max(seconds, 0.0)


def main() -> None:
    """Run the rank that standard input describes."""
    process.die_with_parent(os.getppid())
    run(LaunchSpec.model_validate_json(sys.stdin.read()))


def run(spec: LaunchSpec) -> None:
    """Measure, write the report or the failure into the launch's folder, and end the process at once.

    Nothing is closed or freed. TensorFlow's threads have been seen to hang in an orderly exit, and the destructor of a
    DDP model holds the interpreter's lock while it waits for a gloo thread that needs that lock.
    """
    os.environ.update(device_variables(spec.placement.gpus))  # CUDA reads them when it starts.
    watch = Stopwatch(spec.requested_at_ns)
    status = 1
    try:
        os.chdir(spec.placement.directory)
        (spec.placement.directory / reporting.PID).write_text(str(os.getpid()))
        _redirect_output(spec)
        os.sched_setaffinity(0, spec.placement.cpus)
        if spec.launch.probe is not None:
            reporting.write(spec, {"probe": check(spec, spec.launch.probe).model_dump(mode="json")})
        elif spec.launch.start is not None:
            reporting.write(spec, {"start": _start(spec, watch).model_dump(mode="json")})
        elif spec.launch.target is not None:
            reporting.write(spec, {"learning": _learn(spec, watch).model_dump(mode="json")})
        else:
            _measure(spec, watch)
        status = 0
    except BaseException as error:  # The supervisor must learn of every error.
        traceback.print_exc()
        reporting.write(spec, {"cause": reporting.cause(error)})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect_output(spec: LaunchSpec) -> None:
    log = os.open(spec.placement.directory / reporting.STDERR, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


@dataclass(frozen=True)
class _Begun:
    """Hold what has made its first step."""

    engine: Engine
    group: ControlGroup
    workload: Workload
    params: Any
    buffer: StampBuffer
    recorder: loop.Recorder
    first_loss: float
    startup: StartupSeconds


def _begin(spec: LaunchSpec, watch: Stopwatch) -> _Begun:
    """Import, join, build and make the first step."""
    spawn = watch.lap()
    module = catalog.load_engine(spec.cell.engine)
    module.import_framework()
    imported = watch.lap()
    if spec.measurement.memory_limit_bytes is not None:
        process.limit_address_space(spec.measurement.memory_limit_bytes)
    buffer = StampBuffer(spec.placement.directory / reporting.STAMPS)
    engine, group = join(module, spec, buffer)
    grouped = watch.lap()
    workload = shaped(spec, workload_of(spec))
    params = workload.parse(spec.workload.params)
    inputs = workload.input(params)
    engine.build(workload, params, own_samples(spec, inputs), RATES[spec.training.optimizer])
    if engine.feed is not None:
        engine.feed.waiting = buffer.set_waiting
    if _is_looked_at(spec, workload):
        own_model.check_outputs(engine, inputs)
    built = watch.lap()

    recorder = _recorder(spec, engine, group, buffer, inputs)
    recorder.window("warmup", 1)
    first_loss = engine.synchronize()
    startup = StartupSeconds(
        spawn=spawn,
        import_=spec.zygote_import_seconds if spec.zygote_import_seconds is not None else imported,
        group=grouped,
        build=built,
        first_step=watch.lap(),
    )
    return _Begun(engine, group, workload, params, buffer, recorder, first_loss, startup)


def _recorder(
    spec: LaunchSpec, engine: Engine, group: ControlGroup, buffer: StampBuffer, inputs: InputSpec
) -> loop.Recorder:
    """Return what runs the windows: stepmark's own loop, or the framework's where the candidate asks for it."""
    queued = engine if engine.asynchronous else None
    if "fit" in spec.cell.options:
        return FitRecorder(cast(FitLoop, engine), group, buffer, queued)
    round_steps = steps_of_a_round(spec, inputs)
    return loop.Recorder(engine.step, engine.synchronize, group, buffer, queued, round_steps)


def _is_looked_at(spec: LaunchSpec, workload: Workload) -> bool:
    """Return whether the outputs are looked at here.

    A parity check has looked at them where there is a reference. A user's script does not look.
    """
    is_unseen = spec.reference is None and spec.launch.start is None
    return is_unseen and own_model.is_looked_at(spec.workload.model, workload)


def _start(spec: LaunchSpec, watch: Stopwatch) -> StartReport:
    """Make the first step, and return what it took since the process was requested."""
    begun = _begin(spec, watch)
    found, until_own = begun.startup, max(IMPORTED_AT_NS - spec.requested_at_ns, 0) / 1e9
    report = StartReport(
        rank=spec.group.rank,
        interpreter=until_own,
        own_imports=max(found.spawn - until_own, 0.0),
        imports=found.import_,
        build=found.group + found.build,
        first_step=found.first_step,
        compilations=begun.engine.compilations(),
        flags=begun.engine.flags(),
    )
    begun.group.finish()
    return report


def _learn(spec: LaunchSpec, watch: Stopwatch) -> LearningReport:
    """Train to the target and beyond, and return what was reached."""
    begun = _begin(spec, watch)
    begun.buffer.phase = Phase.STEPPING
    inputs = begun.workload.input(begun.params)
    report = learn(spec, begun.engine, begun.group, begun.workload, inputs, begun.recorder)
    begun.group.finish()
    return report


def _measure(spec: LaunchSpec, watch: Stopwatch) -> None:
    begun = _begin(spec, watch)
    engine, group, recorder, buffer = begun.engine, begun.group, begun.recorder, begun.buffer
    workload, params = begun.workload, begun.params
    buffer.phase = Phase.STEPPING
    meter = Meter(spec.placement.cpus, spec.measurement.max_taken_share)
    edges = _run_windows(spec, recorder, meter, engine)
    report = reporting.rank_report(spec, begun.startup, recorder, engine, begun.first_loss, edges)
    tokens = batch_tokens(spec, workload.input(params))
    report = report.model_copy(update={"interference": meter.found, "batch_tokens": tokens})
    (spec.placement.directory / reporting.STEPS).write_bytes(recorder.packed())
    reporting.write(spec, {"report": report.model_dump(mode="json")})
    buffer.phase = Phase.MEASURED
    if spec.reference is not None:
        report, intact = reporting.add_proof(spec, report, engine, group, workload, params, recorder.steps_done)
    else:
        intact = True
    if intact and workload.inspected:
        report = reporting.add_model_facts(spec, report, own_model.facts(engine, workload))
    if intact and reporting.add_parts(spec, report, engine, group, recorder):
        with suppress(OSError):  # Another rank may have failed while it timed its parts.
            group.finish()


def _run_windows(
    spec: LaunchSpec, recorder: loop.Recorder, meter: Meter, engine: Engine
) -> tuple[reporting.Edge, reporting.Edge]:
    """Return what was counted after the warm-up and after the windows."""
    loop.warm_up(recorder, spec.measurement)
    before = _edge(spec, engine)
    with meter.measuring():
        loop.measure(recorder, spec.measurement)
    return before, _edge(spec, engine)


def _edge(spec: LaunchSpec, engine: Engine) -> reporting.Edge:
    feed = engine.feed
    waited = None if feed is None else feed.waited_nanoseconds
    return reporting.Edge(engine.compilations(), reporting.joules(spec), waited)


if __name__ == "__main__":
    main()
