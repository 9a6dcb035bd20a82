"""The records to be sent, read from the local store at the moment of sending: the store is the only copy."""

import base64

from stepmark.results.store import SqliteStore


class Spool(SqliteStore):
    """A reader of `results.db` beside its writer, launch by launch."""

    def upload_json(self, launch_id: str) -> bytes:
        """Return `wire.LaunchUpload` of one launch as JSON, with the stored bytes unchanged."""
        header, steps_npz = self.row(launch_id)
        return b"".join((b'{"header":', header.encode(), b',"steps_npz":"', base64.b64encode(steps_npz), b'"}'))
