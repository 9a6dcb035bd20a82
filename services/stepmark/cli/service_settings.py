"""Settings of a service from its command line: what is refused is named as the option and the variable that hold it."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stepmark.errors import CannotRun, ScenarioError, printable
from stepmark.scenario.explain import explain

Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(kind: type[Settings], given: dict[str, Any], variables: str) -> Settings:
    """`given`: field -> value, None where nothing was said. `variables`: what the names of its variables begin with.

    Raises:
        CannotRun: a value is refused.
    """
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise CannotRun("\n".join(_said(one, variables) for one in explain(error, kind))) from None


def json_of(field: str, text: str | None, variables: str) -> Any:
    """An option's value that is JSON; None where nothing was said.

    Raises:
        CannotRun: it is no JSON.
    """
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise CannotRun(_said(ScenarioError(field, "JSON", str(error), "Change the value."), variables)) from None


def _said(refused: ScenarioError, variables: str) -> str:
    """The path begins with a field: `hub_peer.podLabels` is of --hub-peer."""
    field = refused.path.partition(".")[0].partition("[")[0]
    inner = refused.path.removeprefix(field).lstrip(".")
    option = f"--{field.replace('_', '-')} ({variables}{field.upper()})"
    where = f"{option}: {inner}" if inner else option
    return printable(f"{where}: expected {refused.expected}, found {refused.found}. {refused.fix}")
