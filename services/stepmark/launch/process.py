"""What Linux offers to keep processes within bounds: death with the parent, address-space limits, group kills."""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies. `parent` is its id, for the case that it died before this call."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit_address_space(extra_bytes: int) -> None:
    """Allow this process so much address space beyond what it has mapped now (RLIMIT_AS)."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def kill_group(group: int) -> None:
    """SIGKILL to a process group: TensorFlow's multi-worker processes ignore SIGTERM."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
