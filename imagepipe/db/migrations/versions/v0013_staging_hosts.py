"""Which host has what is staged, and when a host last gave a sign."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Moment, Seconds

revision = '0013'
down_revision = '0012'


def upgrade() -> None:
    """Expand: nullable columns, which the code before does not read."""
    op.add_column('transfers', sa.Column('host', sa.String(length=255), nullable=True))
    op.add_column('imports', sa.Column('staged_host', sa.String(length=255), nullable=True))
    op.add_column('conductor_hosts', sa.Column('seen', Seconds, nullable=True))
    op.add_column('conductor_hosts', sa.Column('lost_at', Moment, nullable=True))
    op.create_index('ix_imports_staged_host', 'imports', ['staged_host'], unique=False)
