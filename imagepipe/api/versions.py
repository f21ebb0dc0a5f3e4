"""Version documents, and which version a request means (reference, sections 2.1 and 2.2)."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import webob

from imagepipe.api import rendering

if TYPE_CHECKING:
    from imagepipe.services import Services

_OLD = tuple(f'v2.{minor}' for minor in range(7, -1, -1))
#: As Glance lists them, in its order: by whether there is an image cache, and several stores.
_LISTED = {
    (False, False): ('v2.15', 'v2.9', 'v2.17', *_OLD),
    (False, True): ('v2.15', 'v2.13', 'v2.12', 'v2.11', 'v2.10', 'v2.9', 'v2.8', 'v2.17', *_OLD),
    (True, False): ('v2.18', 'v2.17', 'v2.16', 'v2.15', 'v2.14', 'v2.9', *_OLD),
    (True, True): (*(f'v2.{minor}' for minor in range(18, 7, -1)), *_OLD),
}
_VENDOR = 'application/vnd.openstack.images-'

WSGIApplication = Callable[[dict, Callable], Iterable[bytes]]


class VersionNegotiation:
    """Answers with version documents; passes on what names a version, with /v2 as its path."""

    def __init__(self, application: WSGIApplication, services: 'Services') -> None:
        self._application = application
        self._public_endpoint = services.conf.public_endpoint
        cached = services.cache is not None
        self._current = 'v2.18' if cached else 'v2.17'
        self._listed = _LISTED[cached, services.stores.multi]
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
                        'status': 'CURRENT' if version == self._current else 'SUPPORTED',
                        'links': [{'rel': 'self', 'href': href}],
                    }
                    for version in self._listed
                ]
            },
            status=status,
        )
