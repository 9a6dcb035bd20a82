"""Consumers that follow a run while it lasts, where asked for: the live endpoint and the publisher to a hub."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from stepmark.cli.options import HubChoices
from stepmark.cli.publishing import Publisher, publishing, say
from stepmark.errors import printable
from stepmark.plan.blocks import Launch
from stepmark.results.record import LaunchRecord
from stepmark.results.store import SqliteStore
from stepmark.telemetry.progress import Board


@dataclass(frozen=True)
class Follower:
    """The driver's watcher: it updates the board and tells the publisher what there is to send."""

    board: Board
    publisher: Publisher | None

    def planned(self, launches: int) -> None:
        """Note how many launches are planned."""
        self.board.planned(launches)

    def added(self, launches: int) -> None:
        """Note that more launches are added to the plan."""
        self.board.added(launches)

    def told(self, launch: Launch, steps: int, seconds: float) -> None:
        """Note the steps that a launch reports and how long they took."""
        self.board.told(launch.cell, steps, seconds)

    def finished(self, record: LaunchRecord) -> None:
        """Note that a timed launch has ended, and have its record sent."""
        self.board.finished(record)
        if self.publisher is not None:
            self.publisher.stored()

    def go_on(self) -> None:
        """Raise Interrupted if the publisher says that the run must not go on."""
        if self.publisher is not None:
            self.publisher.go_on()

    def measured(self, failed: bool) -> None:
        """Note the end of the plan. `failed` is whether something was not measured as planned."""
        if self.publisher is not None:
            self.publisher.measured(failed)


@contextmanager
def following(
    store: SqliteStore, scenario: str, folder: Path, hub: HubChoices, live_listen: str | None
) -> Iterator[Follower | None]:
    """Provide the run's follower, or None if nothing follows the run.

    Raises:
        CannotRun: the live endpoint or the publisher cannot be set up. A hub that does not answer is no such case.
        Interrupted: at the end, if another execution has superseded this one.
    """
    if hub.url is None and live_listen is None:
        yield None
        return
    board = Board(scenario, len(store.launch_ids()))
    with ExitStack() as stack:
        if live_listen is not None:
            stack.enter_context(_live(live_listen, board))
        publisher = stack.enter_context(publishing(hub, folder, board)) if hub.url is not None else None
        yield Follower(board, publisher)


@contextmanager
def _live(listen: str, board: Board) -> Iterator[None]:
    from stepmark.telemetry.live import serving

    with serving(*_host_and_port(listen), board.now) as address:
        say(f"live: {address}")
        yield


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and int(port[:6]) <= 65_535):
        raise typer.BadParameter(
            f"expected HOST:PORT, such as 127.0.0.1:9464, found {printable(listen[:100])!r}. Correct it.",
            param_hint="--live-listen",
        )
    return host, int(port)
