"""What hosts have found of the stores."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import LongText, Moment, Seconds

revision = '0014'
down_revision = '0013'


def upgrade() -> None:
    """Expand: a new table."""
    op.create_table(
        'store_checks',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('store', sa.String(length=255), nullable=False),
        sa.Column('code', sa.String(length=64), nullable=True),
        sa.Column('message', LongText, nullable=True),
        sa.Column('full', sa.Boolean(), nullable=False),
        sa.Column('since', Moment, nullable=False),
        sa.Column('holds_until', Seconds, nullable=False),
        sa.PrimaryKeyConstraint('host', 'store', name='pk_store_checks'),
    )
