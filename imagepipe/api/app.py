"""The WSGI application: its middlewares, and the dispatch of a request to its handler."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import webob
from oslo_middleware import cors, healthcheck, http_proxy_to_wsgi
from osprofiler import web as profiling

from imagepipe import errors
from imagepipe.api import auth, rendering, routes
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
    if 'profiler' in conf and conf.profiler.enabled:
        application = profiling.WsgiMiddleware(application, hmac_keys=conf.profiler.hmac_keys, enabled=True)
    application = VersionNegotiation(application, services)
    application = Health(application, healthcheck.Healthcheck(None, conf))
    application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    return cors.CORS(application, conf)


class Health:
    """/healthcheck, for load balancers: no token, no version."""

    def __init__(self, application: WSGIApplication, check: WSGIApplication) -> None:
        self._application = application
        self._check = check

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        found = environ.get('PATH_INFO', '').rstrip('/') == '/healthcheck'
        return (self._check if found else self._application)(environ, start_response)


class Dispatch:
    """Finds the handler of a request, calls it, and makes a response of whatever it does."""

    def __init__(self, services: 'Services') -> None:
        self._services = services
        self._table = routes.Table(routes.ROUTES)

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        started = time.monotonic()
        request = Request(environ)
        response = self._response(request)
        response.headers['x-openstack-request-id'] = request.context.request_id
        LOG.info(
            '%s %s %d %.3fs',
            request.method,
            environ.get('PATH_INFO', ''),
            response.status_int,
            time.monotonic() - started,
        )
        return response(environ, start_response)

    def _response(self, request: Request) -> webob.Response:
        try:
            return self._handle(request)
        except errors.ImagepipeError as error:
            if error.status in (500, 503):
                LOG.error(
                    '%s %s: %s: %s',
                    request.method,
                    request.environ.get('PATH_INFO'),
                    error.code,
                    error,
                    exc_info=error,
                )
            return rendering.error(request, error)
        except Exception:
            LOG.exception('%s %s failed', request.method, request.environ.get('PATH_INFO', ''))
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
        return route.handler(request, self._services, **arguments)
