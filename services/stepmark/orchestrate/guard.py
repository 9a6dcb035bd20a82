"""Run a guard: a process that outlives the driver for a moment and cleans up what the driver could not.

It is started as `python -m stepmark.orchestrate.guard LAST_WORDS FOLDER...`. It waits until its standard input closes,
which happens however the driver ends, even by SIGKILL. If the driver could not write a goodbye before (Ray ends a
driver whose cluster is gone without running Python code), the guard prints the last words on standard error in its
place. Then it kills every process that still has a file of the run's folders open, and removes the folders. (Ray's
agents go on for a minute after their cluster is gone. They are recognised by their open logs, since they overwrite
their command line and environment.)
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from stepmark.orchestrate.folders import stale_folders

_GOODBYE = b"."
_ROUNDS = 20  # A dying process may start another. Each round waits until the processes it killed have ended.


@contextmanager
def guarded(folders: list[Path], last_words: str) -> Iterator[None]:
    """Have a guard watch over this process inside the `with` block, and remove the folders and their users afterwards.

    `last_words` is the text that a person sees if this process is ended from outside. First, what is left of runs whose
    guards were killed too is removed.
    """
    _clean(stale_folders(), {os.getpid(), os.getppid()})
    guard = subprocess.Popen(
        [sys.executable, "-m", "stepmark.orchestrate.guard", last_words, *map(str, folders)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        yield
    finally:
        with suppress(OSError):  # The guard may have been killed.
            guard.stdin.write(_GOODBYE)
            guard.stdin.close()
        guard.wait()


def users_of(folders: list[str], spared: set[int]) -> list[psutil.Process]:
    """Return the processes, except those spared, with their working folder or an open file in one of the folders."""
    others = [process for process in psutil.process_iter() if process.pid not in spared]
    return [process for process in others if any(_is_in(link, folders) for link in _links(process.pid))]


def _links(pid: int) -> Iterator[str]:
    process = Path("/proc") / str(pid)
    try:
        for link in [process / "cwd", *(process / "fd").iterdir()]:
            yield str(link.readlink())
    except OSError:
        return  # The process ended, or belongs to another user.


def _is_in(path: str, folders: list[str]) -> bool:
    return any(path.removesuffix(" (deleted)") == folder or path.startswith(f"{folder}/") for folder in folders)


def _clean(folders: list[Path], spared: set[int]) -> None:
    """Kill the processes that use the folders, and remove the folders."""
    for _ in range(_ROUNDS if folders else 0):
        left = users_of([str(folder) for folder in folders], spared)
        if not left:
            break
        for process in left:
            with suppress(psutil.Error):  # The process has just ended by itself.
                process.kill()
        psutil.wait_procs(left, timeout=1)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait until standard input closes, and then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    spared = {os.getpid(), os.getppid()}  # The driver ends by itself, or has ended.
    last_words, *folders = sys.argv[1:]
    if sys.stdin.buffer.read() != _GOODBYE:
        with suppress(OSError):
            print(last_words, file=sys.stderr, flush=True)
    _clean([Path(folder) for folder in folders], spared)


if __name__ == "__main__":
    main()
