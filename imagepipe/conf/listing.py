"""Every option of imagepipe for oslo-config-generator."""

from oslo_config import cfg

from imagepipe import conf


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    """(group, options) of each group, in the order of their modules."""
    return [
        entry for module in conf.modules() if hasattr(module, 'list_opts') for entry in module.list_opts()
    ]
