"""[api]: how the API knows its callers and what it reads from them."""

from oslo_config import cfg, types
from oslo_middleware import opts as middleware

GROUP = cfg.OptGroup('api', title='The HTTP side')

#: What /readiness looks at.
READINESS_PARTS = (
    'database',
    'staging',
    'conductor',
    'conductor_staging',
    'converter',
    'broker',
    'default_store',
    'store',
)

OPTS = [
    cfg.StrOpt(
        'auth_strategy',
        default='keystone',
        choices=[
            ('keystone', 'Tokens are checked by keystonemiddleware, see [keystone_authtoken].'),
            ('none', 'Every request is an administrator without a project.'),
        ],
        help="""
Who a request comes from. With none, whoever reaches the port may do everything:
it is for one machine, listening on the loopback address only.
""",
    ),
    cfg.IntOpt(
        'max_json_body',
        default=4 * 1024 * 1024,
        min=64 * 1024,
        max=12 * 1024 * 1024,
        help="""
The largest JSON body in bytes; a larger one is refused with 413. It is held in
memory while it is read. Image data does not count: see image_size_cap.
""",
    ),
    cfg.FloatOpt(
        'unavailable_after',
        default=10.0,
        min=0.01,
        max=1440.0,
        help="""
Minutes after which import methods that cannot work are no longer told to clients,
in OpenStack-image-import-methods and /v2/info/import: because no conductor was
there for so long, or because none could write the staging area. They are told
again at once when they work. A request is accepted all the same, and waits.
Shorter than an upgrade of the conductors takes, it makes methods vanish in every
upgrade, and clients that find none give up.
""",
    ),
    cfg.ListOpt(
        'readiness_requires',
        default=['database', 'staging'],
        item_type=types.String(choices=READINESS_PARTS),
        help="""
Without which parts /readiness answers 503, so that nobody sends requests to this
process: database, staging (this host can write it), conductor (one takes
imports), conductor_staging and converter (all hosts with conductors can write
staging, and run qemu-img), broker (it takes notifications), default_store and
store (it, or each of the others, can be used where conductors run). All but the
first two are the same for every process of the API: with one of them here, a
cloud that lacks it is told to be down altogether, although it serves images and
keeps imports and notifications until they can go on.
""",
    ),
    cfg.ListOpt(
        'readiness_details_to',
        default=[],
        help="""
Networks, such as 10.0.0.0/24, from which /readiness also tells what is missing,
with the names of hosts. Others get the bare answer. Behind a proxy the address is
that of the proxy, unless [oslo_middleware] enable_proxy_headers_parsing is set.
""",
    ),
]

#: While this file exists, /healthcheck answers 503 and load balancers send nobody here.
DISABLE_FILE = '/etc/imagepipe/healthcheck_disable'

#: What browsers may send and read by default: Glance's lists.
CORS_DEFAULTS = {
    'allow_headers': [
        'Content-MD5',
        'X-Image-Meta-Checksum',
        'X-Storage-Token',
        'Accept-Encoding',
        'X-Auth-Token',
        'X-Identity-Status',
        'X-Roles',
        'X-Service-Catalog',
        'X-User-Id',
        'X-Tenant-Id',
        'X-OpenStack-Request-ID',
    ],
    'expose_headers': [
        'X-Image-Meta-Checksum',
        'X-Auth-Token',
        'X-Subject-Token',
        'X-Service-Token',
        'X-OpenStack-Request-ID',
    ],
    'allow_methods': ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'],
}


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options, and those of oslo.middleware with our defaults."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)
    for groups in (
        middleware.list_opts_cors(),
        middleware.list_opts_healthcheck(),
        middleware.list_opts_http_proxy_to_wsgi(),
    ):
        for group, options in groups:
            conf.register_opts(options, group=group)
    for name, value in CORS_DEFAULTS.items():
        conf.set_default(name, value, group='cors')
    conf.set_default('backends', ['disable_by_file'], group='healthcheck')
    conf.set_default('disable_by_file_path', DISABLE_FILE, group='healthcheck')


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]
