"""[api]: how the API knows its callers and what it reads from them."""

from oslo_config import cfg
from oslo_middleware import opts as middleware

GROUP = cfg.OptGroup('api', title='The HTTP side')

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
