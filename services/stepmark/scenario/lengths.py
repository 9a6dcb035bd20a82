"""The `Lengths` of a scenario: how long the samples of a token model are."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from stepmark.strict import StrictModel, in_cel


class Lengths(StrictModel):
    """How long the samples of a token model are. All samples of one batch have one length, drawn for that batch."""

    model_config = ConfigDict(json_schema_extra=in_cel(("self.most >= self.least", "most of at least least")))

    least: Annotated[int, Field(ge=1, le=65536)]
    """Least number of tokens in a sample."""
    most: Annotated[int, Field(ge=1, le=65536)]
    """Largest number of tokens in a sample, up to which batches are padded; at most the model's own length."""
    distribution: Literal["uniform", "log-normal"] = "log-normal"
    """uniform: each length alike; log-normal: least and most lie two standard deviations from the median."""
    batches: Annotated[int, Field(ge=2, le=64)] = 16
    """Number of distinct batches, which the steps use in turn. There are at most as many distinct lengths."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"most of at least least, {self.least}")
        return self
