"""Runs migrations over the connection that db/migrate.py gives."""

from alembic import context

from imagepipe.db import migrate, schema

context.configure(
    connection=context.config.attributes['connection'],
    target_metadata=schema.metadata,
    version_table=migrate.VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
