"""Make the samples of a launch. They are the same for every engine and every division among ranks."""

from stepmark.launch.learning import Lesson
from stepmark.launch.spec import LaunchSpec
from stepmark.workloads import _batches
from stepmark.workloads._protocol import InputSpec


def all_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return the batches of all ranks. A check needs them, to say of which samples it is."""
    size = spec.cell.global_batch
    count = _batches.distinct(inputs, size)
    return _batches.global_batches(inputs, spec.data.source, spec.measurement.seed, size, count)


def own_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return this rank's share of each batch, without drawing the samples of the other ranks."""
    size, its = spec.cell.global_batch, spec.group
    if spec.launch.target is not None:
        return Lesson.of(spec, inputs).batches(its.rank, its.world_size)
    count = _batches.distinct(inputs, size)
    source, seed = spec.data.source, spec.measurement.seed
    return _batches.local_batches(inputs, source, seed, size, count, its.rank, its.world_size)
