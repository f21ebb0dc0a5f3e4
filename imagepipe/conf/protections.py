"""[DEFAULT] property_protection_*: Glance's files that say who may do what with custom properties."""

from oslo_config import cfg

from imagepipe import errors

OPTS = [
    cfg.StrOpt(
        'property_protection_file',
        help="""
A file that says who may create, read, update and delete custom properties, in
either of Glance's two formats; see the operators guide. What no section of it
names is denied to everybody. Unset, only the rules of policy.yaml count. The
file is read when a service starts.
""",
    ),
    cfg.StrOpt(
        'property_protection_rule_format',
        default='roles',
        ignore_case=True,
        choices=[
            ('roles', 'The file names roles, separated by commas.'),
            ('policies', 'The file names one rule of policy.yaml for each operation.'),
        ],
        help='What stands in property_protection_file.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [('DEFAULT', OPTS)]


def find(conf: cfg.ConfigOpts) -> str | None:
    """Where the file is; None when none is asked for. Raises ConfigurationInvalid."""
    name = conf.property_protection_file
    if not name:
        return None
    path = conf.find_file(name)
    if path is None:
        raise errors.ConfigurationInvalid(reason=f'property_protection_file: there is no file {name}')
    return path
