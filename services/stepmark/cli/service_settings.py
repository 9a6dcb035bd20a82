"""Build a service's settings from its command line. Refusals name the option and the variable of the refused value."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stepmark.errors import CannotRun, ScenarioError, printable
from stepmark.scenario.explain import explain

Settings = TypeVar("Settings", bound=BaseModel)
Readers = Mapping[str, Callable[[Any], Any]]
"""Functions, by field, that make the field's value of the option's, where they differ."""


def settings_of(kind: type[Settings], values: Mapping[str, Any], variables: str, readers: Readers) -> Settings:
    """Build the settings.

    `values` maps fields to their options' values, where None means not given. `variables` is the prefix of the
    environment variables. The value of a field that is a model is JSON.

    Raises:
        CannotRun: a value is refused.
    """
    read = {name: readers.get(name) or _reader(kind, name, variables) for name in values}
    try:
        return kind.model_validate({name: read[name](value) for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise CannotRun("\n".join(_said(one, kind, variables) for one in explain(error, kind))) from None


def names_of(kind: type[BaseModel], field: str, variables: str) -> tuple[str, str]:
    """Return the option and the environment variable of a field: in the singular where they may be given again."""
    name = field.removesuffix("s") if is_repeated(kind.model_fields[field]) else field
    return f"--{name.replace('_', '-')}", f"{variables}{name.upper()}"


def is_repeated(field: FieldInfo) -> bool:
    """Return whether the field's option may be given again."""
    return get_origin(field.annotation) in (dict, frozenset)


def _reader(kind: type[BaseModel], field: str, variables: str) -> Callable[[Any], Any]:
    def json_of(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            refused = ScenarioError(field, "JSON", str(error), "Change the value.")
            raise CannotRun(_said(refused, kind, variables)) from None

    annotation = kind.model_fields[field].annotation
    kinds = (annotation, *get_args(annotation))
    is_model = any(isinstance(one, type) and issubclass(one, BaseModel) for one in kinds)
    return json_of if is_model else lambda value: value


def _said(refused: ScenarioError, kind: type[BaseModel], variables: str) -> str:
    """Return the refusal as a message. The path begins with a field: `hub_peer.podLabels` belongs to --hub-peer."""
    field = refused.path.partition(".")[0].partition("[")[0]
    inner = refused.path.removeprefix(field).lstrip(".")
    option, variable = names_of(kind, field, variables)
    where = f"{option} ({variable}): {inner}" if inner else f"{option} ({variable})"
    return printable(f"{where}: expected {refused.expected}, found {refused.found}. {refused.fix}")
