"""What all records have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=400)]


class RecordModel(BaseModel):
    """Records are frozen, and unknown keys are refused: they come from other processes.

    JSON has no word for infinity, which an error may be: it is the text "Infinity" there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
