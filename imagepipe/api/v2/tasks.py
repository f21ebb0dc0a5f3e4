"""Tasks of Glance, as views of imports."""

from typing import TYPE_CHECKING

import webob

from imagepipe.api import rendering
from imagepipe.api.request import Request
from imagepipe.api.views import tasks as views
from imagepipe.operations import tasks

if TYPE_CHECKING:
    from imagepipe.services import Services


def of_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image's tasks that belong to the caller's project."""
    found = tasks.of_image(services, request.context, image_id)
    return rendering.document({'tasks': [views.of_image(record) for record in found]})


def show(request: Request, services: 'Services', task_id: str) -> webob.Response:
    """200 with the task."""
    return rendering.document(views.task(tasks.get(services, request.context, task_id)))
