"""`stepmark forecast`."""

from typing import Annotated

import typer

from stepmark.cli.options import AsJson, HubChoices, HubFrom, RunFolder, TokenFile


def forecast(
    folder: RunFolder,
    workers: Annotated[str, typer.Option(help="Worker counts to forecast, such as 8,16,64,256.", show_default=False)],
    workers_per_node: Annotated[
        int | None,
        typer.Option(min=1, help="Workers that share a node, so that no network is between them. Default: not known."),
    ] = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Predict step times at worker counts that were not measured, with bands and warnings.

    The bands show how far such forecasts were off on published curves. Measuring on two nodes improves a forecast most.
    """
    from stepmark.cli.verbs import forecast as verb

    verb.forecast(folder, workers, workers_per_node, as_json, HubChoices(hub, hub_token_file))
