"""Deliver one execution to a hub: register, claim, ask what the hub has, and send the rest. No threads, no retries."""

from collections import Counter
from types import TracebackType
from typing import Self

from stepmark.publish.access import Access
from stepmark.publish.client import Away, Hub, Refused
from stepmark.publish.identity import Ended, Identity
from stepmark.publish.spool import Spool
from stepmark.results.wire import Progress, Registration, State, new_token, token_sha256


class Delivery:
    """The delivery of one execution by one process.

    `refused` holds the records that the hub will not take, by name, with its reasons.

    Raises (from every call that sends): Away, after which `connect` must be called again; Refused.
    """

    def __init__(self, access: Access, identity: Identity, spool: Spool) -> None:
        self._access, self._identity, self._spool = access, identity, spool
        self._token = access.token if access.attempt is not None else new_token()
        self._hub = Hub(access.url, self._token)
        self._registered = access.attempt is not None
        self._sequence = -1
        self._breaks: Counter[str] = Counter()
        self._there: set[str] = set()
        self._certificates_there: set[str] = set()
        self.refused: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.close()

    def connect(self) -> None:
        """Register the attempt where needed, claim the execution, and ask what the hub has."""
        who = self._identity
        if not self._registered:
            self._register()
        self._hub.claim(who.run_id, who.attempt, who.execution_id, self._spool.run().model_dump_json())
        received = self._hub.received(who.execution_id)
        self._there, self._certificates_there = set(received.launches), set(received.certificates)
        self._sequence = max(self._sequence, received.sequence)

    def _register(self) -> None:
        """Register the attempt once in this process.

        After an outage, registering again could take the attempt back from an execution that has superseded this one.
        """
        who = self._identity
        registration = Registration(
            name=self._spool.run().parsed_scenario.name,
            token_sha256=token_sha256(self._token),
        )
        with Hub(self._access.url, self._access.token) as hub:
            hub.register(who.run_id, who.attempt, registration)
        self._registered = True

    @property
    def there(self) -> int:
        """The number of launches that the hub has."""
        return len(self._there)

    def counts(self) -> tuple[int, int]:
        """Return how many of the launches stored here the hub has, and how many are stored here."""
        stored = self._spool.launch_ids()
        return len(stored & self._there), len(stored)

    def missing_launches(self) -> list[str]:
        """Return the launches to send, in order.

        Those on which the connection broke before come last, so that they do not hold up the others.
        """
        left = self._spool.launch_ids() - self._there - self.refused.keys()
        return sorted(left, key=lambda launch_id: (self._breaks[launch_id], launch_id))

    def send_launch(self, launch_id: str) -> None:
        """Send one launch; if the hub refuses this record alone, note that in `refused`."""
        body = self._spool.upload_json(launch_id)
        try:
            self._hub.put_launch(self._identity.execution_id, launch_id, body)
            self._there.add(launch_id)
        except Away:
            self._breaks[launch_id] += 1
            raise
        except Refused as refused:
            self._set_aside(launch_id, refused)

    def send_certificates(self) -> None:
        """Send the certificates that the hub does not have."""
        left = self._spool.certified() - self._certificates_there
        found = self._spool.certificates() if left else {}
        for cell in sorted(left):
            if f"parity {cell}" in self.refused:
                continue
            try:
                self._hub.put_certificate(self._identity.execution_id, cell, found[cell].model_dump_json())
                self._certificates_there.add(cell)
            except Refused as refused:
                self._set_aside(f"parity {cell}", refused)

    def _set_aside(self, name: str, refused: Refused) -> None:
        if not refused.only_this_record:
            raise refused
        self.refused[name] = str(refused)

    def send_progress(self, progress: Progress | None) -> None:
        """Send a heartbeat."""
        self._send_state(State(sequence=self._next_sequence(), outcome="running", progress=progress))

    def send_end(self, ended: Ended, progress: Progress | None) -> None:
        """Send how the run has ended, with the number of launches that are stored here."""
        _, stored = self.counts()
        state = State(sequence=self._next_sequence(), progress=progress, launches=stored, **ended.model_dump())
        self._send_state(state)

    def _send_state(self, state: State) -> None:
        """Send a state.

        Raises:
            Away: The hub has a later state; `connect` asks for its number.
        """
        if not self._hub.put_state(self._identity.execution_id, state):
            raise Away("the hub has a later state of this run than the one that was sent")

    def _next_sequence(self) -> int:
        """Return the number after the hub's last one; it depends on no clock and no file."""
        self._sequence += 1
        return self._sequence
