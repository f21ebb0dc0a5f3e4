"""Which URLs the service fetches for its users: names and defaults of Glance, and networks besides."""

from collections.abc import Sequence

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'import_filtering_opts',
    title='Which source URLs are fetched',
    help='Checked when an import is asked for, again when it fetches, and again at each redirect. '
    'An allow list that is not empty makes its deny list void. Schemes are checked first, then hosts, '
    'then ports, then the addresses that the host resolves to.',
)

_PORT = cfg.types.Integer(min=1, max=65535)

OPTS = [
    cfg.ListOpt(
        'allowed_schemes',
        default=['http', 'https'],
        help='The schemes that may be fetched. Others than http and https are never fetched, listed or not.',
    ),
    cfg.ListOpt(
        'disallowed_schemes',
        default=[],
        help='The schemes that may not be fetched. Used only if allowed_schemes is empty.',
    ),
    cfg.ListOpt(
        'allowed_hosts',
        default=[],
        help='Host names and addresses that may be fetched from; if any is listed, all others are refused. '
        'A listed host may be on any network, private, link-local and loopback ones too, unless '
        'disallowed_networks has it, and its name is resolved with the search domains and /etc/hosts of '
        'the service. A name is compared as a whole; there are no wildcards.',
    ),
    cfg.ListOpt(
        'disallowed_hosts',
        default=[],
        help='Host names and addresses that may not be fetched from. A listed address is refused under '
        'any name that resolves to it. Used only if allowed_hosts is empty.',
    ),
    cfg.ListOpt(
        'allowed_ports',
        default=[80, 443],
        item_type=_PORT,
        help='The ports that a URL may name. A URL without a port is not held against this list.',
    ),
    cfg.ListOpt(
        'disallowed_ports',
        default=[],
        item_type=_PORT,
        help='The ports that a URL may not name. Used only if allowed_ports is empty.',
    ),
    cfg.ListOpt(
        'allowed_networks',
        default=[],
        help='Networks such as 10.20.0.0/16 that may be connected to although they are not part of the '
        'public internet. Without this or allowed_hosts only global addresses are connected to. '
        'An IPv6 network that translates to IPv4, such as 64:ff9b::/96, opens only what is permitted of '
        'IPv4.',
    ),
    cfg.ListOpt(
        'disallowed_networks',
        default=[],
        help="Networks that are never connected to, whatever the other lists say: the cloud's own public "
        'addresses, for example. Endpoints in the service catalog are not meant if trust_catalog is set.',
    ),
    cfg.BoolOpt(
        'trust_catalog',
        default=True,
        help="Whether glance-download reads from the image services in Keystone's catalog wherever they are. "
        'Then none of these lists holds for such an endpoint, as only an operator writes the catalog; they '
        'hold for what it redirects to. If false, they hold for endpoints too, as in Glance, and '
        'allowed_ports must have those of the endpoints.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Add the group to a ConfigOpts."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """For the sample configuration."""
    return [(GROUP, OPTS)]
