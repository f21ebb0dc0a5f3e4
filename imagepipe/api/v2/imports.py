"""Imports: the POST of the Images API, and what is ours: looking at imports and cancelling them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.request import Request, json_object
from imagepipe.api.views import imports as views
from imagepipe.domain import listing
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.operations import imports

if TYPE_CHECKING:
    from imagepipe.services import Services

_FILTERS = ('state', 'image_id', 'method', 'owner')
_PARAMETERS = (*_FILTERS, 'limit', 'marker')


def start(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """202, the import is recorded; its id is in a header."""
    body = json_object(request, limit=services.conf.api.max_json_body)
    asked = ImportRequest.parse(body, store_header=request.headers.get('X-Image-Meta-Store'))
    accepted = imports.start(services, request.context, image_id, asked)
    return rendering.empty(202, headers={'OpenStack-image-import-task-id': accepted.id})


def of_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with every import of the image, newest first."""
    found = imports.of_image(services, request.context, image_id)
    return rendering.document({'imports': [views.import_(record) for record in found]})


def search(request: Request, services: 'Services') -> webob.Response:
    """200 with a page of imports, newest first."""
    pairs = request.parameters
    query = _query(services, dict(pairs))
    found = imports.search(services, request.context, query) if query.limit else []
    marker = found[-1].import_.id if found and len(found) == query.limit else None
    return rendering.document(
        {
            'imports': [views.import_(record) for record in found],
            **listing.links('/v2/imports', pairs, marker, urlencode),
        }
    )


def show(request: Request, services: 'Services', import_id: str) -> webob.Response:
    """200 with the import."""
    return rendering.document(views.import_(imports.get(services, request.context, import_id)))


def cancel(request: Request, services: 'Services', import_id: str) -> webob.Response:
    """202, the import is decided to be reverted."""
    record = imports.cancel(services, request.context, import_id)
    return rendering.document(views.import_(record), status=202)


def _query(services: 'Services', single: Mapping[str, str]) -> imports.ImportQuery:
    for name, value in single.items():
        if name not in _PARAMETERS:
            raise errors.InvalidQuery(name=name, reason=f'imports are filtered by {", ".join(_FILTERS)}')
        if '\0' in value:
            raise errors.InvalidQuery(name=name, reason='it has a NUL')
    states = [state.value for state in ImportState]
    if single.get('state', states[0]) not in states:
        raise errors.InvalidQuery(name='state', reason=f'it must be one of {", ".join(states)}')
    conf = services.conf
    limit = listing.limit_of(
        single.get('limit'), default=conf.limit_param_default, largest=conf.api_limit_max
    )
    filters = {name: single[name] for name in _FILTERS if name in single}
    return imports.ImportQuery(limit=limit, marker=single.get('marker') or None, **filters)
