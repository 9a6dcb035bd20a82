"""Make the samples of a launch. They are the same for every engine and every division among ranks."""

from stepmark.errors import CannotRun
from stepmark.launch.lesson import Lesson
from stepmark.launch.spec import LaunchSpec
from stepmark.results.shapes import BatchTokens
from stepmark.workloads import _batches, _lengths
from stepmark.workloads._protocol import InputSpec, Workload
from stepmark.workloads._transforms import transformed


def shaped(spec: LaunchSpec, workload: Workload) -> Workload:
    """Return the workload for batches as this cell pads them.

    Raises:
        CannotRun: the scenario has lengths, and all samples of the workload have one shape.
    """
    if spec.data.lengths is None:
        return workload
    found = workload.with_lengths(padded=_lengths.DYNAMIC_LENGTH not in spec.cell.options)
    if found is None:
        raise CannotRun(
            f"{spec.workload.model}: expected a workload of tokens for spec.data.lengths, found one whose samples have "
            "one shape. Leave the lengths out."
        )
    return found


def batches_in_turn(spec: LaunchSpec, inputs: InputSpec) -> int:
    """Return how many distinct batches the steps of the launch use in turn."""
    lengths = spec.data.lengths
    wanted = _batches.BATCHES if lengths is None else lengths.batches
    return _batches.distinct(inputs, spec.cell.global_batch, wanted)


def steps_of_a_round(spec: LaunchSpec, inputs: InputSpec) -> int:
    """Return after how many steps the shapes of batches come again: 1 where all batches have one shape."""
    return 1 if spec.data.lengths is None else batches_in_turn(spec, inputs)


def all_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return the batches of all ranks, transformed and without padding.

    A check needs them, to say of which samples it is.
    """
    size, seed = spec.cell.global_batch, spec.measurement.seed
    count = batches_in_turn(spec, inputs)
    drawn = _batches.global_batches(inputs, spec.data.source, seed, size, count, _drawn(spec, inputs))
    return [transformed(spec.data.transform, batch) for batch in drawn]


def own_samples(spec: LaunchSpec, inputs: InputSpec) -> list[_batches.Batch]:
    """Return this rank's share of each batch, padded, without drawing the samples of the other ranks.

    Where they are transformed, the engine does that in each step.
    """
    size, its = spec.cell.global_batch, spec.group
    if spec.launch.target is not None:
        return Lesson.of(spec, inputs).batches(its.rank, its.world_size)
    count, lengths = batches_in_turn(spec, inputs), _drawn(spec, inputs)
    source, seed = spec.data.source, spec.measurement.seed
    found = _batches.local_batches(inputs, source, seed, size, count, its.rank, its.world_size, lengths)
    if spec.data.lengths is None:
        return found
    most, options = spec.data.lengths.most, spec.cell.options
    return [
        _lengths.padded(batch, _lengths.padded_length(length, most, options))
        for batch, length in zip(found, lengths, strict=True)
    ]


def batch_tokens(spec: LaunchSpec, inputs: InputSpec) -> BatchTokens | None:
    """Return the tokens of this rank's batches, or None where all samples have one length."""
    if spec.data.lengths is None:
        return None
    its, most, options = spec.group, spec.data.lengths.most, spec.cell.options
    samples, lengths = len(range(its.rank, spec.cell.global_batch, its.world_size)), _drawn(spec, inputs)
    return BatchTokens(
        real=tuple(samples * length for length in lengths),
        padded=tuple(samples * _lengths.padded_length(length, most, options) for length in lengths),
    )


def first_length(spec: LaunchSpec, inputs: InputSpec) -> int | None:
    """Return the length of the first batch's samples without padding, where each token has logits; otherwise None."""
    lengths = _drawn(spec, inputs)
    return lengths[0] if lengths and inputs.next_token else None


def _drawn(spec: LaunchSpec, inputs: InputSpec) -> tuple[int, ...]:
    """Return the length of the samples of each batch; () where all have the model's own."""
    lengths = spec.data.lengths
    if lengths is None:
        return ()
    return _lengths.drawn_lengths(lengths, spec.measurement.seed, batches_in_turn(spec, inputs))
