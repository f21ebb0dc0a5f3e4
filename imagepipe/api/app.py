"""The WSGI application: its middlewares, and the dispatch of a request to its handler."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import webob
from oslo_middleware import cors, healthcheck, http_proxy_to_wsgi

from imagepipe import errors
from imagepipe.api import auth, health, rendering, routes
from imagepipe.api.gate import Gate
from imagepipe.api.request import Request
from imagepipe.api.versions import VersionNegotiation

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

WSGIApplication = Callable[[dict, Callable], Iterable[bytes]]
_SAFE = ('GET', 'HEAD', 'OPTIONS')


class Application:
    """The Images API over these services. Making it connects to nothing."""

    def __init__(self, services: 'Services') -> None:
        self._application = _stack(services)

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        return self._application(environ, start_response)


def _stack(services: 'Services') -> WSGIApplication:
    """The middlewares around the dispatch, innermost first."""
    conf = services.conf
    application: WSGIApplication = auth.authenticated(Dispatch(services), services)
    if services.tracing is not None:
        application = services.tracing.requests(application)
    application = VersionNegotiation(application, services)
    application = Health(
        application,
        {
            '/healthcheck': healthcheck.Healthcheck(None, conf),
            '/readiness': health.Ready(
                services.readiness,
                required=conf.api.readiness_requires,
                told=health.networks(conf.api.readiness_details_to),
            ),
        },
    )
    behind_proxy = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        application = behind_proxy
    return CrossOrigin(application, cors.CORS(application, conf))


class CrossOrigin:
    """Passes what a browser asks for another site through CORS, and nothing else: it has nothing to do."""

    def __init__(self, application: WSGIApplication, checked: WSGIApplication) -> None:
        self._application = application
        self._checked = checked

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        concerned = environ['REQUEST_METHOD'] == 'OPTIONS' or 'HTTP_ORIGIN' in environ
        return (self._checked if concerned else self._application)(environ, start_response)


class Health:
    """/healthcheck and /readiness, for load balancers and whoever watches: no token, no version."""

    def __init__(self, application: WSGIApplication, checks: Mapping[str, WSGIApplication]) -> None:
        self._application = application
        self._checks = checks

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        check = self._checks.get(environ.get('PATH_INFO', '').rstrip('/'), self._application)
        return check(environ, start_response)


class Dispatch:
    """Finds the handler of a request, calls it, and makes a response of whatever it does."""

    def __init__(self, services: 'Services') -> None:
        self._services = services
        rows = routes.ROUTES
        if services.tracing is not None:
            rows = services.tracing.operations(rows)
        self._table = routes.Table(rows)
        self._gate = Gate(services.conf)

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        started = time.monotonic()
        request = Request(environ)
        request.routes = self._table.rows
        request.gate = self._gate
        response = self._response(request)
        response.headers['x-openstack-request-id'] = request.context.request_id
        LOG.info('%s %d %.3fs', _asked(request), response.status_int, time.monotonic() - started)
        return response(environ, start_response)

    def _response(self, request: Request) -> webob.Response:
        try:
            return self._handle(request)
        except errors.ImagepipeError as error:
            if error.status in (500, 503):
                LOG.error('%s: %s: %s', _asked(request), error.code, error, exc_info=error)
            return rendering.error(request, error)
        except Exception:
            LOG.exception('%s failed', _asked(request))
            return rendering.error(request, errors.ImagepipeError())

    def _handle(self, request: Request) -> webob.Response:
        path = request.path_text
        if path == '/v2':
            return webob.Response(status=302, location='/v2/', content_length=0)
        route, arguments = self._table.find(request.method, path)
        if route.body is routes.Body.NONE and request.has_body:
            raise errors.BodyNotAllowed()
        if request.context.read_only and request.method not in _SAFE:
            raise errors.ReadOnlyCaller()
        request.route = route
        return route.handler(request, self._services, **arguments)


def _asked(request: Request) -> str:
    """Method and path for the log, quoted: a line break in them would begin a line of the client's own."""
    path = request.environ.get('PATH_INFO', '').encode('latin-1')  # as WSGI hands bytes over
    return f'{quote(request.method)} {quote(path)}'
