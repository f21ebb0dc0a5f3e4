"""/readiness: whether requests should be sent to this process, and to some, what is missing."""

import ipaddress
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import webob

from imagepipe import errors

if TYPE_CHECKING:
    from imagepipe.readiness import Readiness

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Iterable[str]) -> list[Network]:
    """The networks of an option. Raises ConfigurationInvalid."""
    try:
        return [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        raise errors.ConfigurationInvalid(reason=f'[api] readiness_details_to: {error}') from error


class Ready:
    """200 while nothing of what is required is missing, else 503.

    told: who may read what is missing; others get the bare answer.
    """

    def __init__(self, readiness: 'Readiness', *, required: Collection[str], told: Sequence[Network]) -> None:
        self._readiness = readiness
        self._required = frozenset(required)
        self._told = told

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = webob.Request(environ)
        if request.method not in ('GET', 'HEAD'):
            return webob.Response(status=405, allow='GET, HEAD')(environ, start_response)
        missing = self._readiness.missing()
        ready = not any(lack.part in self._required for lack in missing)
        body: dict[str, object] = {'ready': ready}
        if self._may_read(request):
            body['missing'] = [{'part': lack.part, 'reason': lack.reason} for lack in missing]
        response = webob.Response(
            json.dumps(body), status=200 if ready else 503, content_type='application/json', charset='utf-8'
        )
        response.cache_control = 'no-store'
        return response(environ, start_response)

    def _may_read(self, request: webob.Request) -> bool:
        try:
            address = ipaddress.ip_address(request.remote_addr or '')
        except ValueError:
            return False
        return any(address in network for network in self._told)
