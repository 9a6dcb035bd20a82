"""The generator of the CRD refuses what Kubernetes cannot express, and loses nothing of the model."""

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, JsonValue

from conftest import scenario_document
from stepmark.generate.crd import crd
from stepmark.generate.structural import CannotExpress, structural
from stepmark.scenario.load import scenario_from_object

Text = Annotated[str, Field(max_length=9)]


class Tree(BaseModel):
    child: "Tree | None" = None


def schema_of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    model = type("M", (BaseModel,), {"__annotations__": {"x": annotation}, "x": default})
    return structural(model, "spec")["properties"]["x"]


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (str, "spec.x: no maxLength"),
        (int, "spec.x: no minimum and no maximum"),
        (Annotated[float, Field(ge=0)], "spec.x: no maximum"),
        (list[bool], "spec.x: no maxItems"),
        (Annotated[list[str], Field(max_length=3)], r"spec.x\[\]: no maxLength"),
        (dict[str, bool], "spec.x: no maxProperties"),
        (Annotated[dict[Text, bool], Field(max_length=3)], "spec.x: propertyNames"),
        (Annotated[dict[str, JsonValue], Field(max_length=3)], r"spec.x.\*: the type None"),
        (dict[str, Any], "spec.x: a mapping of anything"),
        (Text | bool, "spec.x: a union of 2 types"),
        (Annotated[set[bool], Field(max_length=3)], "spec.x: uniqueItems"),
        (tuple[bool, bool], "spec.x: prefixItems"),
        (Annotated[int, Field(ge=0, le=9, multiple_of=3)], "spec.x: multipleOf"),
        (Annotated[str, Field(max_length=9, pattern="a")], "spec.x: the pattern a, which is open at an end"),
        (Tree, "spec.x.child: Tree within itself"),
    ],
)
def test_a_type_that_kubernetes_cannot_express_is_an_error_that_names_the_field(annotation: Any, said: str) -> None:
    with pytest.raises(CannotExpress, match=said):
        schema_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (Annotated[float, Field(gt=0, lt=1)], ..., {"minimum": 0, "exclusiveMinimum": True, "exclusiveMaximum": True}),
        (Literal["only"], ..., {"enum": ["only"]}),
        (Annotated[int, Field(ge=0, le=1)] | None, None, {"type": "integer", "minimum": 0}),
        (Annotated[dict[str, bool], Field(max_length=3)], {"a": True}, {"default": {"a": True}, "maxProperties": 3}),
        (bool, False, {"default": False}),
    ],
)
def test_a_keyword_that_kubernetes_writes_differently_is_translated(
    annotation: Any, default: Any, expected: dict
) -> None:
    found = schema_of(annotation, default)
    assert found == found | expected
    assert "anyOf" not in found
    assert "const" not in found


def spec_schema() -> dict[str, Any]:
    return crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def defaulted(value: Any, schema: dict[str, Any]) -> Any:
    """Fill in the schema's defaults as the API server does."""
    if isinstance(value, list):
        return [defaulted(one, schema["items"]) for one in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    fields = schema["properties"]
    filled = {key: field["default"] for key, field in fields.items() if "default" in field} | value
    return {key: defaulted(one, fields[key]) for key, one in filled.items()}


def test_the_defaults_of_the_crd_are_those_of_the_model() -> None:
    document = scenario_document()
    theirs = document | {"spec": defaulted(document["spec"], spec_schema())}
    ours = scenario_from_object(document).spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert theirs["spec"] == ours


def test_every_field_of_the_spec_is_immutable_but_cancel_and_suspend() -> None:
    fields = spec_schema()["properties"]
    assert "x-kubernetes-validations" not in fields.pop("suspend")
    rules = {key: {rule["rule"] for rule in field["x-kubernetes-validations"]} for key, field in fields.items()}
    assert rules.pop("cancel") == {"self || !oldSelf"}
    assert all("self == oldSelf" in found for found in rules.values())


def test_no_list_of_the_spec_is_a_set_or_a_map() -> None:
    """CEL calls those equal in any order, so candidates could change places, and with them the reference."""
    assert "x-kubernetes-list-type" not in json.dumps(spec_schema())


def test_generating_the_crd_twice_gives_the_same_crd() -> None:
    assert crd() == crd()
