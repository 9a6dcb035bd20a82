"""The supervisor's side of a launch: start one rank's process, watch it, and turn its end into a `RankOutcome`."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from stepmark import catalog
from stepmark.errors import CannotRun
from stepmark.launch import child, process
from stepmark.launch.buffer import Phase, StampBuffer
from stepmark.launch.group import PEER_GONE
from stepmark.launch.spec import LaunchSpec, RankOutcome
from stepmark.results.record import Failure, RankReport, unpack_steps

_POLL_SECONDS = 0.5
_STDERR_BYTES, _STDERR_LINES = 8192, 20
_ZYGOTE_START_SECONDS = 300


def child_environment(engine: str, threads: int, scratch: Path) -> dict[str, str]:
    """The whole environment of an engine's processes: what they need, and nothing that happens to be set here."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return {
        **kept,
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "TMPDIR": str(scratch),
        **catalog.load_engine(engine).SUPPORT.environment,
    }


_KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CXX", "CC"})
_KEPT_PREFIXES = ("NCCL_", "GLOO_", "OPENBLAS_")


class Zygote:
    """A running zygote of one engine on this node."""

    def __init__(self, engine: str, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self._log = path.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stepmark.launch.zygote", engine, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it has imported its framework.

        Raises:
            CannotRun: it ended instead; the message holds its last lines.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _ZYGOTE_START_SECONDS)
        if not (self._process.stdout.readline() if ready else b""):
            raise CannotRun("a zygote did not start: " + " | ".join(_tail(self._log)[-3:]))

    def stop(self) -> None:
        """Kill it and its children, and wait until it is gone."""
        process.kill_group(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class _Child(Protocol):
    def wait(self, seconds: float) -> int | None:
        """The exit code as of `subprocess` (negative: a signal), or None while it runs."""

    def kill(self) -> None: ...


class ForkedChild:
    """A child of a zygote. It lives as long as our connection does."""

    def __init__(self, spec: LaunchSpec, zygote: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.connect(str(zygote))
        self._connection.sendall(spec.model_dump_json().encode() + b"\n")

    def wait(self, seconds: float) -> int | None:
        ready, _, _ = select.select([self._connection], [], [], seconds)
        if not ready:
            return None
        line = self._connection.makefile("rb").readline(4096)
        self._connection.close()
        if not line:
            raise CannotRun("the zygote died")
        return int(json.loads(line)["exit_code"])

    def kill(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)


class FreshChild:
    """A process of its own, with its own import: what forked launches are checked against."""

    def __init__(self, spec: LaunchSpec, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stepmark.launch.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(spec.model_dump_json().encode())
        self._process.stdin.close()

    def wait(self, seconds: float) -> int | None:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        process.kill_group(self._process.pid)
        return code

    def kill(self) -> None:
        process.kill_group(self._process.pid)


def run_child(
    spec: LaunchSpec, zygote: Path | None, environment: Mapping[str, str], other_rank_failed: Callable[[], bool]
) -> RankOutcome:
    """Run one rank to its end, however it ends. Never raises for what the child does.

    `other_rank_failed` is asked only until the ranks have joined; from then on they notice each other's end themselves.
    """
    spec.directory.mkdir(parents=True, mode=0o700)
    buffer = StampBuffer.create(spec.directory / child.STAMPS, spec.max_steps)
    try:
        started = ForkedChild(spec, zygote) if zygote is not None else FreshChild(spec, environment)
        watch = _Watch(spec, buffer, other_rank_failed)
        exit_code, killed_because = watch.until_end(started)
        return _outcome(spec, exit_code, killed_because, watch.steps_done)
    except (OSError, CannotRun) as error:
        return _failed(spec, f"the process could not be started: {error}", 0)
    finally:
        buffer.close()


class _Watch:
    """Progress of one child, seen through its stamps; decides when it has hung."""

    def __init__(self, spec: LaunchSpec, buffer: StampBuffer, other_rank_failed: Callable[[], bool]) -> None:
        self._spec, self._buffer, self._other_rank_failed = spec, buffer, other_rank_failed
        self._deadline = time.monotonic() + spec.launch_timeout_seconds
        self._cursor = 1
        self._moved_at = time.monotonic()
        self.steps_done = 0

    def until_end(self, started: _Child) -> tuple[int, str | None]:
        """The exit code, and why we killed it, if we did."""
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
        if cursor != self._cursor or self._buffer.phase < Phase.STEPPING:
            self._moved_at = time.monotonic()
        self._cursor = cursor
        self.steps_done += steps

    def _why_kill(self) -> str | None:
        now = time.monotonic()
        if self._buffer.phase == Phase.STARTING and self._spec.world_size > 1 and self._other_rank_failed():
            return PEER_GONE
        if now > self._deadline:
            return f"it ran longer than launchTimeoutSeconds, {self._spec.launch_timeout_seconds} s"
        if now - self._moved_at > self._spec.step_timeout_seconds:
            return f"no step for {self._spec.step_timeout_seconds} s after step {self.steps_done} (stepTimeoutSeconds)"
        return None


def _outcome(spec: LaunchSpec, exit_code: int, killed_because: str | None, steps_done: int) -> RankOutcome:
    if killed_because is not None:
        return _failed(spec, killed_because, steps_done)
    if exit_code < 0:
        return _failed(spec, f"killed by signal {-exit_code} after step {steps_done}", steps_done)
    try:
        document = json.loads((spec.directory / child.REPORT).read_bytes())
        if exit_code != 0:
            return _failed(spec, str(document["cause"]), steps_done)
        report = RankReport.model_validate_json(json.dumps(document["report"]))
        steps = (spec.directory / child.STEPS).read_bytes()
        _check_steps(report, steps)
    except (OSError, ValueError, ValidationError, KeyError, TypeError) as error:
        detail = " ".join(str(error).split())[:200]
        return _failed(spec, f"exit code {exit_code} without a valid report ({detail})", steps_done)
    return RankOutcome(rank=spec.rank, report=report, steps_npz=steps, steps_done=steps_done)


def _check_steps(report: RankReport, blob: bytes) -> None:
    expected = (1, sum(window.steps for window in report.windows))
    found = unpack_steps(blob).shape
    if found != expected:
        raise ValueError(f"expected steps of shape {expected}, found {found}")


def _failed(spec: LaunchSpec, cause: str, steps_done: int) -> RankOutcome:
    tail = tuple(_tail(spec.directory / child.STDERR))
    return RankOutcome(
        rank=spec.rank, failure=Failure(rank=spec.rank, cause=cause, stderr_tail=tail), steps_done=steps_done
    )


def _tail(log: Path) -> list[str]:
    """The last lines of a log, made safe for a terminal."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _STDERR_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = ["".join(c if c.isprintable() else " " for c in line)[:1000] for line in text.splitlines()]
    return [line for line in lines if line.strip()][-_STDERR_LINES:]
