"""Tasks of Glance, as views of imports (reference, section 13). Who may not use them is told so first."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe import errors
from imagepipe.api import description, rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import task as schema
from imagepipe.api.v2 import images, imports, parameters
from imagepipe.api.views import tasks as views
from imagepipe.domain import listing, properties
from imagepipe.domain.task import TaskQuery, TaskRequest
from imagepipe.operations import tasks

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    "List an image's tasks",
    {200: Answer(description='The tasks that belong to the project.', body=schema.TASKS_OF_IMAGE)},
    errors=(errors.ImageNotFound,),
)
def of_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image's tasks that belong to the caller's project."""
    found = tasks.of_image(services, request.context, image_id)
    return rendering.document({'tasks': [views.of_image(record) for record in found]})


@describe(
    'Import a new image',
    {
        201: Answer(
            description='The task; the image is made and its import is recorded.',
            body=schema.TASK,
            headers={'Location': 'The URL of the task.'},
        )
    },
    takes={JSON: schema.REQUEST},
    errors=(
        errors.TaskTypeRefused,
        # It does what these two do.
        *description.of(images.create).errors,
        *description.of(imports.start).errors,
    ),
)
def create(request: Request, services: 'Services') -> webob.Response:
    """201 with the task; its image is made and its import accepted."""
    tasks.authorize(services, request.context)
    asked = TaskRequest.parse(sent(request))
    properties.check_first(asked.image_properties)
    properties.check_texts(asked.image_properties)
    shown = views.task(tasks.start(services, request.context, asked))
    headers = {'Location': f'{request.application_url}{shown["self"]}'}
    return rendering.document(shown, status=201, headers=headers)


@describe(
    'List tasks',
    {200: Answer(description='A page of tasks.', body=schema.TASKS)},
    parameters=parameters.TASKS,
    errors=(errors.InvalidQuery, errors.InvalidMarker),
)
def search(request: Request, services: 'Services') -> webob.Response:
    """200 with a page of tasks and links to the first and the next."""
    tasks.authorize(services, request.context)
    conf, pairs = services.conf, request.parameters
    query = TaskQuery.parse(pairs, default_limit=conf.limit_param_default, max_limit=conf.api_limit_max)
    found = tasks.search(services, request.context, query)
    marker = found[-1].id if found and len(found) == query.limit else None
    return rendering.document(
        {
            'tasks': [views.item(record) for record in found],
            **listing.links('/v2/tasks', pairs, marker, urlencode),
            'schema': '/v2/schemas/tasks',
        }
    )


@describe(
    'Show a task', {200: Answer(description='The task.', body=schema.TASK)}, errors=(errors.TaskNotFound,)
)
def show(request: Request, services: 'Services', task_id: str) -> webob.Response:
    """200 with the task."""
    return rendering.document(views.task(tasks.get(services, request.context, task_id)))


@describe('Tasks are not deleted', {}, errors=(errors.MethodNotAllowed,))
def delete(request: Request, services: 'Services', task_id: str) -> webob.Response:
    """405: a task is a record, and stays. Raises PolicyForbids, MethodNotAllowed."""
    tasks.authorize(services, request.context)
    error = errors.MethodNotAllowed(method=request.method)
    error.headers = {'Allow': 'GET'}
    raise error
