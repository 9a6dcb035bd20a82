"""A client that sends the head of its request byte by byte is cut off, also on a connection that is kept open."""

import asyncio

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stepmark.hub import connections


async def _trickle(first_request: bytes) -> bytes:
    """Return what the server sends after the first request while the head of the next one never ends."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])
    config = uvicorn.Config(app, port=0, http=connections.bounded(10), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first_request)
    if first_request:
        await reader.readuntil(b"hello")
    heard, head, sent = asyncio.create_task(reader.read()), b"GET /" + b"x" * 100_000, 0
    while not heard.done():
        writer.write(head[sent : sent + 1])
        sent += 1
        await asyncio.sleep(0.02)
    writer.close()
    server.should_exit = True
    await serving
    return b"" if isinstance(heard.exception(), ConnectionError) else heard.result()


@pytest.mark.parametrize("first_request", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "kept"])
def test_a_request_head_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, first_request: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    assert asyncio.run(asyncio.wait_for(_trickle(first_request), 120)) == b""
