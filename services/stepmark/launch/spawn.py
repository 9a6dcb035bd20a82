"""Start processes (zygotes, children forked from them, and fresh children) in an environment that stepmark defines."""

import json
import os
import select
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stepmark import catalog, interpreters
from stepmark.devices.visible import device_variables
from stepmark.errors import CannotRun
from stepmark.launch import process
from stepmark.launch.spec import LaunchSpec
from stepmark.launch.zygote import POISONED
from stepmark.terms import DeviceKind

_STDERR_BYTES, _STDERR_LINES = 8192, 20
_ZYGOTE_START_SECONDS, _ZYGOTE_END_SECONDS = 300, 5


def child_environment(
    engine: str, threads: int, scratch: Path, device: DeviceKind = "cpu", gpus: Sequence[str] = ()
) -> dict[str, str]:
    """Return the whole environment of an engine's processes, without variables that happen to be set here.

    `gpus` holds the UUIDs of the GPUs that launches on this node use, of which each child sees its own. It is empty
    where `device` is "cpu".
    """
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    support = catalog.load_engine(engine).SUPPORT
    return {
        **kept,
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "TMPDIR": str(scratch),
        **support.environment,
        **(_gpu_environment(threads, scratch) if device == "gpu" else {}),
        **support.device_environment.get(device, {}),
        **device_variables(gpus),
    }


def _gpu_environment(threads: int, scratch: Path) -> dict[str, str]:
    """Return the variables that keep what is compiled for a GPU for the length of the run, as TMPDIR does for the rest.

    Compiling for a GPU is left to as many threads as the rank has cores; on CPU cores one thread compiles.
    """
    return {
        "CUDA_CACHE_PATH": str(scratch / "cuda"),
        "CUDA_CACHE_MAXSIZE": str(4 << 30),  # The default of 1 GiB is less than TensorFlow's kernels take.
        "TRITON_CACHE_DIR": str(scratch / "triton"),
        "TORCHINDUCTOR_COMPILE_THREADS": str(threads),
    }


_KEPT = frozenset({"PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CXX", "CC"})
_KEPT_PREFIXES = ("NCCL_", "GLOO_", "OPENBLAS_", "FI_")


class Zygote:
    """Start and hold a zygote of one engine on this node."""

    def __init__(self, engine: str, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self._log = path.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [interpreters.python_of(engine), "-m", "stepmark.launch.zygote", engine, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def wait_until_ready(self) -> bool:
        """Wait until the zygote has imported its framework, and return whether launches can be forked from it.

        They cannot if the import has started CUDA or a thread: then `is_poisoned` tells the other ranks of this node.

        Raises:
            CannotRun: the zygote ended or took too long. The message says which, and holds the last lines of its log.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _ZYGOTE_START_SECONDS)
        answer = self._process.stdout.readline().decode().strip() if ready else ""
        if answer == POISONED:
            _poisoned(self.path).touch()
        elif not answer:
            said = " | ".join(last_lines(self._log)[-3:]) or "it printed nothing"
            raise CannotRun(f"the zygote did not start: {self._end()}: {said}")
        return answer != POISONED

    def _end(self) -> str:
        try:
            code = self._process.wait(_ZYGOTE_END_SECONDS)
        except subprocess.TimeoutExpired:
            return f"it was not ready within {_ZYGOTE_START_SECONDS} s"
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"

    def stop(self) -> None:
        """Kill the zygote and its children, and wait until it has ended."""
        process.kill_group(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def is_poisoned(zygote: Path) -> bool:
    """Return whether the zygote with this socket has started CUDA or a thread, so that nothing is forked from it."""
    return _poisoned(zygote).exists()


def _poisoned(zygote: Path) -> Path:
    return zygote.with_suffix(f".{POISONED}")


class Child(Protocol):
    """Watch and end the process of one rank."""

    def wait(self, seconds: float) -> int | None:
        """Return the exit code as `subprocess` defines it (negative for a signal), or None while the process runs."""

    def kill(self) -> None: ...


class ForkedChild:
    """Run a child that a zygote forks. It lives as long as this connection is open."""

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
            raise CannotRun("the zygote ended before the launch did")
        return int(json.loads(line)["exit_code"])

    def kill(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)


class FreshChild:
    """Run a child in a process that imports the framework itself. Forked launches are checked against such launches."""

    def __init__(self, spec: LaunchSpec, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [interpreters.python_of(spec.cell.engine), "-m", "stepmark.launch.child"],
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


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, with control characters removed so that a terminal can show them."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _STDERR_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = ["".join(c if c.isprintable() else " " for c in line)[:1000] for line in text.splitlines()]
    return [line for line in lines if line.strip()][-_STDERR_LINES:]
