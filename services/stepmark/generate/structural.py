"""Translate Pydantic's JSON Schema into a Kubernetes structural schema.

Each of the two has many keywords that the other lacks, so this is an allow-list. Kubernetes has no `$ref`, no unions
and no `const`, refuses `additionalProperties: false` (strictness is requested with each call), and estimates the cost
of CEL rules from bounds. A field without bounds is therefore an error here.
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = {
    "type", "description", "enum", "format", "pattern", "nullable",
    "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minimum", "maximum",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip
_TRANSLATED = {
    "title", "examples", "default", "properties", "required", "additionalProperties", "items", "const",
    "exclusiveMinimum", "exclusiveMaximum", "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
_FREE_FORM = "x-kubernetes-preserve-unknown-fields"
_FREE_FORM_AT = "spec.workload.params.*"
_BOUNDS = {
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("maxItems",),
    "object": (),
    "boolean": (),
}


class CannotExpress(Exception):
    """A field has a shape that a Kubernetes structural schema cannot express."""


def structural(model: type[BaseModel], path: str) -> Schema:
    """Return the structural schema of a model that lies at `path` of the object.

    Raises:
        CannotExpress: a field cannot be translated; the message has its path and the keyword.
    """
    document = model.model_json_schema(by_alias=True)
    return _Translation(document.get("$defs", {})).of(document, path)


class _Translation:
    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions
        self._within: tuple[str, ...] = ()

    def of(self, node: Schema, path: str) -> Schema:
        node = {key: value for key, value in node.items() if key != "$defs"}
        if "$ref" in node:
            return self._referred(node, path)
        if "anyOf" in node:
            return self.of(_without_null(node, path), path)
        unknown = node.keys() - _KEPT - _TRANSLATED
        if unknown:
            raise CannotExpress(f"{path}: {', '.join(sorted(unknown))}")
        if _FREE_FORM in node and path == _FREE_FORM_AT:
            return {key: value for key, value in node.items() if key in {*_KEPT, _FREE_FORM}}
        found = {key: value for key, value in node.items() if key in _KEPT} | _constant(node) | _exclusive(node)
        found |= self._children(node, path)
        if node.get("default") is not None:
            found["default"] = _without_nulls(node["default"])
        _check_bounds(found, path)
        return found

    def _referred(self, node: Schema, path: str) -> Schema:
        name = node["$ref"].rpartition("/")[2]
        if name in self._within:
            raise CannotExpress(f"{path}: {name} within itself")
        beside = {key: value for key, value in node.items() if key != "$ref"}
        outer, self._within = self._within, (*self._within, name)
        try:
            return self.of(self._definitions[name] | beside, path)
        finally:
            self._within = outer

    def _children(self, node: Schema, path: str) -> Schema:
        found: Schema = {}
        if "items" in node:
            found["items"] = self.of(node["items"], f"{path}[]")
        if "properties" in node:
            found["properties"] = {key: self.of(field, f"{path}.{key}") for key, field in node["properties"].items()}
            if node.get("required"):
                found["required"] = node["required"]
        elif isinstance(node.get("additionalProperties"), dict):
            found["additionalProperties"] = self.of(node["additionalProperties"], f"{path}.*")
        elif node.get("type") == "object":
            raise CannotExpress(f"{path}: a mapping of anything")
        return found


def _without_null(node: Schema, path: str) -> Schema:
    """Return an optional field's only other type. An optional field may be absent: the API server drops nulls early."""
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise CannotExpress(f"{path}: a union of {len(options)} types")
    return options[0] | {key: value for key, value in node.items() if key != "anyOf"}


def _constant(node: Schema) -> Schema:
    return {"enum": [node["const"]]} if "const" in node else {}


def _exclusive(node: Schema) -> Schema:
    """Translate exclusive bounds: `exclusiveMinimum: 0` becomes `minimum: 0, exclusiveMinimum: true`."""
    found: Schema = {}
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in node:
            found |= {limit: node[exclusive], exclusive: True}
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value


def _check_bounds(found: Schema, path: str) -> None:
    kind = found.get("type")
    if kind not in {*_BOUNDS, "string"}:
        raise CannotExpress(f"{path}: the type {kind}")
    needed = _BOUNDS.get(kind, ())
    if kind == "string" and "enum" not in found and found.get("format") != "date-time":
        needed = ("maxLength",)
    if kind == "object" and "additionalProperties" in found:
        needed = ("maxProperties",)
    missing = [bound for bound in needed if bound not in found]
    if missing:
        raise CannotExpress(f"{path}: no {' and no '.join(missing)}")
    pattern = found.get("pattern", "^$")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise CannotExpress(f"{path}: the pattern {pattern}, which is open at an end")
