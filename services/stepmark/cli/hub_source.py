"""Results that are in a hub, for verbs that read a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepmark.analysis.earlier import MOST_EARLIER
from stepmark.cli.publishing import HubChoices, access_of
from stepmark.results.store import FILE


def is_in_hub(folder: Path, hub: HubChoices) -> bool:
    """With a hub, a name that is no folder here is a run's id there."""
    return hub.url is not None and "/" not in str(folder) and not folder.exists()


def earlier_runs(scenario: str, but: tuple[str, ...], hub: HubChoices) -> tuple[Path, ...]:
    """The newest runs of a scenario that the hub has, as names for `local_folder`; none without a hub.

    Raises:
        CannotRun: there is no token.
        HubError: the hub does not give them.
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
    """The folder itself; or one that holds what the hub has of this run, for as long as it is needed.

    Raises:
        CannotRun: there is no token.
        HubError: the hub does not give it.
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
