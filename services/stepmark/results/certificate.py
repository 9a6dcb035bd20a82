"""The certificate: the figures that show that a cell trains the same model as the reference, with their limits.

Schema history
    1  first version
       added, None in older certificates: the error of the update, least errors of mixed precision, the stage of the
       timed run
"""

from typing import Annotated, Literal

from pydantic import Field

from stepmark.results.base import Clean, Count, RecordModel, Text

Error = Annotated[float, Field(ge=0)]  # infinity where a compared number is not finite
TRANSPORT = "nccl_transport"
"""The flag that says by which ways NCCL moved data, such as `NET/IB/GDRDMA, P2P/CUMEM`; absent where it is unknown."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TensorError(RecordModel):
    """The gradient error of one tensor.

    `error` is the RMS of the difference over the larger of the tensor's own RMS and the RMS of all gradients.
    """

    tensor: Text
    error: Error


class LayerError(RecordModel):
    """The relative L2 errors of what goes into a layer and of what comes out of it; None where it was not seen."""

    layer: Text
    input: Error | None = None
    output: Error | None = None


class Figures(RecordModel):
    """How far a candidate is from the reference after both trained from the same weights on the same samples.

    All errors are relative L2 norms. `forward` is the error of the logits, None where they were not compared. `loss` is
    the absolute difference of the losses over the reference's loss, the largest of all steps. `gradient` is the error
    of all gradient tensors together, read off the first step's update, or off AdamW's first moment. `gradient_scale` is
    the factor that best fits the candidate's gradient to the reference's, and `gradient_rest` is the gradient error
    that is left after applying it. `tensors` holds the largest errors of single tensors. `weights` is the error of all
    weights after the last of `steps` steps, and `update` is the same difference over the distance that the reference's
    weights moved from the start. `held` says whether the weights that were loaded are the ones that were read back.
    `unmatched` names the tensors that only one side trains, or that have another shape there. `layers` are those that
    were asked for.
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
    layers: Annotated[tuple[LayerError, ...], Field(max_length=10_000)] = ()

    @property
    def worst(self) -> float:
        """The largest of the forward, loss, gradient and weights errors; errors of single tensors are left out."""
        return max(self.forward or 0.0, self.loss, self.gradient, self.weights)


class Limits(RecordModel):
    """The limits of the figures of one comparison.

    A figure passes up to its limit. `forward_least` and `gradient_least` are lower limits: rounding to a shorter type
    must cause at least that error.
    """

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
    """The comparison that one rank made of the timed step, after the windows of its launch.

    `window_digest` is the digest of the weights as the windows left them. The rank then trained again, from known
    weights on the timed batches: `figures` compares that with the reference, with its `limits` and its `problem`, all
    from rank 0, and `end_digest` is the digest of the weights at its end. `missing` says why there is no proof, or is
    empty.
    """

    window_digest: Digest | None = None
    end_digest: Digest | None = None
    figures: Figures | None = None
    limits: Limits | None = None
    problem: Annotated[str, Field(max_length=1000), Clean] = ""
    missing: Text = ""


class ProbeReport(RecordModel):
    """What one rank's process reports of a parity check. `figures` come from rank 0 of a candidate."""

    rank: Count
    start_digest: Digest
    batches_digest: Digest
    end_digest: Digest
    tensors: Annotated[tuple[Text, ...], Field(max_length=100_000)]
    figures: Figures | None
    flags: Annotated[dict[Text, Text], Field(max_length=64)]


class Stage(RecordModel):
    """One comparison of a certificate.

    `name` says what was compared: `float64` the model as both frameworks have it, `float32` a mixed-precision cell in
    float32, `as timed` the cell itself, and `timed run` the cell's launches, after their windows.
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
        """Whether the comparison found no problem."""
        return not self.problem


class Certificate(RecordModel):
    """The result of a cell's parity checks: whether the cell may be compared. `text` is what tables show."""

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
        """Whether the cell may be compared with others."""
        return self.badge != "not comparable"
