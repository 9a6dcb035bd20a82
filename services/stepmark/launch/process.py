"""Limit processes with what Linux offers: death with the parent, address-space limits, and kills of whole groups."""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies.

    `parent` is the parent's process id. If the parent has died before this call, the process ends here.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit_address_space(extra_bytes: int) -> None:
    """Allow this process `extra_bytes` of address space beyond what it has mapped now (RLIMIT_AS)."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def kill_group(group: int) -> None:
    """Send SIGKILL to a process group, since TensorFlow's multi-worker processes ignore SIGTERM.

    A group that has ended already is ignored.
    """
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
