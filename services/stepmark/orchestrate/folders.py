"""Files and ports of one run on one node, apart from every other run's, and gone when the run is."""

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

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (the kernel's shared memory, for stamps that must never wait for a disk)
_PREFIX = "stepmark-"
_OWNER = ".owner"


def run_folder(run_id: str) -> Path:
    """Stamps, reports, sockets: small files in memory."""
    return _bases()[0] / f"{_PREFIX}{run_id}"


def scratch_folder(run_id: str) -> Path:
    """Compiler caches and temporary files: large files on disk."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id}-scratch"


def ray_folder(run_id: str) -> Path:
    """Ray's logs and sockets, where we start Ray. Short: a socket's path has 107 characters."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{run_id[:8]}-ray"


def run_folders(run_id: str) -> list[Path]:
    return [run_folder(run_id), scratch_folder(run_id), ray_folder(run_id)]


def _bases() -> list[Path]:
    """Where folders of runs lie: first where the small files do."""
    temporary = Path(tempfile.gettempdir())
    return [_SHARED_MEMORY, temporary] if _SHARED_MEMORY.is_dir() else [temporary]


@contextmanager
def own_folders(run_id: str) -> Iterator[None]:
    """Make the supervisors' folders and remove them at the end. Once per node."""
    with owned(run_folder(run_id)), owned(scratch_folder(run_id)):
        yield


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Make a folder that nobody else may read, and remove it at the end. Until then others see that its owner lives."""
    folder.mkdir(mode=0o700)
    try:
        draft = folder / f"{_OWNER}.draft"
        with locked(draft):
            draft.rename(folder / _OWNER)  # it appears locked
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stale_folders() -> list[Path]:
    """This user's folders of runs on this machine whose owners have ended without removing them."""
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
    """Whether this is a folder, and no link to one, that belongs to this user and that nobody else may open."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file, which is made if it is missing. No link is followed, nothing in it is changed.

    Raises:
        OSError: somebody holds it, or it is no file that this user may write.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


def _folder_of_locks() -> Path:
    """One for all of this user's runs on this machine, whatever session they belong to.

    Raises:
        CannotRun: somebody else has taken its place.
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
        f"{temporary}: expected a folder of this user that nobody else may open, found something else. "
        "Have it removed, or set XDG_RUNTIME_DIR."
    )


@contextmanager
def leased_ports(count: int) -> Iterator[list[int]]:
    """Free TCP ports that no other run of this user on this machine takes meanwhile.

    They lie below the range that the kernel gives to outgoing connections, so nobody gets one by chance between our
    look and the framework's bind (TensorFlow binds its port itself and late).

    Raises:
        CannotRun: no free port was found, or there is no place for the locks.
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
            raise CannotRun(f"expected {count} free TCP ports between {low} and {high}, found {len(ports)}. Free some.")
        yield ports
