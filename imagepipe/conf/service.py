"""[DEFAULT]: the Images API and the limits of images, by Glance's names."""

from oslo_config import cfg, types

_UNLIMITED = 'A negative number lifts the limit.'

OPTS = [
    cfg.StrOpt(
        'host',
        regex=r'^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$',
        help="""
The name of this host, as claims, conductors and staged data are known by it.
Unset: the host name. Set it where the host name may change, as in containers,
or where API and conductor share a staging directory under different host names.
It must differ from every other host's.
""",
    ),
    cfg.URIOpt(
        'public_endpoint',
        schemes=['http', 'https'],
        help="""
The URL under which clients reach this service, without a version, such as
https://cloud.example.org:9292. It stands in the version documents. Without it
the URL of each request is used; set it where a proxy changes the host or the
path and [oslo_middleware] enable_proxy_headers_parsing is off.
""",
    ),
    cfg.IntOpt(
        'limit_param_default',
        default=25,
        min=1,
        help='How many images or imports a list has when the client names no limit.',
    ),
    cfg.IntOpt(
        'api_limit_max',
        default=1000,
        min=1,
        help='The longest page of a list; a larger limit is cut to this without an error.',
    ),
    cfg.BoolOpt(
        'allow_anonymous_access',
        default=False,
        help="""
Whether requests without a valid token are let in, to read only. The default
policy gives them nothing, since they have no role; set it together with rules
for get_images, get_image and download_image that need none.
""",
    ),
    cfg.IntOpt(
        'max_request_id_length',
        default=64,
        min=8,
        max=250,
        help='The longest X-Openstack-Request-ID taken over from a client; a longer one is refused with 431.',
    ),
    cfg.BoolOpt(
        'show_image_direct_url',
        default=False,
        help="""
Whether images show direct_url, the URL of their data in the store of the
highest weight, to everybody who sees the image. Nova and Cinder clone from it
with rbd. Such URLs tell where the data is and may hold names that you do not
want to give away.
""",
    ),
    cfg.BoolOpt(
        'show_multiple_locations',
        default=False,
        deprecated_for_removal=True,
        deprecated_reason='Services read GET /v2/images/{image_id}/locations.',
        help="""
Whether images show all their locations, with the same caution as
show_image_direct_url, and whether a PATCH may change them.
""",
    ),
    cfg.IntOpt(
        'image_property_quota',
        default=128,
        help=f'How many custom properties an image may have. {_UNLIMITED}',
    ),
    cfg.IntOpt('image_tag_quota', default=128, help=f'How many tags an image may have. {_UNLIMITED}'),
    cfg.IntOpt(
        'image_location_quota',
        default=10,
        help=f'How many locations an image may be given by a patch. {_UNLIMITED}',
    ),
    cfg.BoolOpt(
        'do_secure_hash',
        default=True,
        help="""
Whether data at an added location is read to be hashed. With validation_data it is
read before the image becomes active, and must match; without, the image is active
first and gets its digests when they are known. Without this option validation_data
is stored as it comes, and other images have no digests. Every byte is read once,
by a conductor.
""",
    ),
    cfg.IntOpt(
        'http_retries',
        default=3,
        min=1,
        max=100,
        help='How often reading the data at an added location is tried, whatever its store.',
    ),
    cfg.IntOpt(
        'image_member_quota',
        default=128,
        help=f'How many projects an image may be shared with. {_UNLIMITED}',
    ),
    cfg.IntOpt(
        'image_size_cap',
        default=1099511627776,
        min=1,
        max=9223372036854775807,
        help="""
The largest image in bytes. Uploads and staged data beyond it are refused with
413, imports fail. It is frozen into an import when that is accepted.
""",
    ),
    cfg.BoolOpt(
        'delayed_delete',
        default=False,
        help="""
Whether the data of a deleted image is kept for scrub_time. The image is gone
for everybody at once and counts for no quota; until it is scrubbed,
imagepipe-manage images restore gives it back.
""",
    ),
    cfg.IntOpt(
        'scrub_time',
        default=0,
        min=0,
        help="""
Seconds for which delayed_delete keeps the data of a deleted image. A conductor
removes it with the next sweep after that, see [conductor] sweep_interval.
""",
    ),
    cfg.StrOpt(
        'user_storage_quota',
        default='0',
        help="""
How much a project may store, in bytes or with a unit: B, KB, MB, GB, TB, each
1024 times the one before. Each copy in a store counts. 0 is no limit. Like the
other user_*_quota it does nothing with use_keystone_limits.
""",
    ),
    cfg.StrOpt(
        'user_staging_quota',
        default='0',
        help="""
How much a project may have in the staging area, by PUT stage and by imports at
work, with the units of user_storage_quota. 0 is no limit; [staging] capacity
bounds the area whoever fills it.
""",
    ),
    cfg.IntOpt(
        'user_image_quota',
        default=-1,
        help=f'How many images a project may have, those without data too. {_UNLIMITED}',
    ),
    cfg.IntOpt(
        'user_uploading_quota',
        default=-1,
        help=f"""
How many images of a project may be uploaded, staged or imported at a time. A
staged image counts until its import has ended. {_UNLIMITED}
""",
    ),
    cfg.BoolOpt(
        'use_keystone_limits',
        default=False,
        help="""
Whether the limits of projects are Keystone's unified limits, registered for this
service as image_size_total and image_stage_total (MiB), image_count_total and
image_count_uploading. A limit that is not registered is 0. [oslo_limit] says how
Keystone is asked; while it does not answer, what needs a limit is refused with
503. The limits then stand in /v2/info/usage too.
""",
    ),
    cfg.FloatOpt(
        'keystone_limits_ttl',
        default=5.0,
        min=0,
        max=300,
        help="""
For how many seconds a process keeps limits that it has read from Keystone. A
change of a limit takes effect after that; what was begun before keeps the limits
that it began with.
""",
    ),
    cfg.StrOpt(
        'hashing_algorithm',
        default='sha512',
        help="""
The algorithm of os_hash_value, any that hashlib has. Images that exist keep
theirs. Clients verify downloads with it: choose one that they have.
""",
    ),
    cfg.ListOpt(
        'enabled_import_methods',
        default=['glance-direct', 'web-download', 'copy-image'],
        item_type=types.String(choices=['glance-direct', 'web-download', 'copy-image', 'glance-download']),
        bounds=True,
        help="""
The import methods that clients may use; they are told in /v2/info/import. Those
that this release does not have are left out, and glance-download where Keystone
makes no trusts for this service, see [delegation]. Without glance-direct nothing
can be staged. Written in brackets, as [glance-direct,web-download].
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [('DEFAULT', OPTS)]
