"""Translate Pydantic's findings into the words of the document: path, expected, found, what to change."""

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from stepmark.errors import ScenarioError

# Pydantic's error types in the document's words. The context of the finding fills the braces.
_EXPECTED = {
    "missing": "a value",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "text like {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "literal_error": "{expected}",
}


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[ScenarioError]:
    """Return one `ScenarioError` for each of Pydantic's findings about a document of this model."""
    findings = [dict(finding) for finding in error.errors(include_url=False)]
    return [_explain_one(finding, model, prefix) for finding in findings if not _is_echo(finding, findings)]


def _is_echo(finding: dict[str, Any], findings: list[dict[str, Any]]) -> bool:
    """Return whether the finding only repeats others.

    A list whose entries are refused is also reported as too short; the findings about its entries say it better.
    """
    where = finding["loc"]
    return finding["type"] == "too_short" and any(
        len(other["loc"]) > len(where) and other["loc"][: len(where)] == where for other in findings
    )


def _explain_one(finding: dict[str, Any], model: type[BaseModel], prefix: str) -> ScenarioError:
    location, kind, context = finding["loc"], finding["type"], finding.get("ctx", {})
    path = _path(prefix, location)
    if kind == "extra_forbidden":
        known = known_keys(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1])[:40], known, n=1)
        fix = f"Did you mean {close[0]!r}?" if close else "Remove it."
        return ScenarioError(path, f"one of the keys {', '.join(known)}", f"{_short(location[-1])}", fix)
    if kind == "missing":
        return ScenarioError(path, "a value", "nothing", "Add it.")
    if kind == "value_error":
        return ScenarioError(path, str(context["error"]), _short(finding["input"]), "Change one of them.")
    if kind in _EXPECTED:
        return ScenarioError(path, _EXPECTED[kind].format(**context), _short(finding["input"]), "Change the value.")
    return ScenarioError(path, f"a valid value ({finding['msg']})", _short(finding["input"]), "Change the value.")


def _path(prefix: str, location: tuple[Any, ...]) -> str:
    text = prefix
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{_short(part, quote=False)}"
    return text.lstrip(".") or "the document"


def _short(value: object, quote: bool = True) -> str:
    text = (repr(value) if quote else str(value)).replace("\n", " ")
    return text if len(text) <= 80 else text[:77] + "..."


def known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the document keys of the model that lies at this location inside `model`."""
    for part in location:
        if isinstance(part, int):
            continue
        field = next(field for name, field in model.model_fields.items() if part in (name, field.alias))
        model = next(_models_in(field.annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
