"""What is told about the configured stores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.store_state import StoreHealth, health
from imagepipe.policies import stores as rules

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.stores.store import Stores


def named(services: 'Services') -> 'Stores':
    """The stores that a client may name. Raises StoresNotEnabled."""
    if not services.stores.multi:
        raise errors.StoresNotEnabled()
    return services.stores


def detailed(services: 'Services', context: RequestContext) -> 'tuple[Stores, Mapping[str, StoreHealth]]':
    """The stores, and how they are, for whoever may know it. Raises StoresNotEnabled, PolicyForbids."""
    found = named(services)
    services.policy.authorize(context, rules.STORES_INFO_DETAIL)
    return found, states(services)


def states(services: 'Services') -> 'Mapping[str, StoreHealth]':
    """How every configured store is, as the conductors have found."""
    checks = services.db.read(lambda tx: tx.store_checks.latest())
    return {store_id: health(checks.get(store_id, ())) for store_id in services.stores.all}
