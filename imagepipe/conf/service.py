"""[DEFAULT]: the Images API and the limits of images, by Glance's names."""

from oslo_config import cfg, types

_UNLIMITED = 'A negative number lifts the limit.'

OPTS = [
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
        help='Whether images show all their locations, with the same caution as show_image_direct_url.',
    ),
    cfg.IntOpt(
        'image_property_quota',
        default=128,
        help=f'How many custom properties an image may have. {_UNLIMITED}',
    ),
    cfg.IntOpt('image_tag_quota', default=128, help=f'How many tags an image may have. {_UNLIMITED}'),
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
    cfg.StrOpt(
        'user_storage_quota',
        default='0',
        help="""
How much a project may store, in bytes or with a unit: B, KB, MB, GB, TB, each
1024 times the one before. Each copy in a store counts. 0 is no limit.
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
that this release does not have are left out. Without glance-direct nothing can
be staged. Written in brackets, as [glance-direct,web-download].
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [('DEFAULT', OPTS)]
