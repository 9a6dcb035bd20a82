"""Make the folders and reserve the ports of one run on one node, apart from other runs', and remove them at its end."""

import fcntl
import os
import random
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from stepmark.errors import CannotRun

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (Stamps are kept in shared memory, as they must never wait for a disk.)
_PREFIX = "stepmark-"
_OWNER = ".owner"


def run_folder(run_id: str) -> Path:
    """Return the folder of stamps, reports and sockets, which are small files in memory."""
    return _bases()[0] / f"{_PREFIX}{run_id}"


def scratch_folder(run_id: str) -> Path:
    """Return the folder of compiler caches and temporary files, which are large files on disk."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id}-scratch"


def ray_folder(run_id: str) -> Path:
    """Return the folder of Ray's logs and sockets, for a Ray that we start.

    Its name is short, since the path of a socket has at most 107 characters.
    """
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id[:8]}-ray"


def run_folders(run_id: str) -> list[Path]:
    """Return all folders of a run."""
    return [run_folder(run_id), scratch_folder(run_id), ray_folder(run_id)]


def _bases() -> list[Path]:
    """Return the places that hold the folders of runs, first the one for small files."""
    temporary = Path(tempfile.gettempdir())
    return [_SHARED_MEMORY, temporary] if _SHARED_MEMORY.is_dir() else [temporary]


@contextmanager
def own_folders(run_id: str) -> Iterator[None]:
    """Make the supervisors' folders and remove them at the end. This is done once per node."""
    with owned(run_folder(run_id)), owned(scratch_folder(run_id)):
        yield


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Make a folder that nobody else may read, and remove it at the end.

    Until then a lock shows other processes that its owner lives.
    """
    folder.mkdir(mode=0o700)
    try:
        draft = folder / f"{_OWNER}.draft"
        with locked(draft):
            draft.rename(folder / _OWNER)  # The file is locked from the moment it appears.
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stale_folders() -> list[Path]:
    """Return this user's folders of runs on this machine whose owners have ended without removing them."""
    found = [folder for base in _bases() for folder in base.glob(f"{_PREFIX}*") if is_ours(folder)]
    return [folder for folder in found if _is_stale(folder)]


def _is_stale(folder: Path) -> bool:
    if not (folder / _OWNER).exists():
        return False
    try:
        with locked(folder / _OWNER):
            return True
    except OSError:
        return False


def is_ours(folder: Path) -> bool:
    """Return whether this is a folder, not a link to one, that belongs to this user and that nobody else may open."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, which is made if it is missing.

    Links are not followed, and its content is not changed.

    Raises:
        OSError: another process holds the lock, or this is no file that this user may write.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def _folder_of_locks() -> Path:
    """Return the one folder that holds the locks of all of this user's runs on this machine, in whatever session.

    Raises:
        CannotRun: another user's file or folder is in its place.
    """
    temporary = Path(tempfile.gettempdir()) / f"{_PREFIX}ports-{os.getuid()}"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [temporary, *([Path(runtime) / f"{_PREFIX}ports"] if runtime else [])]
    for folder in places:
        with suppress(OSError):
            folder.mkdir(mode=0o700)
        if is_ours(folder):
            return folder
    raise CannotRun(
        f"{temporary}: expected a folder that only this user may open, found something else. "
        "Have it removed, or set XDG_RUNTIME_DIR to such a folder."
    )


@contextmanager
def leased_ports(count: int) -> Iterator[list[int]]:
    """Reserve free TCP ports that no other run of this user on this machine takes meanwhile.

    They lie below the range that the kernel gives to outgoing connections. So no connection gets one of them by chance
    between our test and the framework's bind (TensorFlow binds its port itself, and late).

    Raises:
        CannotRun: too few free ports were found, or there is no place for the locks.
    """
    low, high = 10_000, min(32_768, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    folder = _folder_of_locks()
    with ExitStack() as stack:
        ports: list[int] = []
        for port in random.sample(range(low, high), 200):
            if len(ports) == count:
                break
            try:
                stack.enter_context(locked(folder / str(port)))
                with socket.socket() as probe:
                    probe.bind(("", port))
            except OSError:
                continue
            ports.append(port)
        if len(ports) < count:
            raise CannotRun(
                f"expected {count} free TCP ports between {low} and {high}, found {len(ports)}. Free some ports."
            )
        yield ports
