"""Everything is derived again: summaries of schema 4 say more than older ones, which cannot be read any more."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("DELETE FROM summaries")
    op.execute("UPDATE executions SET derived_revision = 0")
