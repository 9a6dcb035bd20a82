"""Browsers that have logged in: a random word of their own in place of their token, for reading, for half a day."""

import secrets
import time

import sqlalchemy as sa

from stepmark.hub.database import Database
from stepmark.hub.rights import Principal, namespaces_in
from stepmark.hub.tables import sessions
from stepmark.results.wire import token_sha256

LASTS_SECONDS = 12 * 3600


def begin(database: Database, who: Principal) -> str:
    """The word for the cookie: the database has its hash alone. Sessions that are over are forgotten."""
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
    """Who looks; None if the session is over, or there never was one."""
    if not word:
        return None
    row = connection.execute(sessions.select().where(sessions.c.token_sha256 == token_sha256(word))).one_or_none()
    if row is None or time.time() >= row.expires_at:
        return None
    return Principal(frozenset({"read"}), row.who, namespaces_in(row.namespaces))


def end(database: Database, word: str | None) -> str | None:
    """Whose it was; None if it was nobody's."""
    if not word:
        return None
    own = sessions.c.token_sha256 == token_sha256(word)
    with database.write() as connection:
        who = connection.execute(sa.select(sessions.c.who).where(own)).scalar()
        connection.execute(sessions.delete().where(own))
    return who
