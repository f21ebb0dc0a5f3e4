"""Tasks of Glance: imports, under the rights of the tasks API."""

import dataclasses
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import properties
from imagepipe.domain.import_ import Import, ImportQuery, Method
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.protections import Operation
from imagepipe.domain.task import TaskQuery, TaskRequest
from imagepipe.operations import deletion, images, imports
from imagepipe.operations.imports import ImportRecord
from imagepipe.policies import images as image_rules
from imagepipe.policies import tasks as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def of_image(services: 'Services', context: RequestContext, image_id: str) -> list[ImportRecord]:
    """The newest imports of an image that the caller sees, as far as they are its own project's.

    As many as a page may have: this list has no pages (reference, section 11.4). It needs no right to
    the tasks API. Raises ImageNotFound.
    """

    def look(tx: 'Transaction') -> list[Import]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, image_rules.GET_IMAGE, image)
        if not context.is_admin and context.project_id is None:
            return []
        owner = None if context.is_admin else context.project_id
        return tx.imports.search(
            ImportQuery(limit=services.conf.api_limit_max, image_id=image_id, owner=owner)
        )

    found = services.db.snapshot(look)
    return [
        ImportRecord(
            import_=_readable(services, context, record),
            steps=(),
            locations=(),
            source_visible=imports.sees_source(services, context, record),
        )
        for record in found
    ]


def authorize(services: 'Services', context: RequestContext) -> None:
    """The caller may use the tasks API. Raises PolicyForbids."""
    services.policy.authorize(context, rules.TASKS_API_ACCESS)


def get(services: 'Services', context: RequestContext, task_id: str) -> ImportRecord:
    """One task. Raises PolicyForbids, TaskNotFound."""
    authorize(services, context)
    try:
        found = imports.get(services, context, task_id)
    except errors.ImportNotFound as error:
        raise errors.TaskNotFound(task_id=task_id) from error
    return _shown(services, context, found)


def search(services: 'Services', context: RequestContext, query: TaskQuery) -> list[Import]:
    """A page of tasks; of the caller's project where the caller is no administrator.

    Raises PolicyForbids, InvalidMarker.
    """
    authorize(services, context)
    if not context.is_admin and context.project_id is None:
        return []
    if not context.is_admin:
        query = dataclasses.replace(query, owner=context.project_id)
    return services.db.snapshot(lambda tx: tx.imports.tasks(query))


def start(services: 'Services', context: RequestContext, asked: TaskRequest) -> ImportRecord:
    """Make an image and import its data by web-download: what a client would do with two calls.

    Whatever either call checks is checked here, by the same operations. Raises what they raise;
    then there is no image.
    """
    authorize(services, context)
    services.fetcher.check(asked.import_from)  # before the image's id is used up
    request = ImportRequest(
        method=Method.WEB_DOWNLOAD.value, uri=asked.import_from, task_input=asked.recorded()
    )
    shown = images.create(services, context, asked.image_properties)
    try:
        accepted = imports.start(services, context, shown.image.id, request)
    except errors.ImagepipeError:
        deletion.withdraw(services, shown.image)
        raise
    return _shown(services, context, imports.accepted(services, context, accepted.id))


def _shown(services: 'Services', context: RequestContext, found: ImportRecord) -> ImportRecord:
    return dataclasses.replace(found, import_=_readable(services, context, found.import_))


def _readable(services: 'Services', context: RequestContext, record: Import) -> Import:
    """The import as a task, without the properties of its image that the caller may not read."""
    if record.task_input is None:
        return record
    rights = services.protections.rights(context)
    shown = {
        name: value
        for name, value in record.task_input['image_properties'].items()
        if name in properties.BASE or rights.allows(Operation.READ, name)
    }
    return dataclasses.replace(record, task_input={**record.task_input, 'image_properties': shown})
