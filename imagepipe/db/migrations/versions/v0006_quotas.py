"""Transfers name the project whose counters hold what they have reserved."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'

_images = sa.table('images', sa.column('id'), sa.column('owner'))
_transfers = sa.table('transfers', sa.column('image_id'), sa.column('project'))


def upgrade() -> None:
    """Expand: null is the project of images without an owner."""
    op.add_column('transfers', sa.Column('project', sa.String(length=255), nullable=True))
    # What is under way was reserved for the owner of its image, and is given back to him.
    owner = sa.select(_images.c.owner).where(_images.c.id == _transfers.c.image_id).scalar_subquery()
    op.execute(_transfers.update().values(project=owner))
