"""Run scripts in forks of a process that has imported an engine's framework, since each import takes seconds of a core.

Each process of pytest has one such server for each engine that its tests ask for. A server runs nothing but the import,
so a script finds what an interpreter of its own would have after `import_framework()`.

python forked.py ENGINE SOCKET    serves at the listening socket with this file descriptor until standard input closes
"""

import gc
import json
import os
import runpy
import select
import socket
import socketserver
import subprocess
import sys
import traceback
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from stepmark import catalog
from stepmark.launch import process

LOCK = Lock()
SERVERS: list[subprocess.Popen[bytes]] = []


@cache
def address(engine: str) -> str:
    """Start the server of an engine, and return where it listens. Requests wait until it has imported the framework."""
    from conftest import COMPILE_QUICKLY  # A server has no need of pytest.

    chosen = f"\0forked-{os.getpid()}-{engine}"
    variables = os.environ | COMPILE_QUICKLY | {"OMP_NUM_THREADS": "1"}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(chosen)
        listening.listen()
        number = listening.fileno()
        command = [sys.executable, __file__, engine, str(number)]
        # The server ends where this pipe closes, which it does in the end of this process, however that comes.
        SERVERS.append(subprocess.Popen(command, env=variables, pass_fds=[number], stdin=subprocess.PIPE))
    return chosen


def run(engine: str, script: Path | str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script, a file or its text, and wait for its end. Several threads may run scripts at the same time."""
    with LOCK:
        chosen = address(engine)
    with TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as connection:
        folder = Path(name)
        if isinstance(script, str):
            (folder / "script.py").write_text(script)
            script = folder / "script.py"
        command = [str(script), *arguments]
        asked = {"command": command, "environment": environment, "folder": name}
        connection.connect(chosen)
        connection.sendall(json.dumps(asked).encode() + b"\n")
        answer = connection.makefile().readline()
        assert answer, f"the server of {engine} ended"
        out, err = ((folder / kind).read_text() for kind in ("out", "err"))
    return subprocess.CompletedProcess(command, int(answer), out, err)


class Handler(socketserver.StreamRequestHandler):
    """Answer a request with the exit code of its script, in a process that was forked for it."""

    def handle(self) -> None:
        process.die_with_parent(os.getppid())
        asked = json.loads(self.rfile.readline())
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            process.die_with_parent(own)
            run_here(asked)
        self.wfile.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


def run_here(asked: dict[str, Any]) -> None:
    """Become the script, and end this process as an interpreter would, but without freeing anything."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(asked["folder"], name), os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(asked["environment"])
    sys.argv = asked["command"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    code = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    def service_actions(self) -> None:
        """End with the process of the tests: this is called twice a second."""
        super().service_actions()
        if select.select([sys.stdin], [], [], 0)[0]:
            os._exit(0)


def main(engine: str, number: str) -> None:
    module: Any = catalog.load_engine(engine)
    os.environ.update(module.SUPPORT.environment | module.SUPPORT.device_environment.get("cpu", {}))
    module.import_framework()
    gc.collect()
    gc.freeze()  # As in stepmark's zygotes: the forks' collectors leave these objects alone, so pages stay shared.
    server = Server("", Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(number))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
