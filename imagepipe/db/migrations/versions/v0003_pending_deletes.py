"""Images that were deleted with a delay, and imports that were asked for as tasks."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Document, Moment, Uuid

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    """Expand: a table and a column that only this release's code writes."""
    op.create_table(
        'pending_deletes',
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('status', sa.String(length=30), nullable=False),
        sa.Column('deleted_at', Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ['image_id'], ['images.id'], name='fk_pending_deletes_image_id', ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('image_id', name='pk_pending_deletes'),
    )
    op.create_index('ix_pending_deletes_deleted_at', 'pending_deletes', ['deleted_at'], unique=False)
    op.add_column('imports', sa.Column('task_input', Document, nullable=True))
