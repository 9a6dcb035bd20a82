"""The thread that sends a run to a hub while it is measured, and a bounded wait for the rest at the end.

An error here never reaches the measurement: it ends the thread and is reported, not raised.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from stepmark.errors import printable
from stepmark.publish.access import Access
from stepmark.publish.backoff import Backoff
from stepmark.publish.client import Away, Refused
from stepmark.publish.delivery import Delivery
from stepmark.publish.identity import Ended, Identity
from stepmark.publish.spool import Spool
from stepmark.results.wire import Progress

HEARTBEAT_SECONDS = 10.0
_SAY_EVERY_SECONDS = 5.0
_LAST_TRIES_SECONDS = 2.0
"""The longest pause between two tries after the run has ended, while somebody waits."""

Say = Callable[[str], None]


class Uploader:
    """Send a run to a hub from a thread.

    `progress` returns how far the run is. `say` is called with messages for a person, also from the thread.
    `superseded` is True once another execution has taken over.
    """

    def __init__(
        self, access: Access, identity: Identity, folder: Path, progress: Callable[[], Progress | None], say: Say
    ) -> None:
        self._access, self._identity, self._folder = access, identity, folder
        self._progress, self._say = progress, say
        self._changed, self._has_ended = threading.Event(), threading.Event()
        self._ended: Ended | None = None
        self._backoff = Backoff()
        self._away: str | None = None
        self._problem: str | None = None
        self._broke_off = False  # true once sending has stopped early: later records are then not counted
        self._moved_at = time.monotonic()
        self._beat_at = 0.0
        self._counts = (0, 0)
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self.superseded = False
        self.delivered = False
        """True once the hub has accepted everything that is stored, and the end of the run."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that something was stored."""
        self._changed.set()

    def finish(self, ended: Ended, seconds: float, while_it_moves: bool = False) -> str | None:
        """Report how the run has ended, and wait until the hub has everything. Return why it has not, or None.

        The wait takes at most `seconds`; with `while_it_moves`, at most `seconds` since the hub last took a record.
        """
        self._ended = ended
        self._has_ended.set()
        self._changed.set()
        began = said_at = time.monotonic()
        while self._thread.is_alive():
            now = time.monotonic()
            if now - (max(began, self._moved_at) if while_it_moves else began) > seconds:
                break
            if now - said_at > _SAY_EVERY_SECONDS:
                said_at = now
                self._say(f"hub: {self._how_far()} in the hub; waiting{f' ({self._away})' if self._away else ''}")
            self._thread.join(0.1)
        return None if self.delivered else self._why_not()

    def _how_far(self) -> str:
        there, stored = self._counts
        return f"{there} of {stored} launches are"

    def _why_not(self) -> str:
        if self._broke_off:
            return str(self._problem)
        return f"{self._problem or self._away or 'no more time'}. {self._how_far()} in the hub"

    def _run(self) -> None:
        try:
            spool = Spool.open(self._folder)
            try:
                with Delivery(self._access, self._identity, spool) as delivery:
                    self._deliver(delivery)
            finally:
                spool.close()
        except Refused as refused:
            self.superseded = refused.superseded
            self._stop(str(refused))
        except Exception as error:
            self._stop(f"{type(error).__name__}: {printable(str(error))[:300]}")

    def _stop(self, problem: str) -> None:
        self._problem, self._broke_off = problem, True
        if not self._has_ended.is_set():  # after the end, `finish` returns the problem
            self._say(f"hub: sending has ended. {problem}")

    def _deliver(self, delivery: Delivery) -> None:
        while True:
            try:
                delivery.connect()
                self._is_back()
                self._serve(delivery)
                return
            except Away as away:
                self._counts = delivery.counts()
                self._is_away(str(away))
                self._pause(away.retry_after_seconds)

    def _is_away(self, why: str) -> None:
        if self._away is None and not self._has_ended.is_set():
            self._say(f"hub: not available, {why}. Measuring goes on; records are sent when the hub answers again.")
        self._away = why

    def _is_back(self) -> None:
        if self._away is not None and not self._has_ended.is_set():
            self._say("hub: available again")
        self._away = None

    def _pause(self, retry_after_seconds: float | None) -> None:
        """Wait before the next try. The end of the run cuts the wait short once; after it the waits are shorter."""
        if self._has_ended.is_set():
            time.sleep(self._backoff.next_seconds(retry_after_seconds, _LAST_TRIES_SECONDS))
        else:
            self._has_ended.wait(self._backoff.next_seconds(retry_after_seconds))

    def _serve(self, delivery: Delivery) -> None:
        """Send what is stored and what is added, until the run has ended and everything is sent."""
        self._counts = delivery.counts()
        while True:
            self._changed.clear()
            ended = self._ended
            self._send_records(delivery)
            if ended is not None:
                delivery.send_end(ended, self._progress())
                self._finish(delivery)
                return
            self._beat(delivery)
            self._changed.wait(max(0.0, self._beat_at - time.monotonic()))

    def _send_records(self, delivery: Delivery) -> None:
        delivery.send_certificates()
        for launch_id in delivery.missing_launches():
            delivery.send_launch(launch_id)
            self._moved_at = time.monotonic()
            self._counts = (delivery.there, max(self._counts[1], delivery.there))
            self._backoff.reset()
            self._beat(delivery)

    def _beat(self, delivery: Delivery) -> None:
        """Send a heartbeat when one is due, but not after the run has ended, since its last state follows."""
        if self._ended is None and time.monotonic() >= self._beat_at:
            delivery.send_progress(self._progress())
            self._beat_at = time.monotonic() + HEARTBEAT_SECONDS
            self._backoff.reset()

    def _finish(self, delivery: Delivery) -> None:
        self._counts = delivery.counts()
        if delivery.refused:
            name, why = next(iter(delivery.refused.items()))
            more = f", and {len(delivery.refused) - 1} more" if len(delivery.refused) > 1 else ""
            self._problem = f"{name}: {why}{more}"
        self.delivered = not delivery.refused
