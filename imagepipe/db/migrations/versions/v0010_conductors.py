"""Conductors are seen and drained host by host; imports wait in the order of their turns."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Bytes, Moment, Seconds

revision = '0010'
down_revision = '0009'

_imports = sa.table('imports', sa.column('live_image_id'), sa.column('turn'))


def upgrade() -> None:
    """Expand: a new table, and columns that older code does not fill."""
    op.create_table(
        'conductor_hosts',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('drain', sa.String(length=9), nullable=True),
        sa.Column('drained_at', Moment, nullable=True),
        sa.Column('lacks', sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint('host', name='pk_conductor_hosts'),
    )
    op.add_column('workers', sa.Column('conductor_pid', sa.Integer(), nullable=True))
    op.add_column('workers', sa.Column('flows', sa.String(length=255), nullable=True))
    op.add_column('workers', sa.Column('draining', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('imports', sa.Column('claim_host', sa.String(length=255), nullable=True))
    op.add_column('imports', sa.Column('turn', sa.Integer(), server_default='0', nullable=True))
    op.add_column('imports', sa.Column('small', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('imports', sa.Column('weight', Bytes, server_default='0', nullable=False))
    op.add_column('imports', sa.Column('unknown_since', Seconds, nullable=True))
    # What has ended has no turn. What still runs goes first, oldest first, as it did.
    op.execute(_imports.update().where(_imports.c.live_image_id.is_(None)).values(turn=None))
    op.create_index('ix_imports_claim_host', 'imports', ['claim_host'], unique=False)
    op.create_index('ix_imports_queue', 'imports', ['small', 'turn', 'created_at', 'id'], unique=False)
    op.create_index('ix_imports_owner_turn', 'imports', ['owner', 'small', 'turn'], unique=False)
