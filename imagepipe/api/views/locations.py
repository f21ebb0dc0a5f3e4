"""A location as those see it who may (reference, section 3.3)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagepipe.services import Services


def location(services: 'Services', store: str, url: str, metadata: Mapping[str, object]) -> dict[str, object]:
    """URL and metadata; where there are several stores, the metadata name the one."""
    shown = {name: value for name, value in metadata.items() if name != 'store'}
    return {'url': url, 'metadata': {**shown, 'store': store} if services.stores.multi else shown}
