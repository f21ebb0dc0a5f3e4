"""What a project uses, told to whoever acts for it."""

import dataclasses
from typing import TYPE_CHECKING

from imagepipe.context import RequestContext
from imagepipe.domain.usage import Resource

if TYPE_CHECKING:
    from imagepipe.services import Services


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usage:
    """One resource: sizes in bytes; without a limit that is None."""

    resource: Resource
    used: int
    limit: int | None


def of_project(services: 'Services', context: RequestContext) -> list[Usage]:
    """What the caller's project uses; nothing where limits are not Keystone's. Raises LimitsUnavailable.

    Nothing either for a caller without a project, such as one with system scope.
    """
    quota = services.quota
    if not quota.shown or context.project_id is None:
        return []
    limits = quota.limits(context.project_id)
    used = services.db.snapshot(lambda tx: quota.used(tx, context.project_id))
    return [Usage(resource=name, used=used[name], limit=limits.get(name)) for name in Resource]
