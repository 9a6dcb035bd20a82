"""Whether a zygote's import leaves CUDA alone, so that the children that are forked from it may start CUDA."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from findings import Findings
from lab import engines
from registry import Size

from stepmark.launch.spawn import Zygote, child_environment
from stepmark.terms import DeviceKind

_CONTROL = """
import os, sys
from pathlib import Path
import torch
torch.cuda.init()
names = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
sys.exit(0 if any("nvidia-uvm" in name for name in names) else 1)
"""


def check(size: Size, findings: Findings) -> None:
    """Start a zygote of each engine and look at its open files; then start CUDA on purpose, which must show there."""
    device: DeviceKind = "gpu" if size.on_gpu else "cpu"
    every = engines()
    for engine in size.pick(every, every, every[:1]):
        scratch = Path(tempfile.mkdtemp())  # The path of a socket has at most 107 characters.
        zygote = Zygote(engine, scratch / "socket", child_environment(engine, 2, scratch, device))
        try:
            zygote.wait_until_ready()
            started = _opened_cuda(zygote.pid)
            findings.figure(f"{engine}_starts_cuda", started)
            if started:
                findings.problem(f"{engine}: expected a zygote that leaves CUDA alone, found one that started it")
        finally:
            zygote.stop()
    if size.on_gpu:
        seen = subprocess.run([sys.executable, "-c", _CONTROL], check=False).returncode == 0
        findings.figure("control_shows_cuda", seen)
        if not seen:
            findings.problem("expected that started CUDA shows in a process's open files, found that it does not")


def _opened_cuda(pid: int) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    return any("nvidia-uvm" in os.readlink(entry) for entry in folder.iterdir())
