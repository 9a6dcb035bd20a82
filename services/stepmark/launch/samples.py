"""Make the samples of a launch. They are the same for every engine and every division among ranks."""

from stepmark.launch.spec import LaunchSpec
from stepmark.workloads import _batches
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._transforms import transformed


def all_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return the batches of all ranks, as steps take them. A check needs them, to say of which samples it is."""
    size = spec.cell.global_batch
    count = _batches.distinct(inputs, size)
    drawn = _batches.global_batches(inputs, spec.data.source, spec.measurement.seed, size, count)
    return [transformed(spec.data.transform, batch) for batch in drawn]


def own_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return this rank's share of each batch, without drawing the samples of the other ranks.

    Where they are transformed, the engine does that in each step.
    """
    size, its = spec.cell.global_batch, spec.group
    count = _batches.distinct(inputs, size)
    source, seed = spec.data.source, spec.measurement.seed
    return _batches.local_batches(inputs, source, seed, size, count, its.rank, its.world_size)
