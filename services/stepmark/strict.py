"""Define what all parts of the scenario document share: strict models, key spelling and bounded field types."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class StrictModel(BaseModel):
    """Use camelCase in documents and snake_case in Python, and refuse unknown keys and silent type conversions.

    A misspelt key must fail. Otherwise an old file would still work but lose the setting.
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


# A DNS label, as Kubernetes object names are. A RayJob's name may have 47 characters, so 40 leave room for a suffix.
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]


def in_cel(*rules: tuple[str, str]) -> dict[str, JsonValue]:
    """Return `json_schema_extra` by which the API server checks what our validators check.

    Each rule is a CEL expression and a text that says what it expects.
    """
    said: list[JsonValue] = [{"rule": rule, "message": f"expected {expected}"} for rule, expected in rules]
    return {"x-kubernetes-validations": said}


def _each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values


EachOnce = AfterValidator(_each_once)
"""Refuse a list with repeated values.

Use it with `Field(json_schema_extra=EACH_ONCE)`, so that the API server does too.
"""
# Kubernetes' list type `set` is not used: CEL ignores a set's order, so an immutable list could be reordered.
EACH_ONCE = in_cel(("self.all(a, self.exists_one(b, a == b))", "each value once"))


def _scalar(value: JsonValue) -> JsonValue:
    if isinstance(value, dict | list):
        raise ValueError("text, a number, true or false")
    if isinstance(value, str) and len(value) > 100:
        raise ValueError("text of at most 100 characters")
    # The API server returns 8.0 as 8. Both must be the same scenario, with the same digest.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# No type is given, since a scalar has several and Kubernetes has no unions. Nesting is refused there too: a thousand
# levels of it in one tenant's object would break the parser of every client that lists the objects of all tenants.
_SCALAR_SCHEMA: dict[str, Any] = {
    "maxLength": 100,
    "maxItems": 0,
    "maxProperties": 0,
    "nullable": True,
    "x-kubernetes-preserve-unknown-fields": True,
}
Scalar = Annotated[JsonValue, AfterValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
