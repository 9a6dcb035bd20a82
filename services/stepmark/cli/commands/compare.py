"""`stepmark compare`."""

from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import AsJson, HubChoices, HubFrom, TokenFile


def compare(
    old: Annotated[Path, typer.Argument(help="The folder of the run to compare with.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The folder of the run that must not be slower.", show_default=False)],
    minimum_effect: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Smallest slowdown that matters; 0.05 is 5 %. Default: the new scenario's."),
    ] = None,
    allow_unlike_machines: Annotated[
        bool, typer.Option("--allow-unlike-machines", help="Compare runs of different machines all the same.")
    ] = False,
    allow_unlike_settings: Annotated[
        bool, typer.Option("--allow-unlike-settings", help="Compare runs of different work all the same.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Cells that the new scenario does not ask for do not fail.")
    ] = False,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            help="An earlier run of the same thing, or a folder of such, to tell luck between campaigns from slowdowns:"
            " repeat it, three runs or more. Default with --hub: the newest ten there.",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML for CI to this file.")] = None,
    as_json: AsJson = False,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Compare two runs of one scenario and fail if a cell has become slower: a gate for CI.

    Exit code 1 if a slowdown beyond the minimum effect is established for a cell, or a cell that was measured no longer
    runs; 2 if machines or settings differ; 0 otherwise. Package versions may differ, since they are what is tested.
    """
    from stepmark.analysis.gate import Choices
    from stepmark.cli.verbs import compare as verb

    choices = Choices(minimum_effect, allow_unlike_machines, allow_unlike_settings, allow_missing)
    asked = verb.Asked(old, new, tuple(history or ()))
    verb.compare(asked, choices, as_json, junit, HubChoices(hub, hub_token_file))
