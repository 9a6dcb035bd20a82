"""Make, list and revoke the stored tokens, which outlive a run. Whoever can reach the database may do so."""

import re
import time
from collections.abc import Sequence

import sqlalchemy as sa

from stepmark.errors import CannotRun, printable
from stepmark.hub.database import Database
from stepmark.hub.settings import Right
from stepmark.hub.tables import sessions, tokens
from stepmark.results.wire import new_token, token_sha256

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?")


def create(
    database: Database, name: str, right: Right, expires_at: float, namespaces: frozenset[str] | None = None
) -> str:
    """Make a token and return it; it cannot be read later.

    `namespaces` are those that the token is good for; None means all.

    Raises:
        CannotRun: The name is taken, or malformed.
    """
    if not _NAME.fullmatch(name):
        raise CannotRun(
            f"{printable(name)[:80]}: expected a name of up to 63 of a-z, 0-9, - and ., found another. Correct it."
        )
    token = new_token()
    bound = None if namespaces is None else ",".join(sorted(namespaces))
    row = {"token_sha256": token_sha256(token), "name": name, "right": right, "namespaces": bound}
    with database.write() as connection:
        if connection.execute(tokens.select().where(tokens.c.name == name)).first() is not None:
            raise CannotRun(f"{name}: expected a new name, found a token that has it. Revoke it, or choose another.")
        connection.execute(tokens.insert().values(**row, created_at=time.time(), expires_at=expires_at))
    return token


def stored(database: Database) -> Sequence[sa.Row[str, str, float, str | None]]:
    """Return name, right, expiry and namespaces of all tokens, by name, without anything secret."""
    with database.read() as connection:
        return connection.execute(
            sa.select(tokens.c.name, tokens.c.right, tokens.c.expires_at, tokens.c.namespaces).order_by(tokens.c.name)
        ).all()


def revoke(database: Database, name: str) -> None:
    """Delete a token, with the browser sessions that it opened.

    Raises:
        CannotRun: There is no token of this name.
    """
    with database.write() as connection:
        connection.execute(sessions.delete().where(sessions.c.who == f"token:{name}"))
        if connection.execute(tokens.delete().where(tokens.c.name == name)).rowcount == 0:
            raise CannotRun(
                f"{printable(name)[:80]}: expected a token of this name, found none. "
                "`stepmark hub token list` shows all."
            )
