"""Results that are in a hub, for verbs that read a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepmark.cli.publishing import HubChoices, access_of
from stepmark.results.store import FILE


def is_in_hub(folder: Path, hub: HubChoices) -> bool:
    """With a hub, a name that is no folder here is a run's id there."""
    return hub.url is not None and "/" not in str(folder) and not folder.exists()


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
