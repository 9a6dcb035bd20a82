"""What every part of the document shares: strictness, spelling, and bounded field types."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from pydantic.alias_generators import to_camel

T = TypeVar("T")


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
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]


def in_cel(*rules: tuple[str, str]) -> dict[str, JsonValue]:
    """Validators said again for the API server, as `json_schema_extra`: each a CEL rule, and what it expects."""
    said: list[JsonValue] = [{"rule": rule, "message": f"expected {expected}"} for rule, expected in rules]
    return {"x-kubernetes-validations": said}


def _each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values


EachOnce = AfterValidator(_each_once)
"""A list without repetition. It goes with `Field(json_schema_extra=EACH_ONCE)`, the same for the API server."""
# Not Kubernetes' list type `set`: to CEL, a set in another order is the same, and ours would not be immutable.
EACH_ONCE = in_cel(("self.all(a, self.exists_one(b, a == b))", "each value once"))


def _scalar(value: JsonValue) -> JsonValue:
    if isinstance(value, dict | list):
        raise ValueError("text, a number, true or false")
    if isinstance(value, str) and len(value) > 100:
        raise ValueError("text of at most 100 characters")
    # The API server gives 8.0 back as 8: both must be the same scenario, with one digest.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# Without a type, since it has several, and Kubernetes has no unions. Nesting is refused there too: a thousand levels
# of it, in one object of one tenant, would fail the parser of whoever lists the objects of all.
_SCALAR_SCHEMA: dict[str, Any] = {
    "maxLength": 100,
    "maxItems": 0,
    "maxProperties": 0,
    "nullable": True,
    "x-kubernetes-preserve-unknown-fields": True,
}
Scalar = Annotated[JsonValue, AfterValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
