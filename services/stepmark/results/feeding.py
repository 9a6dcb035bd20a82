"""What a record says of how steps were fed from the host."""

from stepmark.results.base import Long, RecordModel, Text


class Feeding(RecordModel):
    """How one rank's steps were fed from the host.

    `way` says it in words. `batch_bytes` are the bytes of inputs and labels that a step takes. `wait_nanoseconds` is
    the time in the measured windows in which the process waited for its batches: took them from a pipeline, or made
    and converted them itself.
    """

    way: Text
    batch_bytes: Long
    wait_nanoseconds: Long
