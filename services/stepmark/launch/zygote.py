"""Run a zygote: a process that has imported one engine's framework and done nothing else. Launches are forked from it.

It is started as `python -m stepmark.launch.zygote ENGINE SOCKET`. It prints `ready` on standard output after the
import, and lives until its standard input closes, so that it cannot outlive its supervisor. If the import has started
CUDA or a thread, it prints `poisoned` instead and ends: no child could use a GPU, or trust a lock. Each connection to
the socket is one child: the client sends a LaunchSpec as a line of JSON, and receives the child's exit code as a line
when the child has ended. If a client closes its connection or dies, its child is killed.

After a fork, children share only the pages of the import. Forks of one zygote are still not independent of each other
(docs/measuring.md), which is why every block has fresh zygotes.
"""

import gc
import json
import os
import selectors
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns

from stepmark import catalog
from stepmark.devices.visible import cuda_is_up
from stepmark.launch import child, process
from stepmark.launch.spec import LaunchSpec

READY, POISONED = "ready", "poisoned"
_SPEC_BYTES_MOST = 1 << 20


class Zygote:
    """Accept connections, fork children and wait for them.

    There is only one thread, so that a fork copies no lock that another thread holds.
    """

    def __init__(self, path: Path, import_seconds: float) -> None:
        self._import_seconds = import_seconds
        self._selector = selectors.DefaultSelector()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        self._children: dict[socket.socket, int] = {}

    def serve(self) -> None:
        """Serve connections until standard input closes."""
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "stdin")
        self._selector.register(self._server, selectors.EVENT_READ, "server")
        while True:
            for key, _ in self._selector.select():
                if key.data == "stdin":
                    if not os.read(sys.stdin.fileno(), 1):
                        return self._kill_all()
                elif key.data == "server":
                    self._accept()
                else:
                    self._event(key)

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        line = connection.makefile("rb").readline(_SPEC_BYTES_MOST)
        if line.endswith(b"\n"):
            spec = LaunchSpec.model_validate_json(line)
            self._fork(connection, spec.model_copy(update={"zygote_import_seconds": self._import_seconds}))
        else:
            connection.close()

    def _fork(self, connection: socket.socket, spec: LaunchSpec) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            process.die_with_parent(parent)
            self._forget_everything(connection)
            child.run(spec)
        with suppress(OSError):  # Parent and child both do this, or a kill could come before the child has a group.
            os.setpgid(pid, 0)
        self._children[connection] = pid
        self._selector.register(connection, selectors.EVENT_READ, "client")
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, connection)

    def _forget_everything(self, connection: socket.socket) -> None:
        """Close, in the child, what belongs to the zygote. Otherwise a client's connection would never close."""
        self._selector.close()
        self._server.close()
        connection.close()
        for other in self._children:
            other.close()

    def _event(self, key: selectors.SelectorKey) -> None:
        if key.data == "client":
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if connection not in self._children:
                return  # The end of its child was an earlier event of the same call of `select`.
            if not connection.recv(1):
                self._selector.unregister(connection)
                process.kill_group(self._children[connection])
            return
        connection, descriptor = key.data, key.fd
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._report_exit(connection)

    def _report_exit(self, connection: socket.socket) -> None:
        pid = self._children.pop(connection)
        _, status = os.waitpid(pid, 0)
        process.kill_group(pid)  # The child may have left processes that it started.
        with suppress(OSError):  # The client may have closed the connection to end the child.
            connection.sendall(json.dumps({"exit_code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
        if connection.fileno() in {key.fd for key in self._selector.get_map().values()}:
            self._selector.unregister(connection)
        connection.close()

    def _kill_all(self) -> None:
        for pid in self._children.values():
            process.kill_group(pid)


def main() -> None:
    """Import the framework of the engine in the first argument, and serve at the socket in the second."""
    process.die_with_parent(os.getppid())
    engine, path = sys.argv[1], Path(sys.argv[2])
    started = perf_counter_ns()
    catalog.load_engine(engine).import_framework()
    import_seconds = (perf_counter_ns() - started) / 1e9
    if cuda_is_up() or threading.active_count() > 1:  # A fork would copy locks that another thread holds.
        print(POISONED, flush=True)
        return
    gc.collect()
    gc.freeze()  # The children's collectors leave these objects alone, so their pages stay shared.
    zygote = Zygote(path, import_seconds)
    print(READY, flush=True)
    zygote.serve()


if __name__ == "__main__":
    main()
