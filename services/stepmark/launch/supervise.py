"""Supervise one rank of a launch: start its process, watch it, and turn its end into a `RankOutcome`."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from stepmark.devices.watch import GpuWatch
from stepmark.errors import CannotRun, printable
from stepmark.launch import reporting
from stepmark.launch.buffer import Phase, StampBuffer
from stepmark.launch.group import PEER_GONE
from stepmark.launch.pace import Pace, Tell
from stepmark.launch.spawn import Child, ForkedChild, FreshChild, last_lines
from stepmark.launch.spec import LaunchSpec, RankOutcome
from stepmark.launch.stops import Stops, is_stopped
from stepmark.results.certificate import ProbeReport
from stepmark.results.device import DeviceMemory
from stepmark.results.learning import LearningReport
from stepmark.results.record import Failure, RankReport, unpack_steps
from stepmark.results.starts import StartReport

_POLL_SECONDS = 0.5
_CAUSE_CHARACTERS = 1000
_STEPS_BYTES = 1 << 24  # RankOutcome.steps_npz


def run_child(
    spec: LaunchSpec,
    zygote: Path | None,
    environment: Mapping[str, str],
    other_rank_failed: Callable[[], bool],
    tell: Tell | None = None,
    gpus: GpuWatch | None = None,
) -> RankOutcome:
    """Run one rank to its end and return its outcome. Nothing that the child does raises an error here.

    `other_rank_failed` is called except while steps are timed. Then the ranks notice each other's end themselves
    (`ControlGroup.watch`); they cannot while TensorFlow joins its group, since it holds the interpreter's lock. `tell`,
    if given, is called with the pace while the child runs, and `gpus`, if given, watches the child's GPUs.
    """
    spec.placement.directory.mkdir(parents=True, mode=0o700)
    buffer = StampBuffer.create(spec.placement.directory / reporting.STAMPS, spec.stamps_most)
    try:
        started = ForkedChild(spec, zygote) if zygote is not None else FreshChild(spec, environment)
        watch = _Watch(spec, buffer, other_rank_failed, tell, gpus)
        exit_code, killed_because = watch.until_end(started)
        if buffer.phase == Phase.MEASURED:  # The measurement is complete, whatever ended the process.
            exit_code, killed_because = 0, None
        outcome = _outcome(spec, exit_code, killed_because, watch.steps_done)
        outcome = outcome.model_copy(update={"stalled_seconds": watch.stalled_seconds})
        return _with_use(_with_stops(outcome, watch.stops.seconds), gpus)
    except (OSError, CannotRun) as error:
        return _failed(spec, f"the process could not be started: {error}", 0)
    finally:
        buffer.close()


class _Watch:
    """Follow the progress of one child through its stamps, and decide when it has hung."""

    def __init__(
        self,
        spec: LaunchSpec,
        buffer: StampBuffer,
        other_rank_failed: Callable[[], bool],
        tell: Tell | None,
        gpus: GpuWatch | None,
    ) -> None:
        self._spec, self._buffer, self._other_rank_failed = spec, buffer, other_rank_failed
        self._deadline = time.monotonic() + spec.measurement.launch_timeout_seconds
        self._cursor = 1
        self._moved_at = time.monotonic()
        self._pace = Pace(buffer, tell) if tell is not None else None
        self._gpus = gpus
        self.stops = Stops(time.monotonic())
        self.steps_done = 0
        self.stalled_seconds: int | None = None

    def until_end(self, started: Child) -> tuple[int, str | None]:
        """Return the exit code, and why the supervisor killed the child, or None if it did not."""
        reason = None
        while True:
            code = started.wait(_POLL_SECONDS)
            self._look()
            if code is not None:
                return code, reason
            if reason is None and (reason := self._why_kill()) is not None:
                started.kill()

    def _look(self) -> None:
        cursor, steps = self._buffer.look_from(self._cursor)
        if cursor != self._cursor or self._buffer.phase != Phase.STEPPING:
            self._moved_at = time.monotonic()
        self._cursor = cursor
        self.steps_done += steps
        if self._pace is not None:
            self._pace.look(cursor)
        stepping = self._buffer.phase == Phase.STEPPING
        self.stops.look(time.monotonic(), stepping and self._is_stopped(), stepping)
        if self._gpus is not None:
            self._gpus.look(stepping)

    def _is_stopped(self) -> bool:
        try:
            return is_stopped(int((self._spec.placement.directory / reporting.PID).read_text()))
        except (OSError, ValueError):
            return False  # The child cannot write, or has ended; its exit code says more.

    def _why_kill(self) -> str | None:
        now, limits = time.monotonic(), self._spec.measurement
        if self._buffer.phase != Phase.STEPPING and self._spec.group.world_size > 1 and self._other_rank_failed():
            return PEER_GONE
        if self._gpus is not None and (fault := self._gpus.fault()) is not None:
            return fault
        if now > self._deadline:
            return f"the launch ran longer than launchTimeoutSeconds, {limits.launch_timeout_seconds} s"
        if now - self._moved_at > limits.step_timeout_seconds:
            self.stalled_seconds = limits.step_timeout_seconds
            return no_step(self.stalled_seconds, self.steps_done, self._buffer.waits_for_input)
        return None


def no_step(limit_seconds: int, steps_done: int, waits_for_input: bool = False) -> str:
    """Return the cause of a rank that made no step for the limit."""
    why = ": the step waited for its input" if waits_for_input else ""
    return f"no step for {limit_seconds} s after step {steps_done} (stepTimeoutSeconds){why}"


def _outcome(spec: LaunchSpec, exit_code: int, killed_because: str | None, steps_done: int) -> RankOutcome:
    if killed_because is not None:
        return _failed(spec, killed_because, steps_done)
    if exit_code < 0:
        return _failed(spec, f"killed by signal {-exit_code} after step {steps_done}", steps_done)
    try:
        document = json.loads((spec.placement.directory / reporting.REPORT).read_bytes())
        if exit_code != 0:
            return _failed(spec, str(document["cause"]), steps_done)
        if spec.is_check:
            probe = ProbeReport.model_validate_json(json.dumps(document["probe"]))
            return RankOutcome(rank=spec.group.rank, probe=probe)
        if spec.launch.start is not None:
            start = StartReport.model_validate_json(json.dumps(document["start"]))
            return RankOutcome(rank=spec.group.rank, start=start)
        if spec.launch.target is not None:
            learning = LearningReport.model_validate_json(json.dumps(document["learning"]))
            return RankOutcome(rank=spec.group.rank, learning=learning, steps_done=steps_done)
        report = RankReport.model_validate_json(json.dumps(document["report"]))
        steps = (spec.placement.directory / reporting.STEPS).read_bytes()
        _check_steps(report, steps)
    except (OSError, ValueError, ValidationError, KeyError, TypeError, RecursionError) as error:
        return _failed(spec, _without_report(spec, exit_code, error), steps_done)
    return RankOutcome(rank=spec.group.rank, report=report, steps_npz=steps, steps_done=steps_done)


_NO_ROOM_FOR_A_THREAD = "libgomp: Thread creation failed"


def _without_report(spec: LaunchSpec, exit_code: int, error: Exception) -> str:
    """Return the cause where a process has left no valid report.

    Under a limit of its address space, OpenMP's library ends a process that has no room for a thread's stack.
    """
    told = last_lines(spec.placement.directory / reporting.STDERR)[-1:]
    if spec.measurement.memory_limit_bytes is not None and told and told[0].startswith(_NO_ROOM_FOR_A_THREAD):
        return f"{reporting.OUT_OF_MEMORY} ({told[0]})"
    return f"exit code {exit_code} without a valid report ({' '.join(str(error).split())[:200]})"


def _with_stops(outcome: RankOutcome, stopped_seconds: float) -> RankOutcome:
    report = outcome.report
    if report is None or report.interference is None:
        return outcome
    seen = report.interference.model_copy(update={"stopped_seconds": stopped_seconds})
    return outcome.model_copy(update={"report": report.model_copy(update={"interference": seen})})


def _with_use(outcome: RankOutcome, gpus: GpuWatch | None) -> RankOutcome:
    """Add what the driver says of the launch's GPUs, beside what the framework counted of their memory."""
    report = outcome.report
    if report is None or gpus is None:
        return outcome
    memory = (report.device_memory or DeviceMemory()).model_copy(update={"used_peak_bytes": gpus.used_peak_bytes})
    seen = {"device": gpus.facts, "device_use": gpus.use(), "device_memory": memory}
    return outcome.model_copy(update={"report": report.model_copy(update=seen)})


def _check_steps(report: RankReport, blob: bytes) -> None:
    if len(blob) > _STEPS_BYTES:
        raise ValueError(f"expected steps of at most {_STEPS_BYTES} bytes, found {len(blob)}")
    host, device = unpack_steps(blob)
    expected = (1, sum(window.stamps for window in report.windows))
    if host.shape != expected:
        raise ValueError(f"expected stamps of shape {expected}, found {host.shape}")
    expected = (1, sum(window.steps for window in report.windows if window.kind == "measured"))
    if device is not None and device.shape != expected:
        raise ValueError(f"expected steps by the device's clock of shape {expected}, found {device.shape}")


def _failed(spec: LaunchSpec, cause: str, steps_done: int) -> RankOutcome:
    """Return a failed outcome. The child's text is not trusted: it is cut, and made safe for a terminal."""
    failure = Failure(
        rank=spec.group.rank,
        cause=printable(" ".join(cause.split()))[:_CAUSE_CHARACTERS],
        stderr_tail=tuple(last_lines(spec.placement.directory / reporting.STDERR)),
    )
    return RankOutcome(rank=spec.group.rank, failure=failure, steps_done=steps_done)
