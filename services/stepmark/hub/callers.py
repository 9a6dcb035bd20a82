"""Find out whose token a call carries: one of the hub's own, or one that Kubernetes confirms.

The guard and the login use it.
"""

import time

import sqlalchemy as sa

from stepmark.hub import rights
from stepmark.hub.rights import Principal
from stepmark.hub.settings import Settings
from stepmark.hub.token_review import reviewer_of


class Callers:
    """Identify callers. Mounted token files are read once, and the answers of Kubernetes are cached here."""

    def __init__(self, settings: Settings) -> None:
        """Read the mounted token files.

        Raises:
            CannotRun: A token file or the cluster for token reviews is missing.
        """
        self._mounted = rights.mounted(settings)
        self._reviewer = reviewer_of(settings)

    def principal(self, connection: sa.Connection, token: str | None) -> Principal | None:
        """Return whose bearer token it is, or None if it is nobody's.

        Raises:
            Refused: Kubernetes does not answer.
        """
        if not token:
            return None
        if rights.is_ours(token):
            return rights.principal_of(connection, token, time.time(), self._mounted)
        user = self._reviewer.user_of(token) if self._reviewer is not None else None
        return None if user is None else rights.granted(user.grant, f"user:{user.name}")
