"""Downloads of a run: its summary, its raw records as `stepmark run` writes them, and its steps as a Parquet table.

Files are made in a temporary folder, opened, and unlinked before the first byte is sent, so that nothing is left
behind, whatever the client does.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from stepmark.hub import parquet, reads
from stepmark.hub.refusals import Refused, not_found
from stepmark.hub.rows import checked
from stepmark.hub.stored import certificates_of, launches_of, rows_of
from stepmark.hub.tables import executions, runs
from stepmark.results import store
from stepmark.results.store import Run, SqliteStore
from stepmark.results.wire import Id

router = APIRouter(prefix="/api/v1/runs/{run_id}")

_CHUNK_BYTES = 1 << 20
_MADE_AT_ONE_TIME = threading.BoundedSemaphore(2)
_WAIT_SECONDS = 30.0

RunId = Annotated[Id, InPath(description="The run: one scenario object.")]


@router.get("/summary", response_class=Response)
def summary(request: Request, run_id: RunId) -> Response:
    """Return every figure, as `summary.json` has them, with an ETag. Right: read."""
    with request.app.state.database.read() as connection:
        found = reads.summary(connection, run_id)
    if found is None or found.document is None:
        raise not_found(f"figures of run {run_id}{f': {found.problem}' if found else ''}")
    headers = {"ETag": found.etag, **_attached(f"{run_id}-summary.json")}
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if found.etag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": found.etag})
    return Response(found.document, media_type="application/json", headers=headers)


@router.get("/results.db", response_class=Response)
def results(request: Request, run_id: RunId) -> Response:
    """Return the raw records of the execution that counts. Right: read.

    `stepmark report` reads the file if it is put in a folder of its own.
    """
    return _made(request, run_id, store.FILE, store.FILE, "application/vnd.sqlite3", write_store)


@router.get("/steps.parquet", response_class=Response)
def steps(request: Request, run_id: RunId) -> Response:
    """Return every step of every rank as one row. Right: read."""
    name = f"{run_id}-{parquet.FILE}"
    return _made(request, run_id, parquet.FILE, name, "application/vnd.apache.parquet", _write_parquet)


_Writer = Callable[[sa.Connection, sa.Row[Any], Path], None]


def _made(request: Request, run_id: str, file: str, name: str, media_type: str, write: _Writer) -> Response:
    """Let `write` make the file, and stream it."""
    with request.app.state.database.read() as connection:
        query = executions.select().join(runs, runs.c.execution_id == executions.c.execution_id)
        execution = connection.execute(query.where(runs.c.run_id == run_id)).one_or_none()
        if execution is None:
            raise not_found(f"records of run {run_id}")
        checked(executions, execution, f"run {run_id}")
        with _one_of_few(), tempfile.TemporaryDirectory(prefix="stepmark-download-") as folder:
            write(connection, execution, Path(folder))
            made = (Path(folder) / file).open("rb")
    size = os.fstat(made.fileno()).st_size
    headers = {"Content-Length": str(size), **_attached(name)}
    return _FileResponse(made, media_type, headers)


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Limit how many downloads are made at a time, so that they fill neither memory nor disk.

    Raises:
        Refused: Too many are being made.
    """
    if not _MADE_AT_ONE_TIME.acquire(timeout=_WAIT_SECONDS):
        raise Refused(503, "busy", "too many downloads are being made at once. Try again later.")
    try:
        yield
    finally:
        _MADE_AT_ONE_TIME.release()


class _FileResponse(StreamingResponse):
    """Stream an open file and close it however the sending ends, so that a client that goes away frees the disk."""

    def __init__(self, file: BinaryIO, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(iter(lambda: file.read(_CHUNK_BYTES), b""), media_type=media_type, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _attached(name: str) -> dict[str, str]:
    """Return the header for a download.

    The name needs no quoting: it is made of ids with letters, digits and hyphens only.
    """
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def write_store(connection: sa.Connection, execution: sa.Row[Any], folder: Path) -> None:
    """Write `results.db` with the records of one execution.

    Raises:
        Damaged: One of its rows is damaged.
    """
    names = ("launch_id", "block", "position", "header", "step_nanoseconds_npz")
    rows = (tuple(row._mapping[name] for name in names) for row in launches_of(connection, execution))
    proofs = [(cell, one.model_dump_json()) for cell, one in certificates_of(connection, execution).items()]
    run = Run.model_validate_json(execution.document)
    with closing(SqliteStore.create(folder, run, durable=False)) as made:
        for few in _portions(rows):
            made.insert_launches(few)
        made.insert_certificates(proofs)


def _portions(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield lists of rows with about a megabyte of steps together."""
    portion: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        portion.append(row)
        size += len(row[-1])
        if size > _CHUNK_BYTES:
            yield portion
            portion, size = [], 0
    yield portion


def _write_parquet(connection: sa.Connection, execution: sa.Row[Any], folder: Path) -> None:
    parquet.write(rows_of(connection, execution), folder)
