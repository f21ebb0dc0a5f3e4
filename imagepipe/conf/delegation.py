"""[delegation]: how imports act for their users in other services, by trusts of Keystone."""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = cfg.OptGroup(
    'delegation',
    title='Rights that users hand on to their imports',
    help='glance-download reads an image of another region with the rights of the user who asked for it. '
    'Keystone makes a trust for each such import: the service may act as that user in his project until '
    'the import has ended. The service logs in as auth_section says, by default as [keystone_authtoken] '
    'does; that must be a user with a password, since nothing else can use a trust.',
)

OPTS = [
    cfg.ListOpt(
        'roles',
        default=['member', 'reader'],
        help='Roles that are handed on, as far as the user has them. An import with none of them is refused '
        'with 403. They must be enough to show and download an image in every region. Naming admin lets '
        'administrators download what only they can see, and lets the service act as them meanwhile.',
    ),
    cfg.FloatOpt(
        'lifetime',
        default=48.0,
        min=0.1,
        max=8760.0,
        help='Hours after which a trust ends in any case. An import that has not read its source by then, '
        'for waiting or for slowness, fails.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group; the service's credentials are those of [keystone_authtoken] unless it says more."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)
    conf.register_opts(_keystone(), group=GROUP)
    conf.set_default('auth_section', 'keystone_authtoken', group='delegation')
    conf.set_default('timeout', 30, group='delegation')


def _keystone() -> list[cfg.Opt]:
    return [*loading.get_auth_common_conf_options(), *loading.get_session_conf_options()]


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, [*OPTS, *_keystone()])]
