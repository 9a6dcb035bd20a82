"""The base model and the field types that all records share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stepmark.errors import clean

Clean = AfterValidator(clean)
"""Validator of every text field: the text comes from other processes and is shown to people."""

Text = Annotated[str, Field(max_length=400), Clean]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""An integer that a database stores in four bytes."""
Long = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""An integer that a database stores in eight bytes."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RecordModel(BaseModel):
    """Base of all records: frozen, with unknown keys refused, since records come from other processes.

    An error may be infinite, and JSON has no number for infinity: it is written as the text "Infinity".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
