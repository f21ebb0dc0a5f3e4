"""[oslo_reports]: where Guru Meditation Reports go. The options are oslo.reports' own."""

from oslo_config import cfg
from oslo_reports import opts


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    opts.set_defaults(conf)
