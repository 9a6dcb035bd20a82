"""`stepmark controller run`: read the settings from the command line, then run the controller's loop."""

from typing import Any

from stepmark.cli.service_settings import json_of, settings_of
from stepmark.controller.serve import serve
from stepmark.controller.settings import Settings

VARIABLES = "STEPMARK_CONTROLLER_"


def run(given: dict[str, Any]) -> None:
    """Serve until the process is stopped.

    Raises:
        CannotRun: a setting is refused, or `serve` cannot start.
    """
    serve(_settings(given))


def _settings(given: dict[str, Any]) -> Settings:
    namespaces = tuple(name for name in given["namespaces"].split(",") if name)
    peers = {
        name: json_of(name, given.get(name), VARIABLES) for name in ("hub_peer", "operator_peer", "prometheus_peer")
    }
    return settings_of(Settings, {**given, **peers, "namespaces": namespaces}, VARIABLES)
