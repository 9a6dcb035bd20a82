"""The proof that a cell trains the same model as the reference: figures, limits, and what they were measured with.

Schema history
    1  first version
       added, None in older ones: the error of the update, least errors of mixed precision, the stage of the timed run
"""

from typing import Annotated, Literal

from pydantic import Field

from stepmark.results.base import Clean, Count, RecordModel, Text

Error = Annotated[float, Field(ge=0)]  # infinity where a number is not finite
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TensorError(RecordModel):
    """The gradient of one tensor: RMS of the difference over the larger of its own RMS and that of all gradients."""

    tensor: Text
    error: Error


class Figures(RecordModel):
    """How far a candidate is from the reference, from the same weights and samples. Relative L2 norms.

    `forward`: logits, None where they were not compared; `loss`: absolute difference over the reference's, the largest
    of all steps; `gradient`: all tensors together, read off the first step's update; `gradient_scale`: the factor that
    fits the candidate's gradient best to the reference's; `gradient_rest`: the gradient error that is left after that
    factor; `tensors`: the largest of single tensors; `weights`: all weights after the last of `steps` SGD steps;
    `update`: the same difference over the way that the reference's weights went from the start. `held`: whether the
    weights that were loaded are the ones read back. `unmatched`: tensors that only one side trains.
    """

    forward: Error | None
    loss: Error
    gradient: Error
    gradient_scale: float
    gradient_rest: Error
    tensors: Annotated[tuple[TensorError, ...], Field(max_length=64)]
    weights: Error
    update: Error | None = None
    held: bool = True
    steps: Annotated[int, Field(ge=1, le=2**31 - 1)]
    unmatched: Annotated[tuple[Text, ...], Field(max_length=64)] = ()

    @property
    def worst(self) -> float:
        """The largest error but those of single tensors."""
        return max(self.forward or 0.0, self.loss, self.gradient, self.weights)


class Limits(RecordModel):
    """The largest figures that pass, and the least: what rounding to a shorter type must cause at least."""

    forward: float
    loss: float
    gradient: float
    scale: float
    tensor: float
    weights: float
    update: float | None = None
    forward_least: float = 0.0
    gradient_least: float = 0.0


class Proof(RecordModel):
    """What one rank did with the very step that was timed, after the windows of its launch.

    `window_digest`: of the weights as the windows left them. Then, from known weights and on the timed batches:
    `figures` against the reference, their `limits` and the `problem`, all from rank 0; `end_digest`: of the weights at
    its end. `missing`: why there is no proof, or empty.
    """

    window_digest: Digest | None = None
    end_digest: Digest | None = None
    figures: Figures | None = None
    limits: Limits | None = None
    problem: Annotated[str, Field(max_length=1000), Clean] = ""
    missing: Text = ""


class ProbeReport(RecordModel):
    """What one rank's process says of a parity check. `figures` come from rank 0 of a candidate."""

    rank: Count
    start_digest: Digest
    batches_digest: Digest
    end_digest: Digest
    tensors: Annotated[tuple[Text, ...], Field(max_length=100_000)]
    figures: Figures | None
    flags: Annotated[dict[Text, Text], Field(max_length=64)]


class Stage(RecordModel):
    """One comparison.

    `float64`: the model as both frameworks have it; `float32`: a mixed-precision cell in float32; `as timed`: the cell;
    `timed run`: its launches, after their windows.
    """

    name: Literal["float64", "float32", "as timed", "timed run"]
    engine: Text
    reference_engine: Text
    figures: Figures
    limits: Limits
    ranks_agree: bool | None
    problem: Annotated[str, Field(max_length=1000), Clean]

    @property
    def passed(self) -> bool:
        return not self.problem


class Certificate(RecordModel):
    """Whether one cell may be compared. `text` is what tables show."""

    schema_version: Literal[1] = 1
    cell: Text
    reference: Text
    badge: Literal["certified", "within limits", "not comparable"]
    text: Annotated[str, Field(max_length=1200), Clean]
    stages: Annotated[tuple[Stage, ...], Field(max_length=4)] = ()
    samples_per_worker: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    weights_digest: Digest | None = None
    batches_digest: Digest | None = None
    flags: Annotated[dict[Text, Text], Field(max_length=64)] = Field(default_factory=dict)

    @property
    def comparable(self) -> bool:
        return self.badge != "not comparable"
