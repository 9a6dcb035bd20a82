"""What every part of the document shares: strictness, spelling, and bounded field types."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class StrictModel(BaseModel):
    """camelCase in documents, snake_case in Python; unknown keys and silent type conversions are refused.

    A misspelt key must fail: otherwise an old file goes on working while it loses the setting.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


# A DNS label, as Kubernetes object names are; 40 leaves room for the suffix of a RayJob, which may have 47.
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
