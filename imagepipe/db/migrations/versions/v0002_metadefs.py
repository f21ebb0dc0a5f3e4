"""Metadata definitions: namespaces, what they hold, and resource types."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Document, LongText, Moment, Uuid

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    """Expand: new tables only."""
    op.create_table(
        'metadef_namespaces',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('namespace', sa.String(length=80), nullable=False),
        sa.Column('display_name', sa.String(length=80), nullable=True),
        sa.Column('description', LongText, nullable=True),
        sa.Column('visibility', sa.String(length=7), nullable=False),
        sa.Column('protected', sa.Boolean(), nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=True),
        *_times(),
        sa.PrimaryKeyConstraint('id', name='pk_metadef_namespaces'),
        sa.UniqueConstraint('namespace', name='uq_metadef_namespaces_namespace'),
    )
    op.create_index(
        'ix_metadef_namespaces_created', 'metadef_namespaces', ['created_at', 'namespace'], unique=False
    )
    _held(
        'objects',
        sa.Column('description', LongText, nullable=True),
        sa.Column('required', Document, nullable=True),
        sa.Column('properties', Document, nullable=True),
    )
    _held('properties', sa.Column('definition', Document, nullable=False))
    _held('tags')
    _held(
        'associations',
        sa.Column('prefix', sa.String(length=80), nullable=True),
        sa.Column('properties_target', sa.String(length=80), nullable=True),
    )
    op.create_index(
        'ix_metadef_associations_name', 'metadef_associations', ['name', 'namespace_id'], unique=False
    )
    op.create_table(
        'metadef_resource_types',
        sa.Column('name', sa.String(length=80), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint('name', name='pk_metadef_resource_types'),
    )


def _held(noun: str, *columns: sa.Column) -> None:
    """A table of what namespaces hold."""
    op.create_table(
        f'metadef_{noun}',
        sa.Column('namespace_id', Uuid, nullable=False),
        sa.Column('name', sa.String(length=80), nullable=False),
        *columns,
        *_times(),
        sa.ForeignKeyConstraint(
            ['namespace_id'],
            ['metadef_namespaces.id'],
            name=f'fk_metadef_{noun}_namespace_id',
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('namespace_id', 'name', name=f'pk_metadef_{noun}'),
    )


def _times() -> tuple[sa.Column, sa.Column]:
    return (
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
    )
