"""A PostgreSQL server of the tests' own. The plugin `running_hub` brings its fixture along."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa


class Postgres:
    """A server on a free port, in its own folder. Root runs it as the user `postgres`, since it refuses to be root."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="stepmark-postgres-"))
        self._user = [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        if self._user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", str(self.folder), "-U", "stepmark", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._databases = 0

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop the server at once, as a failing machine does."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-m", "immediate", "stop")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes for the block: connections are accepted, and nothing is answered."""
        head = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        everyone = [head, *head.children(recursive=True)]
        try:
            for one in everyone:
                one.suspend()
            yield
        finally:
            for one in everyone:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    def new_database(self) -> str:
        self._databases += 1
        name = f"hub{self._databases}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql+pg8000://stepmark@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Yield a server that nobody stops."""
    yield from running()


def running() -> Iterator[Postgres]:
    """Yield a server that has started, and end it afterwards; skip the test where there is no PostgreSQL."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (Debian: postgresql)")
    if os.geteuid() == 0 and not _has_user("postgres"):
        pytest.skip("needs the user postgres, since PostgreSQL does not run as root")
    server = Postgres(Path(found).parent)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
