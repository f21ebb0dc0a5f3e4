"""The nodes' image caches, and what was taken over from a Glance."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Bytes, Counter, Moment, Seconds, Uuid

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    """Expand: three new tables."""
    op.create_table(
        'cached_images',
        sa.Column('id', Counter, autoincrement=True, nullable=False),
        sa.Column('node', sa.String(length=255), nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('size', Bytes, nullable=False),
        sa.Column('checksum', sa.String(length=32), nullable=True),
        sa.Column('hits', sa.Integer(), nullable=False),
        sa.Column('last_accessed', Seconds, nullable=False),
        sa.Column('last_modified', Seconds, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_cached_images'),
        sa.UniqueConstraint('node', 'image_id', name='uq_cached_images_node_image_id'),
    )
    op.create_index('ix_cached_images_image_id', 'cached_images', ['image_id'], unique=False)
    op.create_table(
        'cache_queue',
        sa.Column('node', sa.String(length=255), nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('queued_at', Seconds, nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('node', 'image_id', name='pk_cache_queue'),
    )
    op.create_table(
        'adoptions',
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('id', sa.String(length=80), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('kind', 'id', name='pk_adoptions'),
    )
