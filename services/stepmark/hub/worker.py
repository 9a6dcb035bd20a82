"""A child process that derives figures under a memory limit: records are untrusted, and the hub must survive them.

The child is kept, since starting it takes a second, and replaced when it dies. It is spawned, not forked, since the hub
has threads. If the hub is killed, the child finishes its current derivation and then ends.
"""

import contextlib
import multiprocessing
import resource
import signal
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from stepmark.hub.logs import configure
from stepmark.hub.settings import Settings
from stepmark.terms import LogFormat, LogLevel

_START_SECONDS = 60.0
_DATABASE_PATIENCE_SECONDS = 60.0
_READY = ""
_LOADED_ON_USE = ("scipy.ndimage", "scipy.optimize", "scipy.special")
"""What the analysis loads when it first uses it. The child loads it before its memory is limited."""


class Died(Exception):
    """The child has ended, or was ended, before it answered."""


class Worker:
    """Derive figures in one child process at a time. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._bytes_most = settings.database, settings.derive_bytes_most
        self._seconds_most = settings.derive_seconds_most
        self._log: tuple[LogFormat, LogLevel] = (settings.log_format, settings.log_level)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def derive(self, execution_id: str) -> tuple[str, str]:
        """Run `derive.derive` in the child.

        Raises:
            Died: The child ended with this derivation, or was ended because it took too long.
            sqlalchemy.exc.SQLAlchemyError, OSError: The database is away.
        """
        pipe = self._pipe if self._is_there() else self._start()
        assert pipe is not None
        answer = self._ask(pipe, execution_id)
        if isinstance(answer, Exception):
            raise answer
        outcome, problem = answer
        return outcome, problem

    def words_of_death(self) -> str:
        """Return the problem to store for an execution whose derivation has ended the child, or the hub with it."""
        limits = f"--derive-bytes-most {self._bytes_most}, --derive-seconds-most {self._seconds_most:g}"
        return f"no figures: deriving them ended the hub's worker twice ({limits})"

    def stop(self) -> None:
        """End the child."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(timeout=5)
        self._pipe = self._process = None

    def _is_there(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def _start(self) -> Connection:
        self.stop()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        given = (theirs, self._url, self._bytes_most, self._log)
        self._process = context.Process(target=_serve, args=given, name="derive")
        self._process.start()
        theirs.close()
        self._pipe = ours
        self._answer(ours, _START_SECONDS)
        return ours

    def _ask(self, pipe: Connection, execution_id: str) -> tuple[str, str] | Exception:
        try:
            pipe.send(execution_id)
        except OSError:
            raise self._dead() from None
        return self._answer(pipe, self._seconds_most)

    def _answer(self, pipe: Connection, seconds: float) -> tuple[str, str] | Exception:
        try:
            if pipe.poll(seconds):
                return pipe.recv()
        except (EOFError, OSError):
            raise self._dead() from None
        self.stop()
        raise Died(f"the worker took longer than {seconds:g} s, and was ended")

    def _dead(self) -> Died:
        assert self._process is not None
        self._process.join(timeout=5)
        code = self._process.exitcode
        self.stop()
        return Died(f"the worker ended with {signal.Signals(-code).name if code and code < 0 else code}")


def _serve(pipe: Connection, url: str, bytes_most: int, log: tuple[LogFormat, LogLevel]) -> None:
    """Derive in the child until the hub closes its end of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the hub ends this one
    from stepmark.hub.database import Database
    from stepmark.hub.derive import derive

    configure(*log)
    for part in _LOADED_ON_USE:
        import_module(part)
    _limit_memory(bytes_most)
    database = Database(url, _DATABASE_PATIENCE_SECONDS)
    with contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send((_READY, _READY))
        while True:
            execution_id = pipe.recv()
            try:
                pipe.send(derive(database, execution_id))
            except Exception as error:
                pipe.send(OSError(f"{type(error).__name__}: {error}".splitlines()[0][:300]))


def _limit_memory(bytes_most: int) -> None:
    """Limit the memory that is taken besides the program's own.

    If the whole machine runs short nevertheless, the kernel ends this process first.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + bytes_most
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
