"""The migrations of the database's schema, for alembic. A change of `tables.py` needs a new file in `versions`."""
