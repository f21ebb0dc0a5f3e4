"""Where a store has what a client has staged."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import LongText

revision = '0015'
down_revision = '0014'


def upgrade() -> None:
    """Expand: a nullable column, which the code before does not read."""
    op.add_column('transfers', sa.Column('url', LongText, nullable=True))
