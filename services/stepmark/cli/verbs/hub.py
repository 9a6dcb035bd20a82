"""The verbs of `stepmark hub`, with parsed arguments."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
import typer

from stepmark.errors import CannotRun, printable
from stepmark.hub import backup as files
from stepmark.hub import migrate as schema
from stepmark.hub import prune as old
from stepmark.hub import tokens
from stepmark.hub.database import PATIENCE_SECONDS, Database
from stepmark.hub.settings import Grant, Right, Settings

_UNITS = {"d": 1, "w": 7}


def serve(settings: Settings) -> None:
    """Run the hub. The database is migrated first if it is SQLite or if the settings say so."""
    from stepmark.hub.serve import serve as serve_hub

    with _database(settings.database) as database:
        if settings.migrate or database.is_sqlite:
            schema.migrate(database)
    with _database(settings.database, PATIENCE_SECONDS) as database:
        schema.require_newest(database)
        serve_hub(settings, database)


def migrate(url: str) -> None:
    """Migrate the database to the newest schema."""
    with _database(url) as database:
        schema.migrate(database)
        typer.echo(f"{schema.named(database)}: schema {schema.newest()}")


def backup(file: Path, url: str) -> None:
    """Write a backup of the database to a file."""
    with _current(url) as database:
        typer.echo(f"{file}: {files.backup(database, file)} runs")


def restore(file: Path, url: str) -> None:
    """Migrate the database and copy a backup into it."""
    with _database(url) as database:
        schema.migrate(database)
        typer.echo(f"{schema.named(database)}: {files.restore(file, database)} runs")


def prune(older_than: str, namespace: str | None, url: str) -> None:
    """Delete the runs that are older than this age, in one namespace or, if it is None, in all."""
    days = _days(older_than)
    with _current(url) as database:
        forgotten, left = old.prune(database, time.time() - days * 86_400, namespace)
        typer.echo(f"{schema.named(database)}: {forgotten} runs forgotten, {left} left")


def _days(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in _UNITS or not 0 < int(number) < 100_000:
        raise CannotRun(f"--older-than: expected days or weeks such as 90d or 12w, found {printable(text)[:40]}.")
    return int(number) * _UNITS[unit]


def token_create(name: str, right: Right, expires_in_days: int, namespaces: list[str], url: str) -> None:
    """Create a token and print it."""
    with _database(url) as database:
        if database.is_sqlite:
            schema.migrate(database)  # The first token is created before the hub is first started.
        else:
            schema.require_newest(database)
        ends = time.time() + expires_in_days * 86_400
        bound = Grant.model_validate({"right": right, "namespaces": namespaces or None}).namespaces
        typer.echo(tokens.create(database, name, right, ends, bound))


def token_list(url: str) -> None:
    """Print the name, right, expiry and namespaces of every token."""
    with _current(url) as database:
        for row in tokens.stored(database):
            ends = datetime.fromtimestamp(row.expires_at, UTC)
            past = " (expired)" if row.expires_at <= time.time() else ""
            where = f"\tin {row.namespaces}" if row.namespaces else ""
            typer.echo(f"{row.name}\t{row.right}\tuntil {ends:%Y-%m-%d %H:%M} UTC{past}{where}")


def token_revoke(name: str, url: str) -> None:
    """Revoke the token of this name."""
    with _current(url) as database:
        tokens.revoke(database, name)
        typer.echo(f"{name}: revoked")


@contextmanager
def _current(url: str) -> Iterator[Database]:
    with _database(url) as database:
        schema.require_newest(database)
        yield database


@contextmanager
def _database(url: str, patience_seconds: float | None = None) -> Iterator[Database]:
    try:
        database = Database(url, patience_seconds)
    except (sa.exc.ArgumentError, ImportError):
        raise CannotRun(
            "--database: expected sqlite:///FILE or postgresql+pg8000://USER@HOST/NAME, found another address."
        ) from None
    try:
        yield database
    except sa.exc.SQLAlchemyError as error:
        raise CannotRun(schema.unusable(database, error)) from None
    finally:
        database.close()
