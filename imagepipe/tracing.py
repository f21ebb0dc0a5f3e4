"""OSProfiler: switched on by configuration, at no cost when it is off."""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from osprofiler import exc, notifier, opts, profiler, web
from osprofiler.drivers import base

from imagepipe import errors

LOG = logging.getLogger(__name__)

#: Seconds between two warnings that trace points are lost.
_QUIET = 60.0


def setup(conf: cfg.ConfigOpts) -> str | None:
    """Initialise the driver; the HMAC key for trace points, None when tracing is off.

    Raises ConfigurationInvalid when the driver cannot be made.
    """
    opts.set_defaults(conf)
    options = conf.profiler
    if not options.enabled:
        return None
    # Neither OSProfiler's own initializer nor its log: both tell the connection string, password and all.
    logging.getLogger('osprofiler').setLevel(logging.WARNING)
    try:
        driver = base.get_driver(
            options.connection_string,
            project='imagepipe',
            service='imagepipe',
            host=socket.gethostname(),
            conf=conf,
            context={},
        )
    except (ValueError, ImportError, exc.CommandError) as error:
        raise errors.ConfigurationInvalid(
            reason=f'[profiler] connection_string names no driver that works ({type(error).__name__})'
        ) from None
    notifier.set(Forgiving(driver.notify))
    web.enable(options.hmac_keys)
    return options.hmac_keys.split(',')[0].strip()


def trace_statements(sqlalchemy: Any, engine: Any, conf: cfg.ConfigOpts) -> None:
    """Make each statement of this engine a trace point, where the operator wants that.

    Without the statement's parameters, unlike OSProfiler's own: they are what tenants store.
    """
    if not (conf.profiler.enabled and conf.profiler.trace_sqlalchemy):
        return

    def start(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        profiler.start('db', info={'db': {'statement': statement}})

    def stop(*_all: object) -> None:
        profiler.stop()

    def failed(context: Any) -> None:
        if context.execution_context is not None:  # else no cursor was there: nothing was started
            profiler.stop(info={'etype': type(context.original_exception).__name__})

    sqlalchemy.event.listen(engine, 'before_cursor_execute', start)
    sqlalchemy.event.listen(engine, 'after_cursor_execute', stop)
    sqlalchemy.event.listen(engine, 'handle_error', failed)


class Forgiving:
    """A driver's notify, for which nobody's request or import fails when the traces' database is away."""

    def __init__(self, notify: Callable[[Mapping[str, object]], None]) -> None:
        self._notify = notify
        self._told = -_QUIET

    def __call__(self, info: Mapping[str, object]) -> None:
        try:
            self._notify(info)
        except Exception as error:  # noqa: BLE001  no driver may fail a request or an import
            if time.monotonic() - self._told >= _QUIET:
                self._told = time.monotonic()
                LOG.warning('Trace points are lost: the driver raises %s', type(error).__name__)
