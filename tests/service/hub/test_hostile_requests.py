"""The hub refuses requests that are too large, too slow, too deep or malformed, stays small and goes on serving."""

import base64
import contextlib
import io
import json
import queue
import socket
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running_hub import Hub, Results, Runner, wait_for
from stepmark.hub.connections import HEAD_BYTES_MOST
from stepmark.results.record import pack_steps

pytest_plugins = ["running_hub"]
MIB = 1 << 20
PATIENCE_SECONDS = 120
"""How long a client waits for the hub. It is long, since the machine may be busy: nothing here depends on speed."""


@contextmanager
def grows_by_at_most(hub: Hub, bytes_most: int) -> Iterator[None]:
    """Assert that the peak of the server's memory in the block exceeds what it has now by at most `bytes_most`."""
    process = Path(f"/proc/{hub.process.pid}")

    def status(name: str) -> int:
        return int((process / "status").read_text().split(f"{name}:")[1].split()[0]) * 1024

    (process / "clear_refs").write_text("5")
    before = status("VmRSS")
    yield
    assert status("VmHWM") - before <= bytes_most, f"grew by {(status('VmHWM') - before) / MIB:.0f} MiB"


@pytest.fixture
def runner(hub: Hub, results: Results) -> Runner:
    made = hub.runner(results)
    assert made.claim().status_code == 201
    return made


def launch_path(runner: Runner) -> str:
    return f"{runner.execution}/launches/{runner.results.rows[0][0]}"


def connect(hub: Hub) -> socket.socket:
    host, port = hub.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)


def head(path: str, token: str, *lines: str) -> bytes:
    return "\r\n".join([f"PUT {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *lines, "", ""]).encode()


@pytest.mark.parametrize(("token", "expected"), [("none", b"401"), ("", b"413")])
def test_a_body_of_64_megabytes_is_refused_before_any_of_it_is_read(
    runner: Runner, token: str, expected: bytes
) -> None:
    with connect(runner.hub) as to_hub:
        to_hub.sendall(head(launch_path(runner), token or runner.token, f"Content-Length: {64 * MIB}"))
        assert to_hub.recv(4096).split()[1] == expected


@pytest.mark.parametrize(("token", "expected"), [("none", 401), ("", 413)])
def test_a_client_that_sends_64_megabytes_receives_the_refusal(runner: Runner, token: str, expected: int) -> None:
    with grows_by_at_most(runner.hub, 16 * MIB), runner.hub.client(token or runner.token) as client:
        answer = client.put(launch_path(runner), content=bytes(64 * MIB))
    assert answer.status_code == expected


def test_a_body_without_an_announced_length_is_cut_off_at_the_limit(runner: Runner) -> None:
    megabytes = (bytes(MIB) for _ in range(64))
    with grows_by_at_most(runner.hub, 100 * MIB), runner.hub.client(runner.token) as client:
        assert client.put(launch_path(runner), content=megabytes).status_code == 413


def test_a_large_body_that_is_not_a_launch_is_refused(runner: Runner) -> None:
    body = {"sequence": 1, "outcome": "running", "message": "x" * 2 * MIB}
    assert runner.put(f"{runner.execution}/state", body).status_code == 413


def test_a_slow_body_is_cut_off_and_other_requests_do_not_wait(
    start_hub: Callable[..., Hub], tmp_path: Path, results: Results
) -> None:
    hub = start_hub(f"sqlite:///{tmp_path / 'hub.db'}", "--body-seconds-most", "5")
    runner = hub.runner(results)
    runner.claim()
    slow = [connect(hub) for _ in range(60)]
    for one in slow:
        one.sendall(head(launch_path(runner), runner.token, "Content-Length: 1000") + b"{")
    ended = threading.Event()
    threading.Thread(target=_trickle, args=(slow, ended), daemon=True).start()
    assert runner.launch(0).status_code == 201
    assert [one.recv(4096).split()[1] for one in slow] == [b"408"] * len(slow)
    ended.set()


def _trickle(connections: list[socket.socket], ended: threading.Event) -> None:
    while not ended.wait(0.2):
        for one in connections:
            try:
                one.sendall(b" ")
            except OSError:
                continue


def test_a_request_with_endless_headers_is_cut_off(hub: Hub) -> None:
    with connect(hub) as to_hub, grows_by_at_most(hub, 16 * MIB):
        to_hub.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        with pytest.raises(OSError, match=r"reset|pipe|closed"):  # noqa: PT012
            for _ in range(64):
                to_hub.sendall(b"x" * HEAD_BYTES_MOST)
            assert to_hub.recv(1) == b"", "the connection is still open"
            raise ConnectionError("closed")


def test_many_large_bodies_together_do_not_fill_the_memory(
    start_hub: Callable[..., Hub], database_url: str, results: Results
) -> None:
    """Six bodies never quite end; the hub answers some of them that they should be sent again later."""
    hub = start_hub(database_url, "--body-seconds-most", "300")
    runner = hub.runner(results)
    runner.claim()
    size = 30 * MIB
    clients = [connect(hub) for _ in range(6)]
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with grows_by_at_most(hub, 400 * MIB):
        for one in clients:
            one.sendall(head(launch_path(runner), runner.token, f"Content-Length: {size}"))
            threading.Thread(target=_send_most, args=(one, size, answers), daemon=True).start()
        assert answers.get(timeout=PATIENCE_SECONDS).split()[1] == b"503"
        for one in clients:
            one.close()
    wait_for(lambda: runner.state(1).status_code in (200, 201))


def _send_most(to_hub: socket.socket, size: int, answers: "queue.SimpleQueue[bytes]") -> None:
    """Send a body without its last megabyte. A refused client gets its answer, then its connection is reset."""
    with contextlib.suppress(OSError):
        for _ in range(size // MIB - 1):
            to_hub.sendall(bytes(MIB))
    with contextlib.suppress(OSError):
        answers.put(to_hub.recv(4096))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"nul", b"\xff\xfe", b'{"header": "\\ud800"}', b"[" * 500_000, b'{"header":' * 500_000],
    ids=("empty", "cut", "list", "word", "bytes", "surrogate", "deep", "deeper"),
)
def test_a_malformed_launch_is_refused(runner: Runner, body: bytes) -> None:
    with runner.hub.client(runner.token) as client, grows_by_at_most(runner.hub, 64 * MIB):
        answer = client.put(launch_path(runner), content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def zipped(name: str, contents: bytes, method: int = zipfile.ZIP_DEFLATED, **second: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr(name, contents)
        for other, its in second.items():
            archive.writestr(f"{other}.npy", its)
    return made.getvalue()


def npy(shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def false_size(blob: bytes) -> bytes:
    """Change the size in the directory of the zip to 1000 bytes."""
    at = blob.rindex(b"PK\x01\x02")
    return blob[: at + 24] + struct.pack("<L", 1000) + blob[at + 28 :]


def many_entries() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for index in range(50_000):
            archive.writestr(f"{index}", b"")
    return made.getvalue()


STEPS, ONE = "step_nanoseconds.npy", npy("(1, 1)", bytes(8))
BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: zipped("step_nanoseconds.npy", npy("(1, 30000000)", bytes(240 * MIB))),
    "lying": lambda: false_size(zipped("step_nanoseconds.npy", npy("(1, 30000000)", bytes(240 * MIB)))),
    "shape": lambda: zipped("step_nanoseconds.npy", npy("(1, 999999999999)")),
    "negative": lambda: zipped("step_nanoseconds.npy", npy("(-1, -1)")),
    "objects": lambda: zipped("step_nanoseconds.npy", npy("(1, 1)").replace(b"'<i8'", b"'|O' ")),
    "code": lambda: zipped("step_nanoseconds.npy", npy("__import__('os')")),
    "lzma": lambda: zipped("step_nanoseconds.npy", npy("(1, 1)", bytes(8)), zipfile.ZIP_LZMA),
    "many": many_entries,
    "second": lambda: zipped(STEPS, ONE, device_step_nanoseconds=npy("(1, 30000000)", bytes(240 * MIB))),
    "second shape": lambda: zipped(STEPS, ONE, device_step_nanoseconds=npy("(1, 999999999999)")),
    "second name": lambda: zipped(STEPS, ONE, other=ONE),
    "another": lambda: zipped("other.npy", npy("(1, 1)", bytes(8))),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_malformed_packed_steps_are_refused_before_they_are_unpacked(runner: Runner, bomb: str) -> None:
    blob = BOMBS[bomb]()
    body = runner.results.rows[0][1] | {"steps_npz": base64.b64encode(blob).decode()}
    with grows_by_at_most(runner.hub, 64 * MIB):
        answer = runner.put(launch_path(runner), body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


def test_steps_that_contradict_their_header_are_refused(runner: Runner) -> None:
    ranks = len(runner.results.rows[0][1]["header"]["ranks"])
    right, rows, longer = (np.ones(shape, dtype=np.int64) for shape in ((ranks, 3), (5, 3), (ranks, 10_000)))
    for blob in (pack_steps(rows), pack_steps(right, rows), pack_steps(right, longer)):
        body = runner.results.rows[0][1] | {"steps_npz": base64.b64encode(blob).decode()}
        assert runner.put(launch_path(runner), body).status_code == 422


@pytest.mark.parametrize("path", ["/api/v1/runs/%00", "/api/v1/runs?search=%00", "/api/v1/runs?cursor=%ff", "/%ff/x"])
def test_malformed_addresses_are_refused_with_a_reason(hub: Hub, path: str) -> None:
    with hub.client() as client:
        answer = client.get(path)
    assert answer.status_code in (400, 404, 422)
    assert answer.json()["code"] in ("invalid", "not-found")


def test_a_hostile_message_is_kept_as_harmless_text(runner: Runner) -> None:
    assert runner.state(1, "failed", reason="unknown", message="\0\x1b[31m<script>").status_code == 201
    view: Any = runner.hub.get(f"/api/v1/runs/{runner.run_id}")
    assert view["attempts"][0]["executions"][0]["message"] == "\\x00\\x1b[31m<script>"


def test_a_refusal_does_not_quote_the_values_that_were_sent(runner: Runner) -> None:
    answer = runner.put(launch_path(runner), {"header": {"secret-9f": "secret-9f"}, "steps_npz": "secret-9f"})
    assert answer.status_code == 422
    assert "secret-9f" not in json.dumps(answer.json()).replace("header.secret-9f", "")


def test_every_answer_has_security_headers_for_browsers(hub: Hub) -> None:
    with hub.client("") as client:
        for path in ("/healthz", "/api/v1/runs"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
