"""Who asks: contexts from Keystone's headers, or without Keystone (reference, section 1.2)."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from keystoneauth1 import exceptions as keystone
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
EVERY_ROLE = ('admin', 'manager', 'member', 'reader', 'service')
#: Keystone did not say whether a token is valid.
_UNANSWERED = (
    auth_token.ServiceError,
    keystone.ConnectFailure,
    keystone.DiscoveryFailure,
    keystone.RequestTimeout,
)
_PRINTABLE = re.compile('[!-~]+')


def authenticated(application: WSGIApplication, services: 'Services') -> WSGIApplication:
    """The application behind whatever [api] auth_strategy says."""
    if services.conf.api.auth_strategy == 'none':
        return ContextMiddleware(application, services, anonymous_admin)
    return TokenCheck(
        ContextMiddleware(application, services, keystone_caller),
        # Nobody here reads the caller's catalog, and making it a header takes long.
        {
            'oslo_config_config': services.conf,
            'delay_auth_decision': True,
            'include_service_catalog': False,
        },
    )


class TokenCheck(auth_token.AuthProtocol):
    """keystonemiddleware; but where Keystone cannot be asked, a token is not called invalid: 503, not 401."""

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        try:
            return super().__call__(environ, start_response)
        except errors.IdentityUnavailable as error:
            return rendering.error(Request(environ), error)(environ, start_response)

    def fetch_token(self, token: str, **kwargs: object) -> object:
        """What Keystone says of a token. Raises IdentityUnavailable."""
        try:
            return super().fetch_token(token, **kwargs)
        except auth_token.InvalidToken as error:
            if isinstance(error.__context__, _UNANSWERED):
                raise errors.IdentityUnavailable() from error
            raise
        except keystone.EndpointNotFound as error:
            raise errors.IdentityUnavailable() from error


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
    environ = request.environ  # webob takes long to translate the names of headers
    if environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
        if services.conf.allow_anonymous_access:
            return {'is_admin': False, 'read_only': True}
        raise errors.NotAuthenticated()
    return {
        'user_id': environ.get('HTTP_X_USER_ID'),
        'project_id': environ.get('HTTP_X_PROJECT_ID'),
        'user_domain_id': environ.get('HTTP_X_USER_DOMAIN_ID'),
        'project_domain_id': environ.get('HTTP_X_PROJECT_DOMAIN_ID'),
        'domain_id': environ.get('HTTP_X_DOMAIN_ID'),
        'system_scope': environ.get('HTTP_OPENSTACK_SYSTEM_SCOPE'),
        'auth_token': environ.get('HTTP_X_AUTH_TOKEN'),
        'roles': _names(environ.get('HTTP_X_ROLES')),
        'service_roles': _names(environ.get('HTTP_X_SERVICE_ROLES')),
    }


def _names(text: str | None) -> list[str]:
    return [name.strip().lower() for name in (text or '').split(',') if name.strip()]


def _request_id(request: Request, limit: int) -> str:
    """The client's own id, with the usual prefix, or a new one. Raises RequestIdTooLong."""
    given = request.headers.get('X-Openstack-Request-ID', '').strip()
    if len(given) > limit:
        raise errors.RequestIdTooLong(limit=limit)
    if not _PRINTABLE.fullmatch(given):
        return generate_request_id()
    return given if given.startswith('req-') else f'req-{given}'
