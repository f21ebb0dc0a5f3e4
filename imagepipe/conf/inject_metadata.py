"""[inject_metadata_properties]: properties that an import gives its image."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'inject_metadata_properties',
    title='Properties of imported images',
    help='Frozen into the import when it is accepted. An image whose data is uploaded or copied gets none.',
)

OPTS = [
    cfg.DictOpt(
        'inject',
        default={},
        help="""
The custom properties that an image gets when it is imported, such as
"checked:no,origin:import"; they replace what the image has under these names.
Property protections apply as for the importing user: what he may not write is
left out, and logged. Names that begin with os_glance are left out.
""",
    ),
    cfg.ListOpt(
        'ignore_user_roles',
        default=['admin'],
        help='Images imported by a user with one of these roles get none of them.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
