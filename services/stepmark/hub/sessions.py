"""Sessions of browsers that have logged in: a random word in place of their token, for reading, for half a day."""

import secrets
import time

import sqlalchemy as sa

from stepmark.hub.database import Database
from stepmark.hub.rights import Principal, namespaces_in
from stepmark.hub.tables import sessions
from stepmark.results.wire import token_sha256

LASTS_SECONDS = 12 * 3600


def begin(database: Database, who: Principal) -> str:
    """Begin a session, and delete those that are over. Return the word for the cookie; only its hash is stored."""
    word, now = f"sms_{secrets.token_urlsafe(32)}", time.time()
    bound = None if who.namespaces is None else ",".join(sorted(who.namespaces))
    with database.write() as connection:
        connection.execute(sessions.delete().where(sessions.c.expires_at <= now))
        connection.execute(
            sessions.insert().values(
                token_sha256=token_sha256(word), who=who.name, namespaces=bound,
                created_at=now, expires_at=now + LASTS_SECONDS,
            )
        )  # fmt: skip
    return word


def principal_of(connection: sa.Connection, word: str | None) -> Principal | None:
    """Return the caller of a session; None if it is over, or there never was one."""
    if not word:
        return None
    row = connection.execute(sessions.select().where(sessions.c.token_sha256 == token_sha256(word))).one_or_none()
    if row is None or time.time() >= row.expires_at:
        return None
    return Principal(frozenset({"read"}), row.who, namespaces_in(row.namespaces))


def end(database: Database, word: str | None) -> str | None:
    """End a session. Return the name of its caller, or None if there was no such session."""
    if not word:
        return None
    own = sessions.c.token_sha256 == token_sha256(word)
    with database.write() as connection:
        who = connection.execute(sa.select(sessions.c.who).where(own)).scalar()
        connection.execute(sessions.delete().where(own))
    return who
