"""Generate the chart's README: a table from the `# --` comments of values.yaml, and one of the profiles' keys."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from stepmark.controller.profiles import Profile

_HEAD = """# The chart `stepmark`

The definition of `Scenario`, the controller that runs scenarios on KubeRay, and the hub that keeps their results.
[docs/install.md](../../docs/install.md) goes through an installation. Generated from values.yaml and from
stepmark/controller by `make generate`; a test fails when it is stale.

## Values

| key | type | default | meaning |
|---|---|---|---|
"""
_PROFILES = """
## Profiles

What the owner of the cluster decides about a kind of runs, under `profiles.NAME`. Helm merges a values file into these
defaults key by key: a profile `default` of yours keeps what it does not say of the chart's. A change holds for attempts
that begin after it, and each result keeps the digest of the profile that it was measured with.

| key | type | default | meaning |
|---|---|---|---|
"""


def page(values: str) -> str:
    """Return the README as Markdown, from the text of values.yaml.

    Raises:
        ValueError: a value has no comment, and no mapping around it has one.
    """
    rows = [f"| `{key}` | {kind} | {default} | {text} |\n" for key, kind, default, text in _values(values)]
    return _HEAD + "".join(rows) + _PROFILES + "".join(_profile_rows())


def _values(text: str) -> Iterator[tuple[str, str, str, str]]:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    yield from _rows(node, text.splitlines(), "")


def _rows(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for key, value in node.value:
        path, comment = f"{prefix}{key.value}", _comment(lines, key.start_mark.line)
        if comment:
            yield path, *_shown(value), comment
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _rows(value, lines, f"{path}.")
        else:
            raise ValueError(
                f"values.yaml, line {key.start_mark.line + 1}: expected a comment '# -- ...' above {path}, found none"
            )


def _comment(lines: list[str], line: int) -> str:
    """Return the comment right above this line if its first line begins with `# --`, else an empty string."""
    found: list[str] = []
    while line and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        found.insert(0, lines[line].lstrip().removeprefix("# "))
        if found[0].startswith("-- "):
            return " ".join(found).removeprefix("-- ").replace("|", "\\|")
    return ""


def _shown(node: yaml.Node) -> tuple[str, str]:
    """Return the type and the default of a value."""
    value = yaml.safe_load(yaml.serialize(node))
    kinds = {bool: "true or false", int: "number", float: "number", str: "text", list: "list", dict: "mapping"}
    text = json.dumps(value)
    return kinds[type(value)], f"`{text}`" if len(text) <= 120 else "see values.yaml"


def _profile_rows() -> Iterator[str]:
    document = Profile.model_json_schema(by_alias=True)
    yield from _model_rows(document, document["$defs"], "")


def _model_rows(model: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, field in model["properties"].items():
        required = key in model.get("required", [])
        default = "required" if required else _default(field.get("default"))
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        nested = _nested(field, definitions)
        yield f"| `{prefix}{key}` | {_kind(field, nested)} | {default} | {meaning} |\n"
        if nested is not None:
            yield from _model_rows(nested, definitions, f"{prefix}{key}{'[]' if field.get('type') == 'array' else ''}.")


def _default(value: Any) -> str:
    return "absent" if value is None else f"`{json.dumps(value)}`"


def _nested(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    options = [field, *field.get("anyOf", []), field.get("items", {})]
    names = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
    return definitions[names[0]] if names else None


def _kind(field: dict[str, Any], nested: dict[str, Any] | None) -> str:
    option = next((one for one in field.get("anyOf", []) if one.get("type") != "null"), field)
    if "enum" in option:
        return " or ".join(f"`{value}`" for value in option["enum"])
    kind = option.get("type", "object")
    if isinstance(kind, list):
        return "number or text"
    words = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
        "array": "list",
        "object": "mapping",
    }
    low, high = option.get("minimum"), option.get("maximum")
    bounds = f", {low} to {high}" if low is not None and high is not None else ""
    return words.get(kind, kind) + bounds
