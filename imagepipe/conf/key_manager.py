"""[key_manager] and the groups of its backends: castellan's options, with no key manager by default."""

import copy

from castellan import options as castellan
from oslo_config import cfg

GROUP = 'key_manager'


def register(conf: cfg.ConfigOpts) -> None:
    """Register castellan's options."""
    castellan.set_defaults(conf)
    conf.set_default('backend', None, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    groups = [(group, copy.deepcopy(options)) for group, options in castellan.list_opts()]
    for option in (option for group, options in groups if group == GROUP for option in options):
        if option.name == 'backend':
            option.default = None
            option.help = """
The key manager that certificates of signed images come from: barbican, vault, or
the path of a class. Without one, the data of images with the four properties
img_signature* is refused: nothing signed is taken unverified; and the keys of
encrypted images are not deleted with them. barbican is asked with the token of
whoever uploads, imports or deletes.
"""
    return groups
