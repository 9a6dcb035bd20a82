"""What `stepmark hub` does, once its words are understood."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import typer

from stepmark.cli.service_settings import settings_of
from stepmark.errors import CannotRun, printable
from stepmark.hub import backup as files
from stepmark.hub import migrate as schema
from stepmark.hub import rights, tokens
from stepmark.hub.database import Database
from stepmark.hub.settings import Right, Settings

VARIABLES = "STEPMARK_HUB_"


def users(given: list[str]) -> dict[str, Right]:
    """USER=RIGHT, where a user of Kubernetes may hold any character."""
    found: dict[str, Right] = {}
    for one in given:
        user, separator, right = one.rpartition("=")
        if not separator or right not in rights.RIGHTS:
            raise CannotRun(f"--token-review-user: expected USER=read, =register or =admin, found {printable(one)}.")
        found[user] = right
    return found


def serve(given: dict[str, Any], migrate_first: bool) -> None:
    from stepmark.hub.serve import serve as serve_hub

    settings = settings_of(Settings, given, VARIABLES)
    with _database(settings.database_url) as database:
        serve_hub(settings, database, migrate_first)


def migrate(url: str) -> None:
    with _database(url) as database:
        schema.migrate(database)
        typer.echo(f"{schema.named(database)}: schema {schema.newest()}")


def backup(file: Path, url: str) -> None:
    with _current(url) as database:
        typer.echo(f"{file}: {files.backup(database, file)} runs")


def restore(file: Path, url: str) -> None:
    with _database(url) as database:
        schema.migrate(database)
        typer.echo(f"{schema.named(database)}: {files.restore(file, database)} runs")


def token_create(name: str, right: Right, expires_in_days: int, url: str) -> None:
    with _database(url) as database:
        if database.is_sqlite:
            schema.migrate(database)  # the first token is made before the hub is first started
        else:
            schema.require_newest(database)
        typer.echo(tokens.create(database, name, right, time.time() + expires_in_days * 86_400))


def token_list(url: str) -> None:
    with _current(url) as database:
        for row in tokens.stored(database):
            ends = datetime.fromtimestamp(row.expires_at, UTC)
            past = " (expired)" if row.expires_at <= time.time() else ""
            typer.echo(f"{row.name}\t{row.right}\tuntil {ends:%Y-%m-%d %H:%M} UTC{past}")


def token_revoke(name: str, url: str) -> None:
    with _current(url) as database:
        tokens.revoke(database, name)
        typer.echo(f"{name}: revoked")


@contextmanager
def _current(url: str) -> Iterator[Database]:
    with _database(url) as database:
        schema.require_newest(database)
        yield database


@contextmanager
def _database(url: str) -> Iterator[Database]:
    try:
        database = Database(url)
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
