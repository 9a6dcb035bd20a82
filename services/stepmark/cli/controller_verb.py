"""`stepmark controller run`: settings from the command line, then the loop."""

import json
from typing import Any

import typer
from pydantic import ValidationError

from stepmark.controller.serve import serve
from stepmark.controller.settings import Settings
from stepmark.errors import CannotRun, printable

_JSON = ("hub_peer", "operator_peer", "prometheus_peer")


def run(given: dict[str, Any]) -> None:
    """Serve until it is stopped.

    Raises:
        CannotRun: a setting is refused; as of `serve`.
    """
    serve(_settings(given), lambda line: typer.echo(printable(line), err=True))


def _settings(given: dict[str, Any]) -> Settings:
    document = dict(given)
    document["namespaces"] = tuple(name for name in given.get("namespaces", "").split(",") if name)
    try:
        for key in _JSON:
            if key in given:
                document[key] = json.loads(given[key])
        return Settings.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])).replace("_", "-")
        raise CannotRun(f"--{where}: {first['msg']}. Correct it, or its STEPMARK_CONTROLLER_ variable.") from None
    except ValueError as error:
        raise CannotRun(f"expected JSON in {', '.join(_JSON)}, found: {error}.") from None
