"""Types of the chart's values that several parts of values.yaml have in common."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, WithJsonSchema

from stepmark.controller.notation import LabelKey

Text = Annotated[str, Field(max_length=1000)]
Annotations = dict[LabelKey, Annotated[str, Field(max_length=262144)]]
Objects = list[dict[str, JsonValue]]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$", max_length=20)]
Quantity = Annotated[
    str | int | float, WithJsonSchema({"type": ["string", "number"], "pattern": r"^[0-9.]+(e[0-9]+|[mkKMGTPE]i?)?$"})
]


def or_empty(schema: type[Any]) -> Any:
    """Also allow an empty text, which is Helm's way to leave a value unset: null in a values file deletes the key."""
    return schema | Literal[""]
