"""`stepmark upload`: send a folder's results to a hub if the run could not or did not."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stepmark.cli.options import HubChoices
from stepmark.cli.publishing import SUPERSEDED, access_of, catch_up, outcome, say
from stepmark.errors import CannotRun
from stepmark.results.store import SqliteStore
from stepmark.runs.measuring import sole_user
from stepmark.runs.summaries import summary_of
from stepmark.telemetry.progress import Standing

if TYPE_CHECKING:
    from stepmark.publish.identity import Ended


def upload(folder: Path, hub: HubChoices) -> None:
    """Send the results of this folder to the hub.

    Raises:
        CannotRun: the folder has no results, a run is writing there, or there is no hub or token.
        HubError: not everything could be sent.
    """
    from stepmark.publish.client import HubError
    from stepmark.publish.identity import identity_of
    from stepmark.publish.uploader import Uploader

    if hub.url is None:
        raise CannotRun("upload: expected the address of a hub, found none. Give --hub URL, or set STEPMARK_HUB_URL.")
    access = access_of(hub)
    SqliteStore.open(folder).close()
    with sole_user(folder):
        standing, found = _found(folder)
        identity = identity_of(folder, standing.scenario, access.attempt)
        uploader = Uploader(access, identity, folder, standing.progress, say)
        uploader.start()
        why_not = uploader.finish(identity.ended or found, hub.drain_seconds, while_it_moves=True)
    if uploader.superseded:
        raise HubError(f"{folder}: {SUPERSEDED}.")
    if why_not is not None:
        raise HubError(f"not all of it is there: {why_not}. Try again with: {catch_up(folder, access.url)}")
    typer.echo(f"{access.url} has all {standing.launches_done} launches of run {identity.run_id}")


def _found(folder: Path) -> tuple[Standing, "Ended"]:
    """Return how far the run came, and how it ended.

    The end is derived from what is stored, since the run may not have been able to report it.
    """
    from stepmark.publish.identity import Ended

    failed = summary_of(folder).failed
    store = SqliteStore.open(folder)
    try:
        run, stored = store.run(), store.launch_ids()
    finally:
        store.close()
    plan = run.plan()
    needed = {launch.id for block in plan.blocks[: plan.scenario.spec.measurement.launches] for launch in block}
    standing = Standing(plan.scenario.name, len(stored), max(len(needed), len(stored)))
    if needed - stored:
        return standing, Ended(outcome="interrupted", reason="unknown", message="it ended before all was measured")
    return standing, outcome(failed)
