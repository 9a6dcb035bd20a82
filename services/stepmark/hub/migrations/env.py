"""Run alembic's migrations on the connection that `hub.migrate` passes, inside its transaction."""

from alembic import context

from stepmark.hub.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite"
)  # fmt: skip
context.run_migrations()
