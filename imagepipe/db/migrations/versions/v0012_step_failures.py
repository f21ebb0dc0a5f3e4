"""How each attempt of a step that failed went."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Document

revision = '0012'
down_revision = '0011'


def upgrade() -> None:
    """Expand: a nullable column, which the code before does not read."""
    op.add_column('import_steps', sa.Column('failures', Document, nullable=True))
