"""Which stores an import writes to (reference, section 9.2)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.import_request import ImportRequest

if TYPE_CHECKING:
    from imagepipe.services import Services


def choose_stores(services: 'Services', request: ImportRequest) -> Sequence[str]:
    """Their ids. Raises UnknownImportStore, StoresConflict, InvalidBody."""
    stores = services.stores
    if not stores.multi:
        if not request.must_succeed:
            raise errors.InvalidBody(reason="'all_stores_must_succeed' needs several stores")
        return (stores.default,)
    ways = [
        name
        for name, given in (
            ("'all_stores'", request.all_stores),
            ("'stores'", request.stores is not None),
            # openstacksdk names its one store both ways.
            (
                'X-Image-Meta-Store',
                request.store_header is not None and request.stores != (request.store_header,),
            ),
        )
        if given
    ]
    if len(ways) > 1:
        raise errors.StoresConflict(first=ways[0], second=ways[1])
    if request.all_stores:
        return [store_id for store_id, store in stores.items() if not store.read_only]
    chosen = request.stores or (request.store_header or stores.default,)
    for store_id in chosen:
        if store_id not in stores or stores[store_id].read_only:
            raise errors.UnknownImportStore(store=store_id)
    return chosen
