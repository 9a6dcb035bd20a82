"""Files and ports of one run on one node, apart from every other run's, and gone when the run is."""

import fcntl
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


@contextmanager
def own_folders(run_id: str) -> Iterator[None]:
    """Make both folders, readable by nobody else, and remove them at the end. One process per node does this.

    Folders that a killed run has left behind are removed first: their lock is free.
    """
    folders = [run_folder(run_id), scratch_folder(run_id)]
    for folder in folders:
        _sweep(folder.parent)
    with ExitStack() as stack:
        for folder in folders:
            folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(_locked(folder / "alive"))
        yield


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            with (folder / "alive").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody's running folder, or somebody else's


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


@contextmanager
def leased_ports(count: int) -> Iterator[list[int]]:
    """Free TCP ports that no other run of stepmark on this machine takes meanwhile.

    They lie below the range that the kernel gives to outgoing connections, so nobody gets one by chance between our
    look and the framework's bind (TensorFlow binds its port itself and late).

    Raises:
        CannotRun: no free port was found.
    """
    low, high = 10_000, min(32_768, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    folder = Path(tempfile.gettempdir()) / "stepmark-ports"
    folder.mkdir(mode=0o1777, exist_ok=True)
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


def remove_folders(run_id: str) -> None:
    """Remove what is left of a run on this node; a run that ended in order has left nothing."""
    for folder in (run_folder(run_id), scratch_folder(run_id)):
        shutil.rmtree(folder, ignore_errors=True)
