"""[database]: oslo.db's options, of which imagepipe reads these by their names."""

from oslo_config import cfg
from oslo_db import options


def register(conf: cfg.ConfigOpts) -> None:
    """Register oslo.db's options."""
    conf.register_opts(options.database_opts, group='database')
