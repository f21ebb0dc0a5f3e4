"""What this service offers: import methods, stores, and its own extensions (reference, section 2.4)."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.request import Request
from imagepipe.domain.import_request import ALGORITHMS
from imagepipe.operations import imports

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.stores.store import Store

#: Extensions of the Images API, told beside import-methods: clients copy what they do not know
#: out of other documents.
EXTENSIONS = ('imports', 'import-cancel', 'import-expected')


def import_methods(request: Request, services: 'Services') -> webob.Response:
    """200 with the enabled import methods."""
    return rendering.document(
        {
            'import-methods': {
                'description': 'Import methods available.',
                'type': 'array',
                'value': imports.methods(services),
            },
            'imagepipe': {'extensions': list(EXTENSIONS), 'expected': ['size', *ALGORITHMS]},
        }
    )


def stores(request: Request, services: 'Services') -> webob.Response:
    """200 with the stores that a client may name."""
    if not services.stores.multi:
        raise errors.StoresNotEnabled()
    return rendering.document(
        {
            'stores': [
                _store(store, default=store_id == services.stores.default)
                for store_id, store in services.stores.items()
            ]
        }
    )


def _store(store: 'Store', *, default: bool) -> dict[str, str]:
    shown = {'id': store.id}
    if store.description:
        shown['description'] = store.description
    if default:
        shown['default'] = 'true'  # a string, as in Glance
    if store.read_only:
        shown['read-only'] = 'true'
    return shown
