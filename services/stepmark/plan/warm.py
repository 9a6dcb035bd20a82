"""Plan the launches that are not recorded: in them the driver compiles a framework's kernels for this run's GPUs.

A framework's wheel may have no machine code for a GPU. The driver then compiles each kernel when it is first used,
which takes minutes, and keeps what it has compiled in a folder of the run. A timed launch would reach its deadline.
"""

from collections.abc import Iterable, Iterator

from stepmark import catalog
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell, Machine
from stepmark.scenario.model import Measurement, Spec

WARM_BLOCK = -2
_TIMEOUT_MOST, _STEP_TIMEOUT_MOST = 86_400, 3600  # `Measurement` accepts no more.


def warm_launches(cells: Iterable[Cell], machine: Machine) -> tuple[Launch, ...]:
    """Return one launch for each cell on GPUs whose framework may lack machine code for them.

    Where the GPU is unknown, as it is in a cluster, the framework is taken to lack it: a needless launch takes seconds.
    """
    return tuple(Launch(cell, WARM_BLOCK, 0, 0, warm=True) for cell in _lacking(cells, machine))


def _lacking(cells: Iterable[Cell], machine: Machine) -> Iterator[Cell]:
    for cell in cells:
        support, capability = catalog.load_engine(cell.engine).SUPPORT, machine.compute_capability
        known = capability is not None and not support.compiles_at_first_use(capability)
        if cell.device == "gpu" and support.machine_code and not known:
            yield cell


def warm_measurement(spec: Spec, block: int) -> Measurement:
    """Return the measurement of a launch that is not recorded: the fewest steps.

    A warm launch has until the run's deadline, since drivers compile for minutes. Launches of other blocks, which look
    for the largest batch, have the scenario's time-outs.
    """
    deadline = spec.run_policy.active_deadline_seconds
    steps = {"min_steps": 1, "max_steps": 1, "min_seconds": 0.0, "warmup_steps": 1, "warmup_seconds": 0.0}
    timeouts = {
        "launch_timeout_seconds": min(deadline, _TIMEOUT_MOST),
        "step_timeout_seconds": min(deadline, _STEP_TIMEOUT_MOST),
    }
    return spec.measurement.model_copy(update=steps | (timeouts if block == WARM_BLOCK else {}))
