"""Every option, one file per group; this module collects them into a ConfigOpts.

Only services.py, operations, api and the entry points read a ConfigOpts; whatever
stands below them is given values.
"""

import importlib
import os
import pkgutil
from collections.abc import Iterator, Sequence
from types import ModuleType

from oslo_config import cfg
from oslo_log import log

from imagepipe import errors

CONFIG_DIR = '/etc/imagepipe'
#: Libraries that tell keys, signatures or tokens when they log at debug level.
_DISCREET = (
    'kazoo=INFO',
    'botocore=INFO',
    'boto3=INFO',
    's3transfer=INFO',
    'swiftclient=WARN',
    'osprofiler=WARN',
)


def modules() -> Iterator[ModuleType]:
    """The modules of this package that declare options."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f'{__name__}.{found.name}')
        if hasattr(module, 'register'):
            yield module


def new() -> cfg.ConfigOpts:
    """A ConfigOpts with every option registered and no file read."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    # The resource that a worker's log lines are about is an import.
    conf.set_default('instance_uuid_format', '[import: %(uuid)s] ')
    conf.set_default('default_log_levels', [*log.get_default_log_levels(), *_DISCREET])
    for module in modules():
        module.register(conf)
    return conf


def files() -> list[str]:
    """The configuration files of a service: imagepipe.conf of $OS_IMAGEPIPE_CONFIG_DIR."""
    directory = os.environ.get('OS_IMAGEPIPE_CONFIG_DIR', CONFIG_DIR)
    path = os.path.join(directory, 'imagepipe.conf')
    return [path] if os.path.exists(path) else []


def load(argv: Sequence[str], prog: str, conf: cfg.ConfigOpts | None = None) -> cfg.ConfigOpts:
    """The configuration of a process, from its command line and files.

    Raises ConfigurationInvalid.
    """
    conf = conf if conf is not None else new()
    try:
        conf(list(argv), project='imagepipe', prog=prog, default_config_files=files())
    except cfg.Error as error:
        raise errors.ConfigurationInvalid(reason=str(error)) from error
    return conf


def check_values(conf: cfg.ConfigOpts) -> None:
    """Read every option once: oslo.config finds a value wrong only when it is read.

    Raises ConfigurationInvalid, so that a mistake is told at the start and not by a request.
    """
    try:
        for name in conf:
            section = conf[name]
            if isinstance(section, cfg.ConfigOpts.GroupAttr):
                for option in section:
                    section[option]
    except cfg.Error as error:
        raise errors.ConfigurationInvalid(reason=str(error)) from error
