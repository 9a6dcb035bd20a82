"""Run a session without Ray. The supervisors are threads of the driver; the children and their order are the same."""

import os
import threading
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Literal, Self

import psutil

from stepmark.devices.nvml import here
from stepmark.errors import CannotRun, Interrupted
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.folders import run_folder
from stepmark.orchestrate.gpus import nth_gpu
from stepmark.orchestrate.guard import users_of
from stepmark.orchestrate.rank import Place, Settings, node_name, supervise
from stepmark.orchestrate.switchboard import Arrival, Switchboard, T, Telling
from stepmark.plan.blocks import Launch

_END_SECONDS = 30.0
_JOIN_SECONDS = 0.2


class _ThreadChannel:
    """Connect a supervisor's thread to the switchboard, and give it a barrier of threads."""

    def __init__(self, switchboard: Switchboard, barrier: threading.Barrier) -> None:
        self._switchboard, self._barrier = switchboard, barrier

    def next_block(self, index: int) -> tuple[Launch, ...] | None:
        return self._switchboard.next_block(index)

    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]:
        return self._switchboard.exchange(what, rank, count, own)

    def submit(self, launch_id: str, outcome: RankOutcome) -> None:
        self._switchboard.submit(launch_id, outcome)

    def has_failed(self, launch_id: str) -> bool:
        return self._switchboard.has_failed(launch_id)

    def tell(self, launch_id: str, steps: int, seconds: float) -> None:
        self._switchboard.tell(launch_id, steps, seconds)

    def barrier(self) -> None:
        self._barrier.wait()


class BareSession:
    """Run `workers` supervisors on this machine, as threads.

    They are daemons, so that the driver can end at any time: then its guard kills their children.
    """

    launcher: Literal["ray", "bare"] = "bare"

    def __init__(self, workers: int, settings: Settings) -> None:
        self._folder = str(run_folder(settings.run_id))
        self._switchboard = Switchboard()
        self._barrier = threading.Barrier(workers)
        self._problem: str | None = None
        self._threads = [
            threading.Thread(target=self._supervise, args=(rank, workers, settings), daemon=True)
            for rank in range(workers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._end_early()

    def _end_early(self) -> None:
        """End the supervisors and all that they have started, since the driver's process may live on, as a notebook's.

        A supervisor may start a process while others are killed, so this is repeated until all threads have ended.
        """
        self._barrier.abort()
        self._switchboard.close()
        deadline = monotonic() + _END_SECONDS
        while any(thread.is_alive() for thread in self._threads) and monotonic() < deadline:
            for process in users_of([self._folder], {os.getpid()}):
                with suppress(psutil.Error):  # The process has just ended by itself.
                    process.kill()
            for thread in self._threads:
                thread.join(_JOIN_SECONDS)

    def _supervise(self, rank: int, workers: int, settings: Settings) -> None:
        try:
            channel = _ThreadChannel(self._switchboard, self._barrier)
            gpu = nth_gpu(here(), rank, node_name()) if settings.device == "gpu" else None
            supervise(Place(rank, workers, rank, workers, "127.0.0.1", gpu), settings, channel)
        except BaseException as error:
            said = str(error) if isinstance(error, CannotRun) else f"{type(error).__name__}: {error}"
            self._problem = self._problem or f"supervisor of rank {rank}: {said}"
            self._barrier.abort()

    def offer(self, block: tuple[Launch, ...]) -> None:
        """Have this block measured next."""
        self._switchboard.offer(block)

    def take(self, timeout_seconds: float) -> list[Arrival | Telling]:
        """Return the outcomes and progress reports since the last call, waiting for some up to the time-out.

        Raises:
            Interrupted: a supervisor has failed, and nothing more will come.
        """
        arrivals = self._switchboard.take(timeout_seconds)
        if not arrivals and self._problem is not None:
            raise Interrupted(self._problem)
        return arrivals

    def finish(self) -> None:
        """Offer no more blocks, and wait until the supervisors have ended."""
        self._switchboard.offer(None)
        for thread in self._threads:
            thread.join()
