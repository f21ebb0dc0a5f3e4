"""Images are found by their name in the order of a list."""

from alembic import op

revision = '0008'
down_revision = '0007'


def upgrade() -> None:
    """Expand: an index more, which older code does not mind."""
    op.create_index('ix_images_name_created', 'images', ['name', 'created_at', 'id'], unique=False)
