"""Sleep for a scripted time in every step, without a framework.

This engine is for tests of stepmark itself, for CI, and for dry runs of a plan.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._collectives import COMMON_REFUSALS, NoWeights
from stepmark.engines._device import Memory
from stepmark.engines._protocol import Operations, PartName, RankContext
from stepmark.engines._sleeper_device import SleeperDevice, sleep_exactly
from stepmark.engines._sleeper_exchanges import SleepingChecks, SleepingCollectives
from stepmark.engines._support import Strategy, Support
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload
from stepmark.workloads.scripted import Params, Script

SUPPORT = Support(
    framework="sleeper",
    strategies={
        "single": Strategy(max_workers=1, variants=("plain", "slower")),
        "parallel": Strategy(variants=("plain", "slower")),
    },
    executions={"eager": None, "graph": "the sleeper has no graph", "compiled": None},
    default_execution="eager",
    precisions={"float32": None, "bfloat16": None},
    refusals=COMMON_REFUSALS,
    no_gpu=None,  # It sleeps on any device.
)

_SCRIPTED_STEPS = 20_000


def import_framework() -> None:
    return None


class Engine(NoWeights):
    """Make steps of scripted length.

    All ranks take the slowest rank's time, as if they exchanged gradients at its end. A script may ask for a device to
    which steps are handed, so that they return before they are made.
    """

    asynchronous = False
    feed = None

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._fault_at: int | None = None
        self._device: SleeperDevice | None = None

    def join_group(self) -> None:
        return None

    def build(self, workload: Workload, params: Params, batches: list[Batch], learning_rate: float) -> None:
        c = self._context
        factor = params.compiled_factor if c.execution == "compiled" else 1.0
        factor *= params.slower_factor if c.variant == "slower" else 1.0
        own, exchange = params.step_seconds * factor, params.seconds_per_added_worker * (c.world_size - 1) * factor
        self._own_seconds = Script(params, own, c.rank, c.launch_seed).step_seconds(_SCRIPTED_STEPS).tolist()
        whole = [Script(params, own + exchange, rank, c.launch_seed) for rank in range(c.world_size)]
        self._seconds = np.max([script.step_seconds(_SCRIPTED_STEPS) for script in whole], axis=0).tolist()
        self._update_seconds = params.update_seconds
        self._fault = params.fault
        if params.fault_rank == c.rank and params.fault_block in (None, c.block):
            self._fault_at = params.fault_step
        self.asynchronous = params.asynchronous
        if params.asynchronous:
            self._device = SleeperDevice(params.device_clock_factor)
        sleep_exactly(params.startup_seconds)

    def step(self, index: int) -> None:
        if index == self._fault_at and self._fault is not None:
            _FAULTS[self._fault]()
        self._run(self._seconds[index])

    def step_without_reduce(self, index: int) -> None:
        self._run(self._own_seconds[index])

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        return {"step_without_update": self._step_without_update}

    def _step_without_update(self, index: int) -> None:
        self._run(self._own_seconds[index] - self._update_seconds)
        self.drain()

    def _run(self, seconds: float) -> None:
        if self._device is None:
            sleep_exactly(seconds)
        else:
            self._device.begin(seconds)

    def forward(self, index: int) -> NDArray[Any]:
        raise NotImplementedError("the sleeper has no model")

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        return []

    def operations(self) -> Operations | None:
        return None

    def synchronize(self) -> float:
        self.drain()
        return 0.0

    def drain(self) -> None:
        if self._device is not None:
            self._device.drain()

    def mark_window(self, steps: int) -> None:
        if self._device is not None:
            self._device.mark()

    def device_step_nanoseconds(self) -> list[int] | None:
        return None if self._device is None else self._device.step_nanoseconds()

    def device_memory(self) -> Memory | None:
        return None

    def flags(self) -> dict[str, str]:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        return {"engine": "sleeper", "device": self._context.device.torch_name, "visible GPUs": visible}

    def close(self) -> None:
        return None


class Collectives(SleepingCollectives, Engine):
    """Exchange messages in scripted times."""


class Checks(SleepingChecks, Engine):
    """Run the tasks of a cluster check in scripted times."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    while True:
        time.sleep(3600)


def _raise() -> None:
    raise RuntimeError("the script asked for this error")


def _exhaust_memory() -> None:
    hoard: list[Any] = []
    while True:
        hoard.append(np.ones(1 << 20))


def _report_garbage() -> None:
    Path("report.json").write_bytes(b"\x00garbage")  # The working folder is the launch's folder.
    os._exit(0)


_FAULTS = {"kill": _kill, "hang": _hang, "raise": _raise, "memory": _exhaust_memory, "garbage": _report_garbage}
