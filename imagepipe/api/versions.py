"""Version documents, and which version a request means (reference, sections 2.1 and 2.2)."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import webob

from imagepipe.api import rendering

if TYPE_CHECKING:
    from imagepipe.services import Services

_OLD = tuple(f'v2.{minor}' for minor in range(7, -1, -1))
_CURRENT = 'v2.17'
#: As Glance lists them without a cache directory, in its order.
_MULTI = ('v2.15', 'v2.13', 'v2.12', 'v2.11', 'v2.10', 'v2.9', 'v2.8', _CURRENT, *_OLD)
_SINGLE = ('v2.15', 'v2.9', _CURRENT, *_OLD)
_VENDOR = 'application/vnd.openstack.images-'

WSGIApplication = Callable[[dict, Callable], Iterable[bytes]]


class VersionNegotiation:
    """Answers with version documents; passes on what names a version, with /v2 as its path."""

    def __init__(self, application: WSGIApplication, services: 'Services') -> None:
        self._application = application
        self._public_endpoint = services.conf.public_endpoint
        self._listed = _MULTI if services.stores.multi else _SINGLE
        self._allowed = frozenset({'v2', *self._listed})

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        path = re.sub('/+', '/', environ.get('PATH_INFO') or '/')
        first, _, rest = path.lstrip('/').partition('/')
        if first == 'versions':
            return self._document(environ, 200)(environ, start_response)
        accept = environ.get('HTTP_ACCEPT', '')
        if accept.startswith(_VENDOR):
            first, rest = accept.removeprefix(_VENDOR), path.removeprefix('/')
            path = f'/{first}{path}'
        if first not in self._allowed:
            return self._document(environ, 300)(environ, start_response)
        environ['PATH_INFO'] = f'/v2/{rest}' if path != f'/{first}' else '/v2'
        return self._application(environ, start_response)

    def _document(self, environ: dict, status: int) -> webob.Response:
        base = self._public_endpoint or webob.Request(environ).application_url
        href = f'{base.rstrip("/")}/v2/'
        return rendering.document(
            {
                'versions': [
                    {
                        'id': version,
                        'status': 'CURRENT' if version == _CURRENT else 'SUPPORTED',
                        'links': [{'rel': 'self', 'href': href}],
                    }
                    for version in self._listed
                ]
            },
            status=status,
        )
