"""Who asks: contexts from Keystone's headers, or without Keystone (reference, section 1.2)."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from keystonemiddleware import auth_token
from oslo_context.context import generate_request_id

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.request import Request
from imagepipe.context import RequestContext

if TYPE_CHECKING:
    from imagepipe.services import Services

WSGIApplication = Callable[[dict, Callable], Iterable[bytes]]

#: Roles of a caller where there is no Keystone to give some.
EVERY_ROLE = ('admin', 'manager', 'member', 'reader')
_PRINTABLE = re.compile('[!-~]+')


def authenticated(application: WSGIApplication, services: 'Services') -> WSGIApplication:
    """The application behind whatever [api] auth_strategy says."""
    if services.conf.api.auth_strategy == 'none':
        return ContextMiddleware(application, services, anonymous_admin)
    return auth_token.AuthProtocol(
        ContextMiddleware(application, services, keystone_caller),
        {'oslo_config_config': services.conf, 'delay_auth_decision': True},
    )


class ContextMiddleware:
    """Gives each request its context; answers 401 to those who may have none."""

    def __init__(
        self,
        application: WSGIApplication,
        services: 'Services',
        caller: Callable[[Request, 'Services'], Mapping[str, object]],
    ) -> None:
        self._application = application
        self._services = services
        self._caller = caller

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = Request(environ)
        try:
            request.context = self._context(request)
        except errors.ImagepipeError as error:
            return rendering.error(request, error)(environ, start_response)
        return self._application(environ, start_response)

    def _context(self, request: Request) -> RequestContext:
        limit = self._services.conf.max_request_id_length
        caller = self._caller(request, self._services)
        context = RequestContext(request_id=_request_id(request, limit), **caller)
        if 'is_admin' not in caller:
            context.is_admin = self._services.policy.is_admin(context)
        return context


def anonymous_admin(request: Request, services: 'Services') -> Mapping[str, object]:
    """Without Keystone everybody is an administrator without a project."""
    return {'is_admin': True, 'roles': list(EVERY_ROLE)}


def keystone_caller(request: Request, services: 'Services') -> Mapping[str, object]:
    """What keystonemiddleware found out. Raises NotAuthenticated."""
    headers = request.headers
    if headers.get('X-Identity-Status') != 'Confirmed':
        if services.conf.allow_anonymous_access:
            return {'is_admin': False, 'read_only': True}
        raise errors.NotAuthenticated()
    return {
        'user_id': headers.get('X-User-Id'),
        'project_id': headers.get('X-Project-Id'),
        'user_domain_id': headers.get('X-User-Domain-Id'),
        'project_domain_id': headers.get('X-Project-Domain-Id'),
        'domain_id': headers.get('X-Domain-Id'),
        'system_scope': headers.get('OpenStack-System-Scope'),
        'auth_token': headers.get('X-Auth-Token'),
        'roles': _names(headers.get('X-Roles')),
        'service_roles': _names(headers.get('X-Service-Roles')),
        'service_catalog': _catalog(headers.get('X-Service-Catalog')),
    }


def _names(text: str | None) -> list[str]:
    return [name.strip().lower() for name in (text or '').split(',') if name.strip()]


def _catalog(text: str | None) -> list[dict] | None:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise errors.InvalidHeader(name='X-Service-Catalog', reason='it is not JSON') from None


def _request_id(request: Request, limit: int) -> str:
    """The client's own id, with the usual prefix, or a new one. Raises RequestIdTooLong."""
    given = request.headers.get('X-Openstack-Request-ID', '').strip()
    if len(given) > limit:
        raise errors.RequestIdTooLong(limit=limit)
    if not _PRINTABLE.fullmatch(given):
        return generate_request_id()
    return given if given.startswith('req-') else f'req-{given}'
