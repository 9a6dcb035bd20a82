"""What is to be sent, read from the local store at the moment of sending: the store is the only copy."""

import base64

import sqlalchemy as sa

from stepmark.results.store import SqliteStore, _launches


class Spool(SqliteStore):
    """A reader of `results.db` beside its writer, launch by launch."""

    def upload_json(self, launch_id: str) -> bytes:
        """`wire.LaunchUpload` of one launch, its stored bytes unchanged."""
        query = sa.select(_launches.c.header, _launches.c.step_nanoseconds_npz)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(_launches.c.launch_id == launch_id)).one()
        steps = base64.b64encode(row.step_nanoseconds_npz)
        return b"".join((b'{"header":', row.header.encode(), b',"steps_npz":"', steps, b'"}'))
