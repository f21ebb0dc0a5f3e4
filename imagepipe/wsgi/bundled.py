"""gunicorn, as imagepipe-api and imagepipe-standalone run it: threads, and early answers that arrive.

Two things that gunicorn leaves to nobody are done here: `100 Continue` is sent when the body is
first read (so that a refusal comes before the body), and an application can close a connection.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.app.base import BaseApplication

from imagepipe.api.bodies import CLOSE, CONTINUE, Application, Environ

_HERE = threading.local()
#: gunicorn's mark of a request that waits for our word. Without it gunicorn has sent the word itself.
_EXPECTED = '_expected_100_continue'


class Server(BaseApplication):
    """gunicorn with the given settings; `make` is called in each worker, after the fork."""

    def __init__(self, make: Callable[[], Application], settings: dict[str, object]) -> None:
        self._make = make
        self._settings = settings
        super().__init__(prog='imagepipe-api')

    def load_config(self) -> None:
        fixed = {
            'worker_class': 'gthread',
            'pre_request': _before_request,
            'control_socket_disable': True,
            'proc_name': 'imagepipe-api',
            'limit_request_line': 8190,
        }
        for name, value in (fixed | self._settings).items():
            if name in self.cfg.settings:  # older releases of gunicorn do not have them all
                self.cfg.set(name, value)

    def load(self) -> Application:
        return _Connected(self._make())


class _Connected:
    """The application, with a hand on the connection of each request."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[CLOSE] = _HERE.request.force_close
        if _HERE.waiting:
            connection = environ['gunicorn.socket']
            environ[CONTINUE] = lambda: connection.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
        return self._application(environ, start_response)


def _before_request(_worker: object, request: Any) -> None:
    """gunicorn calls this in the thread that runs the application next."""
    _HERE.request = request
    _HERE.waiting = getattr(request, _EXPECTED, False)
    if _HERE.waiting:
        setattr(request, _EXPECTED, False)
