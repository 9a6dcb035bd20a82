"""`stepmark controller`: the service that runs scenarios on Kubernetes."""

import typer

from stepmark.cli.settings_options import takes_settings
from stepmark.controller.settings import Settings

VARIABLES = "STEPMARK_CONTROLLER_"

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _controller() -> None:
    return None


def _split(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


READERS = {"namespaces": _split}


@app.command()
@takes_settings(Settings, VARIABLES, READERS)
def run(settings: Settings) -> None:
    """Watch scenarios until SIGTERM: create a RayJob for each, and report its progress in the scenario's status."""
    from stepmark.controller.serve import serve

    serve(settings)
