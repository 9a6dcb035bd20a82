"""Provide results that are stored in a hub to verbs that read a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepmark.analysis.earlier import MOST_EARLIER
from stepmark.cli.options import HubChoices
from stepmark.cli.publishing import access_of
from stepmark.results.store import FILE


def is_in_hub(folder: Path, hub: HubChoices) -> bool:
    """Return whether the name is a run's identifier in the hub: a hub is given, and no such folder exists here."""
    return hub.url is not None and "/" not in str(folder) and not folder.exists()


def earlier_runs(scenario: str, but: tuple[str, ...], hub: HubChoices) -> tuple[Path, ...]:
    """Return the newest runs of a scenario in the hub, as names for `local_folder`; none without a hub.

    Runs named in `but` are left out.

    Raises:
        CannotRun: there is no token.
        HubError: the hub does not deliver the list.
    """
    if hub.url is None:
        return ()
    from stepmark.publish.client import Hub

    access = access_of(hub)
    with Hub(access.url, access.token) as client:
        found = client.history(scenario, MOST_EARLIER + len(but))
    return tuple(Path(run_id) for run_id in found if run_id not in but)[-MOST_EARLIER:]


@contextmanager
def local_folder(folder: Path, hub: HubChoices) -> Iterator[Path]:
    """Provide the folder itself, or a temporary folder with the results of this run from the hub.

    Raises:
        CannotRun: there is no token.
        HubError: the hub does not deliver the run.
    """
    if not is_in_hub(folder, hub):
        yield folder
        return
    from stepmark.publish.client import Hub

    access = access_of(hub)
    with tempfile.TemporaryDirectory(prefix="stepmark-hub-") as scratch:
        with Hub(access.url, access.token) as client:
            client.download_results(str(folder), Path(scratch) / FILE)
        yield Path(scratch)
