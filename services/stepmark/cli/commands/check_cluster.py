"""`stepmark check-cluster`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stepmark.cli.options import HubChoices, HubFrom, Launcher, TokenFile


class Output(StrEnum):
    """The form of the verdict."""

    text = "text"
    json = "json"


def check_cluster(
    of: Annotated[
        Path | None,
        typer.Option(help="Judge this finished check, a folder or with --hub a run's id, and measure nothing."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=2, max=4096, help="Number of ranks. Default: one for each core or GPU here.")
    ] = None,
    launcher: Annotated[
        Launcher, typer.Option(help="ray: one Ray Train run; bare: the same, without Ray, on this machine.")
    ] = Launcher.ray,
    out: Annotated[Path, typer.Option(help="Folder for results.db, without a run.")] = Path("out/check-cluster"),
    output: Annotated[Output, typer.Option(help="Print sentences, or one JSON document.")] = Output.text,
    hub: HubFrom = None,
    hub_token_file: TokenFile = None,
) -> None:
    """Find slow ranks, GPUs and links in ten minutes at most.

    Each rank multiplies and copies, and all ranks and each pair of them exchange. Exit codes: 0: ok, 1: suspicious, 4:
    broken. On a cluster, submit scenarios/check-cluster.yaml, and judge its run with --of and --hub.
    """
    from stepmark.cli.verbs import check_cluster as verb

    check = verb.Check(workers, launcher.value, out)
    verb.check_cluster(of, check, output is Output.json, HubChoices(hub, hub_token_file))
