"""Tasks of Glance: imports, under the rights of the tasks API."""

from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.import_ import Import
from imagepipe.operations import imports
from imagepipe.operations.imports import ImportRecord
from imagepipe.policies import images as image_rules
from imagepipe.policies import imports as import_rules
from imagepipe.policies import tasks as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def of_image(services: 'Services', context: RequestContext, image_id: str) -> list[ImportRecord]:
    """The imports of an image that the caller sees, as far as they are its own project's.

    Raises ImageNotFound. It needs no right to the tasks API (reference, section 11.4).
    """

    def look(tx: 'Transaction') -> list[Import]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, image_rules.GET_IMAGE, image)
        return tx.imports.of_image(image_id)

    found = services.db.read(look)
    own = [record for record in found if context.is_admin or record.owner == context.project_id]
    return [
        ImportRecord(
            import_=record, steps=(), locations=(), source_visible=_sees_source(services, context, record)
        )
        for record in own
    ]


def get(services: 'Services', context: RequestContext, task_id: str) -> ImportRecord:
    """One task. Raises PolicyForbids, TaskNotFound."""
    services.policy.authorize(context, rules.TASKS_API_ACCESS)
    try:
        return imports.get(services, context, task_id)
    except errors.ImportNotFound as error:
        raise errors.TaskNotFound(task_id=task_id) from error


def _sees_source(services: 'Services', context: RequestContext, record: Import) -> bool:
    target = {'project_id': record.owner, 'owner': record.owner, 'image_id': record.image_id}
    return services.policy.allows(context, import_rules.GET_IMPORT_SOURCE, target)
