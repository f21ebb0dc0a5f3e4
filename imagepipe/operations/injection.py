"""The properties that an import may give its image: decided while its user is here, frozen into the plan."""

from typing import TYPE_CHECKING

from imagepipe.context import RequestContext
from imagepipe.domain.properties import RESERVED_PREFIX

if TYPE_CHECKING:
    from imagepipe.services import Services


def frozen(services: 'Services', context: RequestContext, method: str) -> dict[str, object]:
    """Fields of a plan: what is injected, and what the user may write at all."""
    return {
        'inject': {} if method == 'copy-image' else _injected(services, context),
        'protections': services.protections.rights(context).frozen(),
    }


def _injected(services: 'Services', context: RequestContext) -> dict[str, str]:
    options = services.conf.inject_metadata_properties
    ignored = {role.lower() for role in options.ignore_user_roles}
    if not ignored.isdisjoint(role.lower() for role in context.roles):
        return {}
    return {name: value for name, value in options.inject.items() if not name.startswith(RESERVED_PREFIX)}
