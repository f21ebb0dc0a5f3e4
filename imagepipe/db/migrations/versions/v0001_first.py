"""The first schema: images, representations, locations, imports, transfers, outbox."""

import sqlalchemy as sa
from alembic import op

from imagepipe.db.schema import Bytes, Counter, Document, LongText, Moment, Seconds, Uuid

revision = '0001'
down_revision = None


def upgrade() -> None:
    """Expand: there was nothing before."""
    op.create_table(
        'images',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('name', sa.String(length=255), nullable=True),
        sa.Column('status', sa.String(length=30), nullable=False),
        sa.Column('visibility', sa.String(length=9), nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=True),
        sa.Column('protected', sa.Boolean(), nullable=False),
        sa.Column('os_hidden', sa.Boolean(), nullable=False),
        sa.Column('disk_format', sa.String(length=20), nullable=True),
        sa.Column('container_format', sa.String(length=20), nullable=True),
        sa.Column('min_disk', sa.Integer(), nullable=False),
        sa.Column('min_ram', sa.Integer(), nullable=False),
        sa.Column('size', Bytes, nullable=True),
        sa.Column('virtual_size', Bytes, nullable=True),
        sa.Column('checksum', sa.String(length=32), nullable=True),
        sa.Column('os_hash_algo', sa.String(length=64), nullable=True),
        sa.Column('os_hash_value', sa.String(length=128), nullable=True),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_images'),
    )
    op.create_index('ix_images_created', 'images', ['created_at', 'id'], unique=False)
    op.create_index('ix_images_owner_created', 'images', ['owner', 'created_at', 'id'], unique=False)
    op.create_index(
        'ix_images_visibility_created', 'images', ['visibility', 'created_at', 'id'], unique=False
    )
    op.create_table(
        'imports',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('live_image_id', Uuid, nullable=True),
        sa.Column('owner', sa.String(length=255), nullable=True),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('request_id', sa.String(length=255), nullable=True),
        sa.Column('method', sa.String(length=32), nullable=False),
        sa.Column('state', sa.String(length=10), nullable=False),
        sa.Column('outcome', sa.String(length=10), nullable=True),
        sa.Column('plan', Document, nullable=False),
        sa.Column('flow_version', sa.Integer(), nullable=False),
        sa.Column('logbook_id', Uuid, nullable=False),
        sa.Column('flow_id', Uuid, nullable=False),
        sa.Column('source_url', LongText, nullable=True),
        sa.Column('source_shown', LongText, nullable=True),
        sa.Column('source_resume', Document, nullable=True),
        sa.Column('source_size', Bytes, nullable=True),
        sa.Column('reserved', Bytes, nullable=False),
        sa.Column('staged', Document, nullable=False),
        sa.Column('source_digests', Document, nullable=False),
        sa.Column('detected_format', sa.String(length=20), nullable=True),
        sa.Column('result', Document, nullable=False),
        sa.Column('error_code', sa.String(length=64), nullable=True),
        sa.Column('error_message', LongText, nullable=True),
        sa.Column('error_step', sa.String(length=255), nullable=True),
        sa.Column('claim_owner', sa.String(length=255), nullable=True),
        sa.Column('claim_expires', Seconds, nullable=True),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('retry_of', Uuid, nullable=True),
        sa.Column('trace', Document, nullable=True),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.Column('started_at', Moment, nullable=True),
        sa.Column('finished_at', Moment, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_imports'),
        sa.UniqueConstraint('live_image_id', name='uq_imports_live_image_id'),
    )
    op.create_index('ix_imports_image_id', 'imports', ['image_id', 'created_at'], unique=False)
    op.create_index('ix_imports_owner_created', 'imports', ['owner', 'created_at', 'id'], unique=False)
    op.create_index('ix_imports_state_created', 'imports', ['state', 'created_at', 'id'], unique=False)
    op.create_table(
        'locations',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('representation_id', Uuid, nullable=False),
        sa.Column('import_id', Uuid, nullable=True),
        sa.Column('store', sa.String(length=255), nullable=False),
        sa.Column('state', sa.String(length=10), nullable=False),
        sa.Column('object_name', sa.String(length=255), nullable=True),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('url', LongText, nullable=True),
        sa.Column('size', Bytes, nullable=True),
        sa.Column('metadata', Document, nullable=False),
        sa.Column('error_code', sa.String(length=64), nullable=True),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.Column('checked_at', Moment, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_locations'),
    )
    op.create_index('ix_locations_image_id', 'locations', ['image_id', 'state'], unique=False)
    op.create_index('ix_locations_import_id', 'locations', ['import_id'], unique=False)
    op.create_index('ix_locations_state', 'locations', ['state', 'updated_at'], unique=False)
    op.create_table(
        'outbox',
        sa.Column('id', Counter, autoincrement=True, nullable=False),
        sa.Column('event_type', sa.String(length=64), nullable=False),
        sa.Column('priority', sa.String(length=8), nullable=False),
        sa.Column('payload', Document, nullable=False),
        sa.Column('once', sa.String(length=128), nullable=True),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('due', Seconds, nullable=False),
        sa.Column('sender', sa.String(length=255), nullable=True),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('sent_at', Moment, nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_outbox'),
        sa.UniqueConstraint('once', name='uq_outbox_once'),
    )
    op.create_index('ix_outbox_sent_due', 'outbox', ['sent_at', 'due', 'id'], unique=False)
    op.create_table(
        'representations',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('primary_of', Uuid, nullable=True),
        sa.Column('disk_format', sa.String(length=20), nullable=True),
        sa.Column('container_format', sa.String(length=20), nullable=True),
        sa.Column('size', Bytes, nullable=True),
        sa.Column('virtual_size', Bytes, nullable=True),
        sa.Column('digests', Document, nullable=False),
        sa.Column('created_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_representations'),
        sa.UniqueConstraint('primary_of', name='uq_representations_primary_of'),
    )
    op.create_index('ix_representations_image_id', 'representations', ['image_id'], unique=False)
    op.create_table(
        'tombstones',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=True),
        sa.Column('deleted_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_tombstones'),
    )
    op.create_table(
        'transfers',
        sa.Column('id', Uuid, nullable=False),
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('kind', sa.String(length=8), nullable=False),
        sa.Column('state', sa.String(length=8), nullable=False),
        sa.Column('store', sa.String(length=255), nullable=True),
        sa.Column('object_name', sa.String(length=255), nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=False),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('expires', Seconds, nullable=True),
        sa.Column('reserved', Bytes, nullable=False),
        sa.Column('size', Bytes, nullable=True),
        sa.Column('digests', Document, nullable=False),
        sa.Column('verdict', Document, nullable=True),
        sa.Column('identity', Document, nullable=True),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_transfers'),
    )
    op.create_index('ix_transfers_image_id', 'transfers', ['image_id'], unique=False)
    op.create_index('ix_transfers_state_expires', 'transfers', ['state', 'expires'], unique=False)
    op.create_table(
        'usages',
        sa.Column('scope', sa.String(length=255), nullable=False),
        sa.Column('resource', sa.String(length=64), nullable=False),
        sa.Column('used', Bytes, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.PrimaryKeyConstraint('scope', 'resource', name='pk_usages'),
    )
    op.create_table(
        'workers',
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('pid', sa.Integer(), nullable=False),
        sa.Column('version', sa.String(length=64), nullable=False),
        sa.Column('started_at', Moment, nullable=False),
        sa.Column('seen', Seconds, nullable=False),
        sa.PrimaryKeyConstraint('name', name='pk_workers'),
    )
    op.create_table(
        'import_steps',
        sa.Column('import_id', Uuid, nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=10), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('crashes', sa.Integer(), nullable=False),
        sa.Column('worker', sa.String(length=255), nullable=True),
        sa.Column('bytes_done', Bytes, nullable=True),
        sa.Column('bytes_total', Bytes, nullable=True),
        sa.Column('started_at', Moment, nullable=True),
        sa.Column('updated_at', Moment, nullable=True),
        sa.Column('finished_at', Moment, nullable=True),
        sa.Column('error_code', sa.String(length=64), nullable=True),
        sa.Column('error_message', LongText, nullable=True),
        sa.ForeignKeyConstraint(
            ['import_id'], ['imports.id'], name='fk_import_steps_import_id', ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('import_id', 'name', name='pk_import_steps'),
    )
    op.create_table(
        'members',
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('member', sa.String(length=255), nullable=False),
        sa.Column('status', sa.String(length=20), nullable=False),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
        sa.ForeignKeyConstraint(['image_id'], ['images.id'], name='fk_members_image_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('image_id', 'member', name='pk_members'),
    )
    op.create_index('ix_members_member_status', 'members', ['member', 'status', 'image_id'], unique=False)
    op.create_table(
        'properties',
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('value', LongText, nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ['image_id'], ['images.id'], name='fk_properties_image_id', ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('image_id', 'name', name='pk_properties'),
    )
    op.create_index('ix_properties_name_digest', 'properties', ['name', 'digest', 'image_id'], unique=False)
    op.create_table(
        'tags',
        sa.Column('image_id', Uuid, nullable=False),
        sa.Column('tag', sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(['image_id'], ['images.id'], name='fk_tags_image_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('image_id', 'tag', name='pk_tags'),
    )
    op.create_index('ix_tags_tag', 'tags', ['tag', 'image_id'], unique=False)
