"""Migrations lead to the tables of the code, and a hub refuses a database of another version."""

import socket
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from running_hub import hub_command
from running_postgres import Postgres
from stepmark.hub import migrate
from stepmark.hub.database import Database
from stepmark.hub.tables import metadata

pytest_plugins = ["running_hub"]


def refusal(url: str, *options: str) -> str:
    """Start a hub that must refuse to start, and return its message."""
    listen = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--database", url)
    code, message = hub_command("serve", *listen, *options)
    assert code == 3
    return message


def test_migrations_make_exactly_the_tables_of_the_code(database_url: str) -> None:
    database = Database(database_url)
    migrate.migrate(database)
    migrate.migrate(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert migrate.version(connection) == migrate.newest()
        found = {name: sorted(index["name"] or "" for index in sa.inspect(connection).get_indexes(name)) for name in
                 metadata.tables}  # fmt: skip
    wanted = {name: sorted(str(index.name) for index in table.indexes) for name, table in metadata.tables.items()}
    uniques = {name: [one for one in found[name] if one.endswith("_key")] for name in found}
    assert {name: [one for one in found[name] if one not in uniques[name]] for name in found} == wanted
    database.close()


def test_a_hub_migrates_postgresql_only_when_told(postgres: Postgres) -> None:
    assert "serve with --migrate" in refusal(postgres.new_database())


@pytest.mark.parametrize("options", [(), ("--migrate",)])
def test_a_database_of_a_newer_version_is_refused(database_url: str, options: tuple[str, ...]) -> None:
    database = Database(database_url)
    migrate.migrate(database)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'of-tomorrow'"))
    database.close()
    assert "Use a newer stepmark" in refusal(database_url, *options)


@pytest.mark.parametrize("url", ["postgresql+pg8000://me:secret-9f@127.0.0.1:1/x", "sqlite:////nowhere/x.db", "what"])
def test_a_database_that_cannot_be_reached_is_named_without_its_password(url: str) -> None:
    message = refusal(url, "--migrate")
    assert "expected" in message
    assert "secret-9f" not in message


def test_a_hub_whose_address_is_taken_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"{address}: expected an address" in refusal(f"sqlite:///{tmp_path}/hub.db", "--listen", address)
