"""The records of `time-to-accuracy`: the test accuracy of each launch after every so many steps, in one JSON file."""

from typing import Annotated, ClassVar

from pydantic import Field

from stepmark.results.base import Count, Finite, Long, RecordModel, Text
from stepmark.results.certificate import Certificate, Digest
from stepmark.results.own_file import OwnFile, OwnLaunch
from stepmark.results.record import Interference

FILE = "time-to-accuracy.json"


class Evaluation(RecordModel):
    """What a launch has reached after so many steps.

    `steps` counts all steps so far. `nanoseconds` and `joules` are those of the steps since the evaluation before, by
    the clock of a window and by the counters of the rank's GPUs; joules are None where they are unknown. `loss` is the
    last loss of this rank's samples, None where it is not finite. `correct` counts the test labels of all ranks that
    were predicted right.
    """

    steps: Annotated[int, Field(ge=1, le=2**31 - 1)]
    nanoseconds: Long
    joules: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    loss: Finite | None = None
    correct: Count


class LearningReport(RecordModel):
    """How one rank's process was trained, and what it reached.

    `seed` decided on the initial weights and on the order of the samples, whose digests are `weights_digest` (in
    float32, as the engine holds them) and `order_digest` (the numbers of the training samples, of all steps).
    `data_digest` is that of the samples' source. `train_samples` and `test_samples` count the samples of both parts,
    and `test_labels` the labels that are predicted in an evaluation. `interference` says what others took of the cores
    `cpus` of `host` from the first step of the training to the last evaluation; None is unknown.
    """

    rank: Count
    seed: Count
    train_samples: Count
    test_samples: Count
    test_labels: Annotated[int, Field(ge=1, le=2**31 - 1)]
    data_digest: Digest
    order_digest: Digest
    weights_digest: Digest
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    evaluations: Annotated[tuple[Evaluation, ...], Field(min_length=1, max_length=5000)]
    flags: Annotated[dict[Text, Text], Field(max_length=64)]
    host: Text = ""
    cpus: Annotated[tuple[Count, ...], Field(max_length=4096)] = ()
    interference: Interference | None = None

    @property
    def began_from(self) -> tuple[str, str, str]:
        """What cells must have in common to be compared: the weights, the order of the samples, and the samples."""
        return self.weights_digest, self.order_digest, self.data_digest


class LearningRecord(OwnLaunch):
    """One launch of one cell: the reports of all ranks, or why it failed."""

    ranks: tuple[LearningReport, ...] = ()


class LearningRecords(OwnFile):
    """All learning launches of a scenario on one machine, of the blocks that are complete, and its certificates."""

    FILE: ClassVar[str] = FILE
    HOLDS: ClassVar[str] = "the launches of `stepmark time-to-accuracy`"

    certificates: tuple[Certificate, ...] = ()
    launches: tuple[LearningRecord, ...] = ()

    @property
    def blocks(self) -> int:
        """The number of complete blocks."""
        return len({launch.block for launch in self.launches})
