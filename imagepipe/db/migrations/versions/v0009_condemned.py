"""Images say whether they are being deleted."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Uuid

revision = '0009'
down_revision = '0008'


def upgrade() -> None:
    """Expand: a column that only this release's code writes."""
    op.add_column('images', sa.Column('condemned', Uuid, nullable=True))
