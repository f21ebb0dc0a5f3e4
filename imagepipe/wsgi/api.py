"""The application that WSGI servers import: it is built by the first request of each process.

Its code is read with this module, once, by the process that the others are forked from: they share it, and
their first requests do not wait for it.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe.api import app
from imagepipe.api.bodies import Application, Bodies, Environ
from imagepipe.services import Services
from imagepipe.wsgi.caretaker import Caretaker


def build(conf: cfg.ConfigOpts) -> Application:
    """The whole API over its own Services, for one process."""
    services = Services.build(conf, caches=True)
    if services.cache is not None:
        Caretaker(services).start()
    return Bodies(
        app.Application(services),
        timeout=conf.transfers.client_timeout,
        drain_bytes=conf.transfers.drain_bytes,
        drain_seconds=conf.transfers.drain_seconds,
    )


def from_files() -> Application:
    """The API as the configuration files say."""
    conf = options.load([], 'imagepipe-api')
    log.setup(conf, 'imagepipe')
    return build(conf)


class Lazy:
    """Builds the application once per process, when the first request comes."""

    def __init__(self, make: Callable[[], Application]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._process: int | None = None
        self._application: Application | None = None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._ready()(environ, start_response)

    def _ready(self) -> Application:
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():  # a fork since: its connections are the parent's
                    self._application = self._make()
                    self._process = os.getpid()
        return self._application


application = Lazy(from_files)
