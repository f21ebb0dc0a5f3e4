"""Images of other regions, the trusts for them, and since when imports are hindered."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db import clock
from imagepipe.db.schema import Document, Seconds

revision = '0005'
down_revision = '0003'


def upgrade() -> None:
    """Expand: nullable columns, which the code before does not read, and a table."""
    op.add_column('imports', sa.Column('source_image', Document, nullable=True))
    op.add_column('imports', sa.Column('trust_id', sa.String(length=64), nullable=True))
    op.create_index('ix_imports_trust_id', 'imports', ['trust_id'], unique=False)
    hindrances = op.create_table(
        'hindrances',
        sa.Column('name', sa.String(length=32), nullable=False),
        sa.Column('since', Seconds, nullable=True),
        sa.PrimaryKeyConstraint('name', name='pk_hindrances'),
    )
    now = clock.now(op.get_bind().dialect.name)
    op.execute(hindrances.insert().values(name='no_worker', since=now))
    op.execute(hindrances.insert().values(name='no_staging', since=None))
