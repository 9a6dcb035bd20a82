"""What all records have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stepmark.errors import clean

Clean = AfterValidator(clean)
"""Of every text: it comes from other processes, and will be shown to people."""

Text = Annotated[str, Field(max_length=400), Clean]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""What a database keeps in four bytes."""
Long = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What it keeps in eight."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class RecordModel(BaseModel):
    """Records are frozen, and unknown keys are refused: they come from other processes.

    JSON has no word for infinity, which an error may be: it is the text "Infinity" there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
