"""Files and ports of one run on one node, apart from every other run's, and gone when the run is."""

import fcntl
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from stepmark.errors import CannotRun

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (the kernel's shared memory, for stamps that must never wait for a disk)
_PREFIX = "stepmark-"


def run_folder(run_id: str) -> Path:
    """Stamps, reports, sockets: small files in memory."""
    base = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    return base / f"{_PREFIX}{run_id}"


def scratch_folder(run_id: str) -> Path:
    """Compiler caches and temporary files: large files on disk."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id}-scratch"


def ray_folder(run_id: str) -> Path:
    """Ray's logs and sockets, where we start Ray. Short: a socket's path has 107 characters."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id[:8]}-ray"


def run_folders(run_id: str) -> list[Path]:
    return [run_folder(run_id), scratch_folder(run_id), ray_folder(run_id)]


@contextmanager
def own_folders(run_id: str) -> Iterator[None]:
    """Make the supervisors' folders, readable by nobody else, and remove them at the end. Once per node."""
    folders = [run_folder(run_id), scratch_folder(run_id)]
    with ExitStack() as stack:
        for folder in folders:
            folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


@contextmanager
def leased_ports(count: int) -> Iterator[list[int]]:
    """Free TCP ports that no other run of this user on this machine takes meanwhile.

    They lie below the range that the kernel gives to outgoing connections, so nobody gets one by chance between our
    look and the framework's bind (TensorFlow binds its port itself and late).

    Raises:
        CannotRun: no free port was found.
    """
    low, high = 10_000, min(32_768, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    folder = Path(tempfile.gettempdir()) / f"stepmark-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        ports: list[int] = []
        for port in random.sample(range(low, high), 200):
            if len(ports) == count:
                break
            try:
                stack.enter_context(_locked(folder / str(port)))
                with socket.socket() as probe:
                    probe.bind(("", port))
            except OSError:
                continue
            ports.append(port)
        if len(ports) < count:
            raise CannotRun(f"expected {count} free TCP ports between {low} and {high}, found {len(ports)}. Free some.")
        yield ports
