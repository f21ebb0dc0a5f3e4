"""Alembic's environment; revisions are in versions/, expand and contract in separate releases."""
