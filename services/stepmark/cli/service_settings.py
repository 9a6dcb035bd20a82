"""Build a service's settings from its command line. Refusals name the option and the variable of the refused value."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stepmark.errors import CannotRun, ScenarioError, printable
from stepmark.scenario.explain import explain

Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(kind: type[Settings], given: dict[str, Any], variables: str) -> Settings:
    """Build the settings.

    `given` maps fields to values, where None means not given. `variables` is the prefix of the environment variables.

    Raises:
        CannotRun: a value is refused.
    """
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise CannotRun("\n".join(_said(one, variables) for one in explain(error, kind))) from None


def json_of(field: str, text: str | None, variables: str) -> Any:
    """Parse an option's JSON value; None means not given.

    Raises:
        CannotRun: the value is not JSON.
    """
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise CannotRun(_said(ScenarioError(field, "JSON", str(error), "Change the value."), variables)) from None


def _said(refused: ScenarioError, variables: str) -> str:
    """Return the refusal as a message. The path begins with a field: `hub_peer.podLabels` belongs to --hub-peer."""
    field = refused.path.partition(".")[0].partition("[")[0]
    inner = refused.path.removeprefix(field).lstrip(".")
    option = f"--{field.replace('_', '-')} ({variables}{field.upper()})"
    where = f"{option}: {inner}" if inner else option
    return printable(f"{where}: expected {refused.expected}, found {refused.found}. {refused.fix}")
