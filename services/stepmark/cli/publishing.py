"""Publish a run to a hub: publishing starts and ends with the run and never holds it up."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stepmark.cli.options import HubChoices
from stepmark.errors import CannotRun, Interrupted, Stopped
from stepmark.results.wire import Reason
from stepmark.telemetry.progress import Board

if TYPE_CHECKING:
    from stepmark.publish.access import Access
    from stepmark.publish.identity import Ended, Identity
    from stepmark.publish.uploader import Uploader

_STOPPED_DRAIN_SECONDS = 10.0  # A person waits, or a cluster that kills after 30 s.
SUPERSEDED = "another execution of this attempt has superseded this one; the hub takes that one's results, not these"


def say(message: str) -> None:
    """Print a line to `sys.stderr`, which belongs to the progress display while that is drawn."""
    print(message, file=sys.stderr, flush=True)


def access_of(hub: HubChoices) -> "Access":
    """Return the access to the hub. Warn if others can read the token in transit.

    Raises:
        CannotRun: `publish.access.access` refuses the choices.
    """
    from stepmark.publish.access import access

    assert hub.url is not None
    found = access(hub.url, hub.token_file, hub.attempt, os.environ)
    if found.attempt is None and found.is_readable_on_the_way:
        say(f"hub: {found.url} is plain http, and whoever is on the way can read the token. Use https.")
    return found


@contextmanager
def publishing(hub: HubChoices, folder: Path, board: Board) -> Iterator["Publisher"]:
    """Send what is stored in this folder while the context is active, and drain the rest at its end.

    Raises:
        CannotRun: before anything runs, if there is no token or the address is not valid.
        Interrupted: at the end, if another execution has superseded this one.
    """
    from stepmark.publish.identity import identity_of
    from stepmark.publish.uploader import Uploader

    access = access_of(hub)
    identity = identity_of(folder, board.now().scenario, access.attempt)
    uploader = Uploader(access, identity, folder, lambda: board.now().progress(), say)
    publisher = Publisher(uploader, identity, folder, access)
    publisher.keep(None)
    uploader.start()
    try:
        yield publisher
    except BaseException as error:
        publisher.end(error, min(hub.drain_seconds, _STOPPED_DRAIN_SECONDS))
        raise
    publisher.end(None, hub.drain_seconds)
    if uploader.superseded:
        raise Interrupted(f"hub: {SUPERSEDED}.")


class Publisher:
    """One run's uploader, and what the run tells it."""

    def __init__(self, uploader: "Uploader", identity: "Identity", folder: Path, access: "Access") -> None:
        self._uploader, self._identity, self._folder, self._access = uploader, identity, folder, access
        self._measured: Ended | None = None

    def stored(self) -> None:
        """Tell the uploader that a record was stored."""
        self._uploader.wake()

    def go_on(self) -> None:
        """Stop a superseded execution of a cluster, which would hold machines for nothing.

        A run that a person started is not stopped.

        Raises:
            Interrupted: this execution was superseded.
        """
        if self._access.attempt is not None and self._uploader.superseded:
            raise Interrupted(SUPERSEDED)

    def measured(self, failed: bool) -> None:
        """Note that the plan has reached its end. `failed` is whether something was not measured."""
        self._measured = outcome(failed)

    def keep(self, ended: "Ended | None") -> None:
        """Save the run's end in the folder for a later `upload`, which otherwise derives it from the results."""
        try:
            self._identity.model_copy(update={"ended": ended}).save(self._folder)
        except OSError as error:
            say(f"hub: the run's end is not noted in {self._folder}: {error.strerror}")

    def end(self, error: BaseException | None, seconds: float) -> None:
        """Report how the run ended: as measured, or by this error."""
        ended = self._measured or _ended_by(error, self._uploader.superseded)
        self.keep(ended)
        why_not = self._uploader.finish(ended, seconds)
        if why_not is None:
            say(f"hub: all of it is there, as run {self._identity.run_id}")
        elif not self._uploader.superseded:
            say(f"hub: not all of it is there: {why_not}. Catch up with: {catch_up(self._folder, self._access.url)}")


def outcome(failed: bool) -> "Ended":
    """Return the end of a plan that has reached its end."""
    from stepmark.publish.identity import Ended

    return Ended(outcome="failed", reason="launch-failed") if failed else Ended(outcome="complete")


def catch_up(folder: Path, url: str) -> str:
    """Return the command that sends what is missing."""
    return f"stepmark upload {shlex.quote(str(folder))} --hub {shlex.quote(url)}"


def _ended_by(error: BaseException | None, superseded: bool) -> "Ended":
    from stepmark.publish.identity import Ended

    match error:
        case KeyboardInterrupt():
            return Ended(outcome="interrupted", reason="stopped", message="stopped by Ctrl-C")
        case Stopped():
            return Ended(outcome="interrupted", reason="stopped", message=f"stopped by signal {error.args[0]}")
        case Interrupted():
            reason: Reason = "superseded" if superseded else "session-broke"
            return Ended(outcome="interrupted", reason=reason, message=str(error)[:2000])
        case CannotRun():
            return Ended(outcome="failed", reason="cannot-run", message=str(error)[:2000])
    return Ended(outcome="failed", reason="unknown", message=type(error).__name__)
