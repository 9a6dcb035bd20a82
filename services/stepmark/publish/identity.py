"""The identity of a folder's run in a hub: `hub.json` beside the results, so that --resume and `upload` keep it.

The file holds no secret: the write token of an attempt is kept in memory only, and the next process registers another
one.
"""

import os
import secrets
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stepmark.errors import CannotRun
from stepmark.publish.access import Attempt
from stepmark.results.base import RecordModel
from stepmark.results.wire import Id, Message, Outcome, Reason

FILE = "hub.json"


class Ended(RecordModel):
    """How a run has ended."""

    outcome: Outcome
    reason: Reason = ""
    message: Message = ""


class Identity(RecordModel):
    """The identity of a run in a hub. `ended` is None while the run goes on, and where its end is unknown."""

    run_id: Id
    attempt: Annotated[int, Field(ge=1)]
    execution_id: Id
    ended: Ended | None = None

    def save(self, folder: Path) -> None:
        """Write the identity into the folder, replacing an earlier one.

        Raises:
            OSError: The file could not be written; the earlier one is unchanged.
        """
        scratch = folder / f"{FILE}.new"
        try:
            scratch.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
            os.replace(scratch, folder / FILE)
        finally:
            scratch.unlink(missing_ok=True)


def identity_of(folder: Path, scenario: str, attempt: Attempt | None) -> Identity:
    """Return the folder's identity, or make a new one and save it there.

    If `attempt` is not the saved attempt, the identity is a new one.

    Raises:
        CannotRun: The file cannot be read or written.
    """
    kept = _kept(folder)
    if kept is not None and (attempt is None or attempt == Attempt(kept.run_id, kept.attempt)):
        return kept
    mine = attempt or Attempt(f"{scenario}-{secrets.token_hex(5)}", 1)
    made = Identity(run_id=mine.run_id, attempt=mine.number, execution_id=secrets.token_hex(8))
    try:
        made.save(folder)
    except OSError as error:
        raise CannotRun(
            f"{folder / FILE}: expected to write this file, found: {error.strerror}. "
            "Make room, or choose another folder."
        ) from None
    return made


def _kept(folder: Path) -> Identity | None:
    try:
        return Identity.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise CannotRun(
            f"{folder / FILE}: expected the run's name in the hub, found something else. "
            "Delete the file; the run is then a new one in the hub."
        ) from None
