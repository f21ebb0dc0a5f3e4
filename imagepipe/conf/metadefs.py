"""[DEFAULT]: where the files of metadata definitions are, by Glance's name."""

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        'metadata_source_path',
        default='/etc/imagepipe/metadefs',
        help="""
The directory, or the one file, that imagepipe-manage db load_metadefs reads and
db export_metadefs writes to when they are given no --path. Services do not read
it: metadata definitions are served from the database.
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [('DEFAULT', OPTS)]
