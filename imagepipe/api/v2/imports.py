"""Imports: the POST of the Images API, and what is ours: looking at imports and cancelling them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, Parameter, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import import_ as schema
from imagepipe.api.v2 import parameters
from imagepipe.api.v2.data import SIGNED
from imagepipe.api.views import imports as views
from imagepipe.domain import listing
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.operations import imports, retries
from imagepipe.operations.imports import ImportRecord

if TYPE_CHECKING:
    from imagepipe.services import Services

#: The header of an answer that tells the id of an accepted import, which is its task's.
TASK_ID = 'OpenStack-image-import-task-id'
_PAGING = ('limit', 'marker')

#: What asking for an import of an image, as it is, may be refused with.
_REFUSALS = (
    errors.ImageChanged,
    errors.ImageBeingDeleted,
    errors.ImportMethodDisabled,
    errors.ImportWrongStatus,
    errors.FormatsNotSetForImport,
    errors.ImportEnding,
    errors.ImportInProgress,
    errors.UploadInProgress,
    errors.UnknownImportStore,
    errors.StoresConflict,
    errors.SourceInvalid,
    errors.SourceRefused,
    errors.RemoteImageInvalid,
    errors.DelegationRefused,
    errors.IdentityUnavailable,
    errors.ExpectedRequired,
    *SIGNED,
    errors.LimitsUnavailable,
    errors.UploadingCountExceeded,
    errors.QuotaExceeded,
    errors.StagedQuotaExceeded,
    errors.CopyNeedsStores,
    errors.AlreadyInStore,
)


@describe(
    'Import an image',
    {
        202: Answer(
            description='The import is recorded and will be run; a copy may have nothing to do.',
            headers={TASK_ID: 'The id of the import.'},
        )
    },
    takes={JSON: schema.REQUEST},
    parameters=(parameters.STORE,),
    errors=(errors.ImageNotFound, *_REFUSALS),
)
def start(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """202, the import is recorded, and its id is in a header; or there is nothing to be done."""
    asked = ImportRequest.parse(sent(request), store_header=request.headers.get('X-Image-Meta-Store'))
    accepted = imports.start(services, request.context, image_id, asked)
    return rendering.empty(202, headers={TASK_ID: accepted.id} if accepted else {})


@describe(
    "List an image's imports",
    {200: Answer(description='A page of the imports of the image, newest first.', body=schema.IMPORTS)},
    parameters=parameters.IMPORTS_OF_IMAGE,
    errors=(errors.ImageNotFound, errors.InvalidQuery, errors.InvalidMarker),
)
def of_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with a page of the image's imports, newest first."""
    query = _query(services, dict(request.parameters), parameters.IMPORTS_OF_IMAGE)
    found = imports.of_image(services, request.context, image_id, query)
    return _page(request, f'/v2/images/{image_id}/imports', found, query.limit)


@describe(
    'List imports',
    {200: Answer(description='A page of imports, newest first.', body=schema.IMPORTS)},
    parameters=parameters.IMPORTS,
    errors=(errors.InvalidQuery, errors.InvalidMarker),
)
def search(request: Request, services: 'Services') -> webob.Response:
    """200 with a page of imports, newest first."""
    query = _query(services, dict(request.parameters), parameters.IMPORTS)
    found = imports.search(services, request.context, query) if query.limit else []
    return _page(request, '/v2/imports', found, query.limit)


@describe(
    'Show an import',
    {200: Answer(description='The import.', body=schema.IMPORT)},
    errors=(errors.ImportNotFound,),
)
def show(request: Request, services: 'Services', import_id: str) -> webob.Response:
    """200 with the import."""
    return rendering.document(views.import_(imports.get(services, request.context, import_id)))


@describe(
    'Cancel an import',
    {202: Answer(description='The import will be reverted.', body=schema.IMPORT)},
    errors=(errors.ImportNotFound, errors.ImportNotCancellable),
)
def cancel(request: Request, services: 'Services', import_id: str) -> webob.Response:
    """202, the import is decided to be reverted."""
    record = imports.cancel(services, request.context, import_id)
    return rendering.document(views.import_(record), status=202)


@describe(
    'Retry an import',
    {
        202: Answer(
            description='The new import, which names the old one.',
            body=schema.IMPORT,
            headers={TASK_ID: 'The id of the new import.'},
        )
    },
    errors=(errors.ImportNotFound, errors.ImportNotRetryable, *_REFUSALS),
)
def retry(request: Request, services: 'Services', import_id: str) -> webob.Response:
    """202, a new import of the same source is recorded."""
    record = retries.retry(services, request.context, import_id)
    return rendering.document(views.import_(record), status=202, headers={TASK_ID: record.import_.id})


def _page(request: Request, path: str, found: Sequence[ImportRecord], limit: int) -> webob.Response:
    marker = found[-1].import_.id if found and len(found) == limit else None
    return rendering.document(
        {
            'imports': [views.import_(record) for record in found],
            **listing.links(path, request.parameters, marker, urlencode),
        }
    )


def _query(
    services: 'Services', single: Mapping[str, str], known: Sequence[Parameter]
) -> imports.ImportQuery:
    names = [parameter.name for parameter in known]
    for name, value in single.items():
        if name not in names:
            raise errors.InvalidQuery(name=name, reason=f'this list knows {", ".join(names)}')
        if '\0' in value:
            raise errors.InvalidQuery(name=name, reason='it has a NUL')
    states = [state.value for state in ImportState]
    if single.get('state', states[0]) not in states:
        raise errors.InvalidQuery(name='state', reason=f'it must be one of {", ".join(states)}')
    conf = services.conf
    limit = listing.limit_of(
        single.get('limit'), default=conf.limit_param_default, largest=conf.api_limit_max
    )
    filters = {name: value for name, value in single.items() if name not in _PAGING}
    return imports.ImportQuery(limit=limit, marker=single.get('marker') or None, **filters)
