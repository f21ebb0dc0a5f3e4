"""What this service offers: import methods, stores, and its own extensions (reference, section 2.4)."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import Answer, describe
from imagepipe.api.request import Request
from imagepipe.api.schemas import discovery as schema
from imagepipe.domain.event import timestamp
from imagepipe.domain.import_request import ALGORITHMS
from imagepipe.domain.usage import KEYSTONE_NAMES, MEBIBYTE
from imagepipe.operations import imports, usages
from imagepipe.operations import stores as operation

if TYPE_CHECKING:
    from imagepipe.domain.store_state import StoreHealth
    from imagepipe.services import Services
    from imagepipe.stores.store import Store, Stores

#: Extensions of the Images API, told beside import-methods: clients copy what they do not know
#: out of other documents.
EXTENSIONS = ('imports', 'import-cancel', 'import-retry', 'import-expected', 'openapi', 'store-states')


@describe(
    'Show the import methods',
    {200: Answer(description='The enabled import methods.', body=schema.IMPORT_METHODS)},
)
def import_methods(request: Request, services: 'Services') -> webob.Response:
    """200 with the enabled import methods."""
    return rendering.document(
        {
            'import-methods': {
                'description': 'Import methods available.',
                'type': 'array',
                'value': imports.offered(services),
            },
            'imagepipe': {'extensions': list(EXTENSIONS), 'expected': ['size', *ALGORITHMS]},
        }
    )


@describe(
    'List the stores',
    {200: Answer(description='The stores that a client may name.', body=schema.STORES)},
    errors=(errors.StoresNotEnabled,),
)
def stores(request: Request, services: 'Services') -> webob.Response:
    """200 with the stores that a client may name."""
    found = operation.named(services)
    return rendering.document({'stores': [_store(found, store) for store in found.values()]})


@describe(
    'List the stores in detail',
    {200: Answer(description='The stores and how they are configured.', body=schema.DETAILED_STORES)},
    errors=(errors.StoresNotEnabled,),
)
def stores_detail(request: Request, services: 'Services') -> webob.Response:
    """200 with the stores and how they are configured."""
    found, states = operation.detailed(services, request.context)
    return rendering.document(
        {
            'stores': [
                {
                    **_store(found, store),
                    'type': store.type,
                    'weight': store.weight,
                    'properties': store.properties(),
                    'imagepipe': _health(states[store.id]),
                }
                for store in found.values()
            ]
        }
    )


@describe(
    'Show what the project uses',
    {200: Answer(description="What the caller's project uses and may use.", body=schema.USAGE)},
    errors=(errors.LimitsUnavailable,),
)
def usage(request: Request, services: 'Services') -> webob.Response:
    """200 with what the caller's project uses and may use, by Keystone's names of the limits."""
    found = usages.of_project(services, request.context)
    return rendering.document({'usage': {KEYSTONE_NAMES[each.resource]: _usage(each) for each in found}})


def _usage(found: usages.Usage) -> dict[str, int]:
    """In Keystone's unit: MiB of bytes, of which one that is begun is used. -1 is no limit."""
    unit = MEBIBYTE if found.resource.sized else 1
    return {'usage': -(-found.used // unit), 'limit': -1 if found.limit is None else found.limit // unit}


def _health(found: 'StoreHealth') -> dict[str, object]:
    if found.code is None:
        return {'state': found.state.value}
    return {
        'state': found.state.value,
        'since': timestamp(found.since),
        'error_code': found.code,
        'message': found.message,
        'hosts': list(found.hosts),
    }


def _store(found: 'Stores', store: 'Store') -> dict[str, object]:
    shown: dict[str, object] = {'id': store.id}
    if store.description:
        shown['description'] = store.description
    if store.id == found.default:
        shown['default'] = 'true'  # a string, as in Glance
    if store.read_only:
        shown['read-only'] = 'true'
    return shown
