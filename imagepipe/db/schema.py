"""Every table of imagepipe. TaskFlow's own tables stand beside them (db/migrate.py).

Times are naive UTC with microseconds. Leases are seconds since the epoch on the
database's clock (db/clock.py), so that workers need not agree on theirs. Ids are UUIDs
as 36 characters. Long values are indexed by digest.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext import compiler
from sqlalchemy.schema import CreateTable

metadata = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'fk': 'fk_%(table_name)s_%(column_0_name)s',
        'pk': 'pk_%(table_name)s',
    }
)


@compiler.compiles(CreateTable, 'mysql')
@compiler.compiles(CreateTable, 'mariadb')
def _binary_collation(element: CreateTable, ddl: sa.sql.compiler.DDLCompiler, **kwargs: object) -> str:
    """Names are compared byte by byte, trailing blanks included: `Foo`, `foo`, `foo ` are three."""
    collation = 'utf8mb4_nopad_bin' if ddl.dialect.is_mariadb else 'utf8mb4_0900_bin'
    statement = ddl.visit_create_table(element, **kwargs).rstrip()
    if 'ENGINE=' in statement:  # TaskFlow's tables say it themselves
        return statement
    return f'{statement} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}'


Uuid = sa.String(36)
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
Seconds = sa.Double()
Bytes = sa.BigInteger()
Document = sa.Text().with_variant(mysql.LONGTEXT(), 'mysql', 'mariadb')
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')
Counter = sa.BigInteger().with_variant(sa.Integer, 'sqlite')


def _id() -> sa.Column:
    return sa.Column('id', Uuid, primary_key=True)


images = sa.Table(
    'images',
    metadata,
    _id(),
    sa.Column('name', sa.String(255)),
    sa.Column('status', sa.String(30), nullable=False),
    sa.Column('visibility', sa.String(9), nullable=False),
    sa.Column('owner', sa.String(255)),
    sa.Column('protected', sa.Boolean, nullable=False, default=False),
    sa.Column('os_hidden', sa.Boolean, nullable=False, default=False),
    sa.Column('disk_format', sa.String(20)),
    sa.Column('container_format', sa.String(20)),
    sa.Column('min_disk', sa.Integer, nullable=False, default=0),
    sa.Column('min_ram', sa.Integer, nullable=False, default=0),
    sa.Column('size', Bytes),
    sa.Column('virtual_size', Bytes),
    sa.Column('checksum', sa.String(32)),
    sa.Column('os_hash_algo', sa.String(64)),
    sa.Column('os_hash_value', sa.String(128)),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.Column('condemned', Uuid),
    sa.Index('ix_images_owner_created', 'owner', 'created_at', 'id'),
    sa.Index('ix_images_visibility_created', 'visibility', 'created_at', 'id'),
    sa.Index('ix_images_created', 'created_at', 'id'),
    sa.Index('ix_images_name_created', 'name', 'created_at', 'id'),
)

#: Ids that were used once; a create with one of them is refused for ever.
tombstones = sa.Table(
    'tombstones',
    metadata,
    _id(),
    sa.Column('owner', sa.String(255)),
    sa.Column('deleted_at', Moment, nullable=False),
)

properties = sa.Table(
    'properties',
    metadata,
    sa.Column('image_id', Uuid, sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True),
    sa.Column('name', sa.String(255), primary_key=True),
    sa.Column('value', LongText, nullable=False),
    sa.Column('digest', sa.String(64), nullable=False),
    sa.Index('ix_properties_name_digest', 'name', 'digest', 'image_id'),
)

tags = sa.Table(
    'tags',
    metadata,
    sa.Column('image_id', Uuid, sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True),
    sa.Column('tag', sa.String(255), primary_key=True),
    sa.Index('ix_tags_tag', 'tag', 'image_id'),
)

#: Images that were deleted with a delay: since when, and the status that a restored one gets.
pending_deletes = sa.Table(
    'pending_deletes',
    metadata,
    sa.Column('image_id', Uuid, sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True),
    sa.Column('status', sa.String(30), nullable=False),
    sa.Column('deleted_at', Moment, nullable=False),
    sa.Index('ix_pending_deletes_deleted_at', 'deleted_at'),
)

members = sa.Table(
    'members',
    metadata,
    sa.Column('image_id', Uuid, sa.ForeignKey('images.id', ondelete='CASCADE'), primary_key=True),
    sa.Column('member', sa.String(255), primary_key=True),
    sa.Column('status', sa.String(20), nullable=False),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.Index('ix_members_member_status', 'member', 'status', 'image_id'),
)

representations = sa.Table(
    'representations',
    metadata,
    _id(),
    sa.Column('image_id', Uuid, nullable=False),
    #: The image's id for its primary representation, else null: unique, so there is one at most.
    sa.Column('primary_of', Uuid),
    sa.Column('disk_format', sa.String(20)),
    sa.Column('container_format', sa.String(20)),
    sa.Column('size', Bytes),
    sa.Column('virtual_size', Bytes),
    sa.Column('digests', Document, nullable=False),
    sa.Column('created_at', Moment, nullable=False),
    sa.UniqueConstraint('primary_of'),
    sa.Index('ix_representations_image_id', 'image_id'),
)

locations = sa.Table(
    'locations',
    metadata,
    _id(),
    sa.Column('image_id', Uuid, nullable=False),
    sa.Column('representation_id', Uuid, nullable=False),
    sa.Column('import_id', Uuid),
    sa.Column('store', sa.String(255), nullable=False),
    sa.Column('state', sa.String(10), nullable=False),
    sa.Column('object_name', sa.String(255)),
    sa.Column('epoch', sa.Integer, nullable=False, default=0),
    sa.Column('url', LongText),
    sa.Column('size', Bytes),
    sa.Column('metadata', Document, nullable=False),
    sa.Column('error_code', sa.String(64)),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.Column('checked_at', Moment),
    sa.Index('ix_locations_image_id', 'image_id', 'state'),
    sa.Index('ix_locations_import_id', 'import_id'),
    sa.Index('ix_locations_state', 'state', 'updated_at'),
)

imports = sa.Table(
    'imports',
    metadata,
    _id(),
    sa.Column('image_id', Uuid, nullable=False),
    #: The image's id while the import lives, else null: unique, so there is one live import at most.
    sa.Column('live_image_id', Uuid),
    sa.Column('owner', sa.String(255)),
    sa.Column('user_id', sa.String(255)),
    sa.Column('request_id', sa.String(255)),
    sa.Column('method', sa.String(32), nullable=False),
    sa.Column('state', sa.String(10), nullable=False),
    #: The end that a reverting import comes to: failed or cancelled.
    sa.Column('outcome', sa.String(10)),
    sa.Column('plan', Document, nullable=False),
    sa.Column('flow_version', sa.Integer, nullable=False),
    sa.Column('logbook_id', Uuid, nullable=False),
    sa.Column('flow_id', Uuid, nullable=False),
    sa.Column('source_url', LongText),
    sa.Column('source_shown', LongText),
    #: The image of another region that this one is made of, and what its service said of it.
    sa.Column('source_image', Document),
    #: Keystone's right of the service to act as the user; set until the trust has ended.
    sa.Column('trust_id', sa.String(64)),
    #: What a broken-off fetch needs to go on: the source's validator, and the boot of the writer's host.
    sa.Column('source_resume', Document),
    sa.Column('source_size', Bytes),
    #: Bytes of the project's storage quota that this import holds until it ends.
    sa.Column('reserved', Bytes, nullable=False, default=0),
    #: Bytes of the staging area that its steps hold, by step.
    sa.Column('staged', Document, nullable=False),
    #: The only host that can reach what is staged for it; null: none needs to, or all can.
    sa.Column('staged_host', sa.String(255)),
    sa.Column('source_digests', Document, nullable=False),
    sa.Column('detected_format', sa.String(20)),
    sa.Column('result', Document, nullable=False),
    sa.Column('error_code', sa.String(64)),
    sa.Column('error_message', LongText),
    sa.Column('error_step', sa.String(255)),
    sa.Column('claim_owner', sa.String(255)),
    #: The host of its owner; what it bears counts while the claim has not expired.
    sa.Column('claim_host', sa.String(255)),
    sa.Column('claim_expires', Seconds),
    sa.Column('epoch', sa.Integer, nullable=False, default=0),
    #: In which round it is taken: projects take turns. Null once it has ended; what older code accepts
    #: comes first.
    sa.Column('turn', sa.Integer, server_default='0'),
    #: Whether it has few bytes, for certain: such imports need not wait until big ones end.
    sa.Column('small', sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    #: Bytes of its data, as far as they are known.
    sa.Column('weight', Bytes, nullable=False, default=0, server_default='0'),
    #: Since when no conductor that is alive knows the flow that it is run by.
    sa.Column('unknown_since', Seconds),
    sa.Column('retry_of', Uuid),
    sa.Column('trace', Document),
    #: What a POST to the tasks API asked for, less the URL; null for every other import.
    sa.Column('task_input', Document),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.Column('started_at', Moment),
    sa.Column('finished_at', Moment),
    sa.UniqueConstraint('live_image_id'),
    sa.Index('ix_imports_image_id', 'image_id', 'created_at'),
    sa.Index('ix_imports_owner_created', 'owner', 'created_at', 'id'),
    sa.Index('ix_imports_state_created', 'state', 'created_at', 'id'),
    sa.Index('ix_imports_trust_id', 'trust_id'),
    sa.Index('ix_imports_claim_host', 'claim_host'),
    sa.Index('ix_imports_staged_host', 'staged_host'),
    sa.Index('ix_imports_queue', 'small', 'turn', 'created_at', 'id'),
    sa.Index('ix_imports_owner_turn', 'owner', 'small', 'turn'),
)

import_steps = sa.Table(
    'import_steps',
    metadata,
    sa.Column('import_id', Uuid, sa.ForeignKey('imports.id', ondelete='CASCADE'), primary_key=True),
    sa.Column('name', sa.String(255), primary_key=True),
    sa.Column('position', sa.Integer, nullable=False),
    sa.Column('state', sa.String(10), nullable=False),
    sa.Column('attempt', sa.Integer, nullable=False, default=0),
    #: How often a claim expired while this step ran; a completed step starts again at 0.
    sa.Column('crashes', sa.Integer, nullable=False, default=0),
    sa.Column('worker', sa.String(255)),
    sa.Column('bytes_done', Bytes),
    sa.Column('bytes_total', Bytes),
    sa.Column('started_at', Moment),
    sa.Column('updated_at', Moment),
    sa.Column('finished_at', Moment),
    sa.Column('error_code', sa.String(64)),
    sa.Column('error_message', LongText),
    #: Attempts that failed or were interrupted, the latest last; null while there are none.
    sa.Column('failures', Document),
)

transfers = sa.Table(
    'transfers',
    metadata,
    _id(),
    sa.Column('image_id', Uuid, nullable=False),
    sa.Column('kind', sa.String(8), nullable=False),
    sa.Column('state', sa.String(8), nullable=False),
    sa.Column('store', sa.String(255)),
    sa.Column('object_name', sa.String(255), nullable=False),
    #: The only host that can reach what it has staged; null: it stages nothing, or all can.
    sa.Column('host', sa.String(255)),
    sa.Column('owner', sa.String(255), nullable=False),
    sa.Column('epoch', sa.Integer, nullable=False, default=1),
    sa.Column('expires', Seconds),
    #: Whose counters hold what is reserved.
    sa.Column('project', sa.String(255)),
    sa.Column('reserved', Bytes, nullable=False, default=0),
    sa.Column('size', Bytes),
    sa.Column('digests', Document, nullable=False),
    sa.Column('verdict', Document),
    sa.Column('identity', Document),
    #: Where a store has it; null while it lies in staging.
    sa.Column('url', LongText),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.Index('ix_transfers_image_id', 'image_id'),
    sa.Index('ix_transfers_state_expires', 'state', 'expires'),
)

outbox = sa.Table(
    'outbox',
    metadata,
    sa.Column('id', Counter, primary_key=True, autoincrement=True),
    sa.Column('event_type', sa.String(64), nullable=False),
    sa.Column('priority', sa.String(8), nullable=False),
    sa.Column('payload', Document, nullable=False),
    #: Set for events of which there is one at most, such as the end of an import.
    sa.Column('once', sa.String(128)),
    sa.Column('attempts', sa.Integer, nullable=False, default=0),
    sa.Column('due', Seconds, nullable=False),
    sa.Column('sender', sa.String(255)),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('sent_at', Moment),
    sa.UniqueConstraint('once'),
    sa.Index('ix_outbox_sent_due', 'sent_at', 'due', 'id'),
)

metadef_namespaces = sa.Table(
    'metadef_namespaces',
    metadata,
    _id(),
    sa.Column('namespace', sa.String(80), nullable=False),
    sa.Column('display_name', sa.String(80)),
    sa.Column('description', LongText),
    sa.Column('visibility', sa.String(7), nullable=False),
    sa.Column('protected', sa.Boolean, nullable=False, default=False),
    sa.Column('owner', sa.String(255)),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
    sa.UniqueConstraint('namespace'),
    sa.Index('ix_metadef_namespaces_created', 'created_at', 'namespace'),
)


def _metadef_table(noun: str, *columns: sa.Column | sa.Index) -> sa.Table:
    """What a namespace holds: a name that is unique in it, and times."""
    return sa.Table(
        f'metadef_{noun}',
        metadata,
        sa.Column(
            'namespace_id',
            Uuid,
            sa.ForeignKey('metadef_namespaces.id', ondelete='CASCADE'),
            primary_key=True,
        ),
        sa.Column('name', sa.String(80), primary_key=True),
        *columns,
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('updated_at', Moment, nullable=False),
    )


metadef_objects = _metadef_table(
    'objects',
    sa.Column('description', LongText),
    sa.Column('required', Document),
    sa.Column('properties', Document),
)
metadef_properties = _metadef_table('properties', sa.Column('definition', Document, nullable=False))
metadef_tags = _metadef_table('tags')
#: Which resource types, by name, the properties of a namespace are for.
metadef_associations = _metadef_table(
    'associations',
    sa.Column('prefix', sa.String(80)),
    sa.Column('properties_target', sa.String(80)),
    sa.Index('ix_metadef_associations_name', 'name', 'namespace_id'),
)
#: Every resource type that was ever associated.
metadef_resource_types = sa.Table(
    'metadef_resource_types',
    metadata,
    sa.Column('name', sa.String(80), primary_key=True),
    sa.Column('created_at', Moment, nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
)

#: What a project uses of a limited resource; reserved by one conditional UPDATE.
usages = sa.Table(
    'usages',
    metadata,
    sa.Column('scope', sa.String(255), primary_key=True),
    sa.Column('resource', sa.String(64), primary_key=True),
    sa.Column('used', Bytes, nullable=False, default=0),
    sa.Column('updated_at', Moment, nullable=False),
)

workers = sa.Table(
    'workers',
    metadata,
    sa.Column('name', sa.String(255), primary_key=True),
    sa.Column('host', sa.String(255), nullable=False),
    sa.Column('pid', sa.Integer, nullable=False),
    sa.Column('version', sa.String(64), nullable=False),
    sa.Column('started_at', Moment, nullable=False),
    sa.Column('seen', Seconds, nullable=False),
    #: Its supervisor; null for a worker of a release that did not say.
    sa.Column('conductor_pid', sa.Integer),
    #: The versions of flows that it can run, separated by commas.
    sa.Column('flows', sa.String(255)),
    #: It was told by a signal to take nothing new.
    sa.Column('draining', sa.Boolean, nullable=False, default=False, server_default=sa.false()),
)

#: Hosts that have, or had, conductors; a claim locks the row of its host.
conductor_hosts = sa.Table(
    'conductor_hosts',
    metadata,
    sa.Column('host', sa.String(255), primary_key=True),
    #: How an operator had it drained, and since when; null while its conductors take imports.
    sa.Column('drain', sa.String(9)),
    sa.Column('drained_at', Moment),
    #: What is missing there for imports: names of parts, separated by commas.
    sa.Column('lacks', sa.String(64)),
    #: When a conductor of it last swept or stopped; those that work are in workers, too.
    sa.Column('seen', Seconds),
    #: Since when an operator holds it for lost; null again when a conductor of it gives a sign.
    sa.Column('lost_at', Moment),
)

#: Which images a node has in its cache: what is told of it. Its files are the truth.
cached_images = sa.Table(
    'cached_images',
    metadata,
    sa.Column('id', Counter, primary_key=True, autoincrement=True),
    sa.Column('node', sa.String(255), nullable=False),
    sa.Column('image_id', Uuid, nullable=False),
    sa.Column('size', Bytes, nullable=False),
    sa.Column('checksum', sa.String(32)),
    sa.Column('hits', sa.Integer, nullable=False, default=0),
    sa.Column('last_accessed', Seconds, nullable=False),
    sa.Column('last_modified', Seconds, nullable=False),
    sa.UniqueConstraint('node', 'image_id'),
    sa.Index('ix_cached_images_image_id', 'image_id'),
)

#: Which images a node is to fetch into its cache.
cache_queue = sa.Table(
    'cache_queue',
    metadata,
    sa.Column('node', sa.String(255), primary_key=True),
    sa.Column('image_id', Uuid, primary_key=True),
    sa.Column('queued_at', Seconds, nullable=False),
    sa.Column('attempts', sa.Integer, nullable=False, default=0),
)

#: What was taken over from a Glance: as what it stood there, and when that was last changed there.
adoptions = sa.Table(
    'adoptions',
    metadata,
    sa.Column('kind', sa.String(16), primary_key=True),
    sa.Column('id', sa.String(80), primary_key=True),
    sa.Column('digest', sa.String(64), nullable=False),
    sa.Column('updated_at', Moment, nullable=False),
)

#: Objects in stores whose owner nobody knows, and since when they are seen to be there.
strays = sa.Table(
    'strays',
    metadata,
    sa.Column('store', sa.String(255), primary_key=True),
    sa.Column('object_name', sa.String(255), primary_key=True),
    sa.Column('since', Seconds, nullable=False),
)

#: What the hosts of conductors have found of the stores; code and message are null where one can be used.
store_checks = sa.Table(
    'store_checks',
    metadata,
    sa.Column('host', sa.String(255), primary_key=True),
    sa.Column('store', sa.String(255), primary_key=True),
    sa.Column('code', sa.String(64)),
    sa.Column('message', LongText),
    sa.Column('full', sa.Boolean, nullable=False),
    sa.Column('since', Moment, nullable=False),
    sa.Column('holds_until', Seconds, nullable=False),
)

#: What keeps imports from working, and since when; null where it does not hold.
hindrances = sa.Table(
    'hindrances',
    metadata,
    sa.Column('name', sa.String(32), primary_key=True),
    sa.Column('since', Seconds),
)
