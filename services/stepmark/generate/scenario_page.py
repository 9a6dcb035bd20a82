"""Generate the scenario's reference page and JSON Schema from the model."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from stepmark import catalog
from stepmark.scenario.model import Scenario

_HEAD = """# The scenario document

Generated from `stepmark/scenario/model.py` by `make generate`; a test fails when it is stale. Editors can check a file
against [scenario.schema.json](scenario.schema.json), and a cluster's API server checks an object against the
[definition](../charts/stepmark/templates/crd/scenarios.yaml) that is generated from the same model. Unknown keys, YAML
anchors, aliases and tags, duplicate keys, files over 256 KiB and documents of more than 5,000 values are refused.
"""


def schema() -> str:
    """Return the JSON Schema of a scenario as text."""
    return json.dumps(Scenario.model_json_schema(by_alias=True), indent=2) + "\n"


def page() -> str:
    """Return the reference page as Markdown.

    It lists every key with its type, bounds, default and meaning, then the engines and the parameters of every model.
    """
    document = Scenario.model_json_schema(by_alias=True)
    lines = [_HEAD, *_table("Scenario", document, document["$defs"])]
    for name, definition in document["$defs"].items():
        if definition.get("type") == "object":
            lines += _table(name, definition, document["$defs"])
    lines += [
        "## Engines",
        "",
        "| engine | strategies (variants) | executions | precisions | options |",
        "|---|---|---|---|---|",
    ]
    lines += [_engine_row(name) for name in catalog.engine_names()]
    for name in catalog.workload_names():
        workload = catalog.load_workload(name)
        lines += ["", *_model(name, workload.params_model, workload.frameworks())]
    return "\n".join(lines).rstrip() + "\n"


def _model(name: str, params: type[BaseModel], frameworks: tuple[str, ...]) -> Iterator[str]:
    document = params.model_json_schema(by_alias=True)
    yield from _table(f"workload.params of {name} ({', '.join(frameworks)})", document, document.get("$defs", {}))


def _engine_row(name: str) -> str:
    support = catalog.load_engine(name).SUPPORT
    strategies = [f"{s} ({', '.join(v.variants)})" if v.variants else s for s, v in support.strategies.items()]
    executions = [f"{e} (default)" if e == support.default_execution else e for e in _had(support.executions)]
    columns = (strategies, executions, _had(support.precisions), _had(support.options))
    return f"| `{name}` | " + " | ".join(", ".join(column) or "none" for column in columns) + " |"


def _had(levels: Mapping[str, str | None]) -> list[str]:
    return [level for level, refusal in levels.items() if refusal is None]


def _table(title: str, model: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {title}", "")
    if "description" in model:
        yield from (model["description"], "")
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    for key, field in model.get("properties", {}).items():
        default = "required" if key in model.get("required", []) else f"`{json.dumps(field.get('default'))}`"
        meaning = " ".join(field.get("description", "").split())
        yield f"| `{key}` | {_type(field, definitions)} | {'absent' if default == '`null`' else default} | {meaning} |"
    yield ""


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type_of_reference(field["$ref"].rpartition("/")[2], definitions)
    if "anyOf" in field:
        return ", ".join(_type(option, definitions) for option in field["anyOf"] if option.get("type") != "null")
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "examples" in field:
        return " or ".join(f"`{value}`" for value in [*field["examples"], "PACKAGE/NAME"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), definitions)}{_bounds(field, 'minItems', 'maxItems')}"
    return f"{field.get('type', 'any')}{_bounds(field, 'minimum', 'maximum')}{_bounds(field, 'minLength', 'maxLength')}"


def _type_of_reference(name: str, definitions: dict[str, Any]) -> str:
    definition = definitions[name]
    return f"[{name}](#{name.lower()})" if definition.get("type") == "object" else _type(definition, definitions)


def _bounds(field: dict[str, Any], low: str, high: str) -> str:
    at_least = field.get(low, field.get("exclusiveMinimum") if low == "minimum" else None)
    parts = [f"{word} {value}" for word, value in (("from", at_least), ("to", field.get(high))) if value is not None]
    return f", {' '.join(parts)}" if parts else ""
