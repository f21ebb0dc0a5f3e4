"""The limits of projects as Keystone's unified limits, read through oslo.limit.

oslo.limit is asked what the limits are and not whether something fits: that, two requests at the
same moment would both be told.
"""

import logging
import threading
import time

from keystoneauth1 import exceptions as keystone_errors
from openstack import exceptions as sdk_errors
from oslo_config import cfg
from oslo_limit import exception as limit_errors
from oslo_limit import limit

from imagepipe import errors
from imagepipe.domain.usage import KEYSTONE_NAMES, MEBIBYTE, UNLIMITED, Limits

LOG = logging.getLogger(__name__)

#: What [oslo_limit] has where it does not say: seconds that Keystone has for an answer, and how often
#: a connection is tried again that turns out to have been closed.
_DEFAULTS = {'timeout': 10.0, 'connect_retries': 1}
#: Limits that are kept at a time; then those that have expired are dropped.
_KEPT = 1000

#: Keystone is away, does not let us in, or has no such service, endpoint or enforcement model.
_TROUBLE = (
    keystone_errors.ClientException,
    sdk_errors.SDKException,
    limit_errors.SessionInitError,
    ValueError,
)


class KeystoneLimits:
    """Limits by project, each kept for `ttl` seconds. Nothing is asked before the first call of of().

    oslo.limit reads the process's own ConfigOpts, which is given the files that `conf` was read from.
    """

    shown = True

    def __init__(self, conf: cfg.ConfigOpts, *, ttl: float) -> None:
        self._ttl = ttl
        self._lock = threading.Lock()
        self._enforcer: limit.Enforcer | None = None
        self._kept: dict[str, tuple[float, Limits]] = {}
        _configure(conf)

    def of(self, owner: str | None) -> Limits:
        """The project's own limits, else the registered ones. Raises LimitsUnavailable.

        What belongs to no project has none: only administrators can make it.
        """
        if owner is None:
            return UNLIMITED
        with self._lock:
            until, limits = self._kept.get(owner, (0.0, UNLIMITED))
        if time.monotonic() < until:
            return limits
        limits = self._ask(owner)
        self._keep(owner, limits)
        return limits

    def _ask(self, owner: str) -> Limits:
        try:
            enforcer = self._connected()
            found = dict(enforcer.get_registered_limits(None))
            found |= dict(enforcer.get_project_limits(owner, None))
        except _TROUBLE as error:
            LOG.error('The limits of project %r could not be read from Keystone: %s', owner, error)
            raise errors.LimitsUnavailable() from error
        return {
            resource.value: found.get(name, 0) * (MEBIBYTE if resource.sized else 1)
            for resource, name in KEYSTONE_NAMES.items()
            if found.get(name, 0) >= 0
        }

    def _connected(self) -> limit.Enforcer:
        # Not under the lock: two threads may both make one, and none waits for the other's Keystone.
        if self._enforcer is None:
            self._enforcer = limit.Enforcer(_unasked, cache=False)
        return self._enforcer

    def _keep(self, owner: str, limits: Limits) -> None:
        now = time.monotonic()
        with self._lock:
            if len(self._kept) >= _KEPT:
                self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
            self._kept[owner] = (now + self._ttl, limits)


def _configure(conf: cfg.ConfigOpts) -> None:
    files = [word for path in conf.config_file or () for word in ('--config-file', path)]
    directories = [word for path in conf.config_dir or () for word in ('--config-dir', path)]
    cfg.CONF([*files, *directories], project='imagepipe', default_config_files=[], default_config_dirs=[])
    for name, value in _DEFAULTS.items():
        cfg.CONF.set_default(name, value, group='oslo_limit')


def _unasked(project_id: str | None, names: object) -> dict[str, int]:
    """oslo.limit wants to be told what is used; this service compares for itself."""
    return {}
