"""Which URLs may be locations, of whom, and in which store they are."""

import urllib.parse
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.stores.store import Store

#: Nobody names them from outside: paths of our hosts, and references into our configuration.
_NEVER = ('file', 'filesystem', 'swift+config')
SERVICE = 'service'


def find(services: 'Services', context: RequestContext, url: str, wanted: object = None) -> 'Store':
    """The store that a caller's URL belongs to; `wanted` is what the client says it is.

    Connects to nothing but name servers. Raises LocationForbidden, LocationRefused, SourceInvalid,
    SourceRefused.
    """
    scheme = url.partition('://')[0].lower()
    store = services.stores.of_url(url, wanted) if scheme not in _NEVER else None
    open_to_users = store is not None and store.read_only
    if not open_to_users and not is_service(context):
        raise errors.LocationForbidden()
    if store is None:
        raise errors.LocationRefused(reason='no store here has URLs of this kind.')
    if open_to_users:
        services.fetcher.check(url)
    elif '@' in urllib.parse.urlsplit(url).netloc:
        raise errors.LocationRefused(reason='a user name or password in it is not allowed.')
    return store


def is_service(context: RequestContext) -> bool:
    """Whether another service asks, for itself or on behalf of a user (by its service token)."""
    return SERVICE in (*context.roles, *(context.service_roles or ()))


def size_of(store: 'Store', url: str) -> int:
    """The bytes that are there. Raises LocationRefused."""
    try:
        size = store.size(url)
    except (
        errors.StoreObjectMissing,
        errors.StorePermanent,
        errors.StoreDenied,
        errors.StoreTransient,
    ) as error:
        raise errors.LocationRefused(reason=error.message) from error
    if size <= 0:
        raise errors.LocationRefused(reason=f"store '{store.id}' has no data there.")
    return size
