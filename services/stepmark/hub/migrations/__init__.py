"""Versions of the database's schema, for alembic. A change of `tables.py` is a new file in `versions`."""
