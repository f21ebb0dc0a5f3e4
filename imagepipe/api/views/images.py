"""The representation of an image (reference, section 3.1)."""

from typing import TYPE_CHECKING

from imagepipe.api.views import locations as views
from imagepipe.context import RequestContext
from imagepipe.domain.event import timestamp
from imagepipe.domain.image import Status
from imagepipe.operations.images import ShownImage

if TYPE_CHECKING:
    from imagepipe.services import Services

_PLAIN = (
    'id',
    'name',
    'protected',
    'os_hidden',
    'checksum',
    'os_hash_algo',
    'os_hash_value',
    'owner',
    'size',
    'virtual_size',
    'container_format',
    'disk_format',
    'min_ram',
    'min_disk',
)


def image(services: 'Services', context: RequestContext, shown: ShownImage) -> dict[str, object]:
    """An image as the caller sees it: custom properties beside its attributes, nulls included."""
    found = shown.image
    path = f'/v2/images/{found.id}'
    return {
        **found.properties,
        **found.progress,
        **{name: getattr(found, name) for name in _PLAIN},
        'status': found.status.value,
        'visibility': found.visibility.value,
        'created_at': timestamp(found.created_at),
        'updated_at': timestamp(found.updated_at),
        'tags': sorted(found.tags),
        'self': path,
        'file': f'{path}/file',
        'schema': '/v2/schemas/image',
        **_whereabouts(services, context, shown),
    }


def _whereabouts(services: 'Services', context: RequestContext, shown: ShownImage) -> dict[str, object]:
    """stores, direct_url and locations, as far as the configuration shows them."""
    if not shown.image.stores and shown.locations is None:
        return {}
    conf, stores = services.conf, services.stores
    # Whoever may not download a deactivated image must not find its data either.
    hidden = shown.image.status is Status.DEACTIVATED and not context.is_admin

    def weight(store_id: str) -> int:
        return -stores[store_id].weight if store_id in stores else 1

    names = [] if hidden else sorted(shown.image.stores, key=weight)
    located = [] if hidden else sorted(shown.locations or (), key=lambda location: weight(location[0]))
    found: dict[str, object] = {}
    if stores.multi and names:
        found['stores'] = ','.join(names)
    if located and conf.show_image_direct_url:
        found['direct_url'] = located[0][1]
    if shown.locations is not None and conf.show_multiple_locations:
        found['locations'] = [views.location(services, *location) for location in located]
    return found
