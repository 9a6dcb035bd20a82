"""The part `spec.data` of a scenario: where the samples come from."""

from typing import Self

from pydantic import ConfigDict, model_validator

from stepmark.scenario.lengths import Lengths
from stepmark.strict import StrictModel, in_cel
from stepmark.terms import DataSource, Transform

_TRANSFORM_IS_FED = "source: host where there is a transform, which is made in each step"


class Data(StrictModel):
    """Where the samples come from, how long they are, and what is done with each before a step."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            ("!has(self.lengths) || self.source == 'synthetic'", "the source synthetic where lengths are given"),
            ("self.transform == 'none' || self.source == 'host'", _TRANSFORM_IS_FED),
        )
    )

    source: DataSource = "synthetic"
    """synthetic: random, resident on the device; host: the same, fed at each step; digits: real images, resident;
    python-docs: the text of Python's help topics, whose characters are predicted, resident."""
    lengths: Lengths | None = None
    """Lengths of the samples of a token model; absent: all have the model's own length."""
    transform: Transform = "none"
    """A transform of each sample by SciPy in each step. affine: images are turned by 15 degrees and scaled by 0.9;
    spectrogram: vectors become the spectrogram of 16 values at a time; none: samples are as they were drawn."""

    @model_validator(mode="after")
    def _lengths_are_drawn(self) -> Self:
        if self.lengths is not None and self.source != "synthetic":
            raise ValueError("the source synthetic, since lengths are drawn for synthetic samples only")
        return self

    @model_validator(mode="after")
    def _transform_is_fed(self) -> Self:
        if self.transform != "none" and self.source != "host":
            raise ValueError(_TRANSFORM_IS_FED)
        return self
