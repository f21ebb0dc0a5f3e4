"""Objects in stores whose owner nobody knows are noted."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Seconds

revision = '0011'
down_revision = '0010'


def upgrade() -> None:
    """Expand: a new table."""
    op.create_table(
        'strays',
        sa.Column('store', sa.String(length=255), nullable=False),
        sa.Column('object_name', sa.String(length=255), nullable=False),
        sa.Column('since', Seconds, nullable=False),
        sa.PrimaryKeyConstraint('store', 'object_name', name='pk_strays'),
    )
