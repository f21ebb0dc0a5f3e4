"""OSProfiler: switched on by configuration; when it is off, no trace point exists.

The only importer of OSProfiler. Whoever makes a part wraps its calls in trace points here, once, at the
start of the process; the parts know nothing of it.
"""

import contextlib
import dataclasses
import functools
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from oslo_config import cfg
from osprofiler import exc, notifier, opts, profiler, web
from osprofiler.drivers import base

from imagepipe import errors

LOG = logging.getLogger(__name__)

#: Seconds between two warnings that trace points are lost.
_QUIET = 60.0
#: The header by which a request proves that it may be traced, as WSGI has it.
_HMAC = 'HTTP_X_TRACE_HMAC'
#: Calls of a store, and of qemu-img, that are trace points.
STORE_CALLS = ('put', 'open', 'discard', 'delete', 'size', 'check')
QEMU_IMG_CALLS = ('convert', 'info', 'measure')

Routes = TypeVar('Routes')


def setup(conf: cfg.ConfigOpts) -> 'Tracing | None':
    """Initialise the driver; None when tracing is off.

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
    return Tracing(options.hmac_keys, statements=options.trace_sqlalchemy)


class Tracing:
    """Makes trace points of calls. OSProfiler's trace is the thread's: outside of one they do nothing."""

    def __init__(self, keys: str, *, statements: bool) -> None:
        self._keys = keys
        self._key = keys.split(',', maxsplit=1)[0].strip()
        self._statements = statements

    # What is traced.

    def requests(self, application: Callable) -> Callable:
        """A WSGI application whose requests are traced when they come with one of the operator's keys."""
        traced = web.WsgiMiddleware(application, hmac_keys=self._keys, enabled=True)

        def call(environ: dict, start_response: Callable) -> Iterable[bytes]:
            # OSProfiler compares it as text, which Python refuses for anything but ASCII.
            if not environ.get(_HMAC, '').isascii():
                del environ[_HMAC]
            return traced(environ, start_response)

        return call

    def operations(self, routes: Iterable[Routes]) -> list[Routes]:
        """The routes, each with a handler that is a trace point named after the operation it asks for."""
        return [dataclasses.replace(route, handler=self._operation(route.handler)) for route in routes]

    def calls(self, part: object, name: str, methods: Iterable[str], **info: object) -> None:
        """Make each call of these methods of this object a trace point. Arguments are not told.

        name: without a hyphen, at which `osprofiler trace show` cuts it off.
        """
        for method in methods:
            setattr(part, method, _around(getattr(part, method), name, {**info, 'call': method}))

    def statements(self, sqlalchemy: Any, engine: Any) -> None:
        """Make each statement of this engine a trace point, where the operator wants that.

        Without the statement's parameters, unlike OSProfiler's own: they are what tenants store.
        """
        if not self._statements:
            return

        def start(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            profiler.start('db', info={'db': {'statement': statement}})

        def stop(*_all: object) -> None:
            profiler.stop()

        def failed(context: Any) -> None:
            if context.execution_context is not None:  # else no cursor was there: nothing was started
                profiler.stop(info=_failure(context.original_exception))

        sqlalchemy.event.listen(engine, 'before_cursor_execute', start)
        sqlalchemy.event.listen(engine, 'after_cursor_execute', stop)
        sqlalchemy.event.listen(engine, 'handle_error', failed)

    # Where it goes on.

    def here(self) -> dict[str, str] | None:
        """What continues this thread's trace below its present point, as plain JSON; None without one."""
        current = profiler.get()
        return None if current is None else {'base_id': current.get_base_id(), 'parent_id': current.get_id()}

    @contextlib.contextmanager
    def continued(self, trace: Mapping[str, object] | None, name: str, **info: object) -> Iterator[None]:
        """Within a trace that here() told of, in any process: a trace point. Without one: nothing.

        The thread has no trace before and none afterwards: it is used by many.
        """
        if not trace:
            yield
            return
        profiler.init(self._key, base_id=trace['base_id'], parent_id=trace['parent_id'])
        try:
            with _point(name, info):
                yield
        finally:
            profiler.clean()

    def carried(self, function: Callable[[], None]) -> Callable[[], None]:
        """The function for a thread of its own, where it goes on with this thread's trace."""
        trace = self.here()

        def run() -> None:
            if trace:
                profiler.init(self._key, base_id=trace['base_id'], parent_id=trace['parent_id'])
            try:
                function()
            finally:
                profiler.clean()

        return run

    def _operation(self, handler: Callable) -> Callable:
        noun = handler.__module__.rpartition('.')[2]
        return _around(handler, 'operation', {'operation': f'{noun}.{handler.__name__}'})


def _around(function: Callable, name: str, info: Mapping[str, object]) -> Callable:
    @functools.wraps(function)
    def traced(*args: object, **kwargs: object) -> object:
        with _point(name, info):
            return function(*args, **kwargs)

    return traced


@contextlib.contextmanager
def _point(name: str, info: Mapping[str, object]) -> Iterator[None]:
    """A trace point; of an error it tells the kind only, unlike OSProfiler's own: messages name URLs."""
    profiler.start(name, info=dict(info))
    try:
        yield
    except BaseException as error:
        profiler.stop(info=_failure(error))
        raise
    profiler.stop()


def _failure(error: BaseException) -> dict[str, object]:
    return {'etype': type(error).__name__}


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
