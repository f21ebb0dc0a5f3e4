"""Members of an image (reference, section 11.1). A POST answers 200, as Glance does."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import member as schema
from imagepipe.api.views import members as views
from imagepipe.domain.member import MemberStatus
from imagepipe.operations import members

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'Share an image',
    {200: Answer(description='The new member, pending.', body=schema.MEMBER)},
    takes={JSON: schema.NEW_MEMBER},
    errors=(
        errors.ImageNotFound,
        errors.ImageBeingDeleted,
        errors.ImageNotShared,
        errors.MemberExists,
        errors.TooManyMembers,
    ),
)
def add(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the new member."""
    added = members.add(services, request.context, image_id, sent(request)['member'])
    return rendering.document(views.member(added))


@describe(
    "List an image's members",
    {200: Answer(description='The members that the caller sees.', body=schema.MEMBERS)},
    errors=(errors.ImageNotFound, errors.ImageNotShared),
)
def search(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the members that the caller sees."""
    found = members.search(services, request.context, image_id)
    return rendering.document(
        {'members': [views.member(member) for member in found], 'schema': '/v2/schemas/members'}
    )


@describe(
    'Show a member',
    {200: Answer(description='The member.', body=schema.MEMBER)},
    errors=(errors.ImageNotFound, errors.MemberNotFound),
)
def show(request: Request, services: 'Services', image_id: str, member_id: str) -> webob.Response:
    """200 with the member."""
    return rendering.document(views.member(members.get(services, request.context, image_id, member_id)))


@describe(
    'Accept or reject an image',
    {200: Answer(description='The member with its new status.', body=schema.MEMBER)},
    takes={JSON: schema.STATUS_CHANGE},
    errors=(errors.ImageNotFound, errors.ImageBeingDeleted, errors.ImageNotShared, errors.MemberNotFound),
)
def update(request: Request, services: 'Services', image_id: str, member_id: str) -> webob.Response:
    """200 with the member and its new status."""
    status = MemberStatus(sent(request)['status'])
    changed = members.set_status(services, request.context, image_id, member_id, status)
    return rendering.document(views.member(changed))


@describe(
    'End the sharing of an image',
    {204: Answer(description='The project is no member any more.')},
    errors=(errors.ImageNotFound, errors.ImageBeingDeleted, errors.ImageNotShared, errors.MemberNotFound),
)
def remove(request: Request, services: 'Services', image_id: str, member_id: str) -> webob.Response:
    """204, the project is no member any more."""
    members.remove(services, request.context, image_id, member_id)
    return webob.Response(status=204, headerlist=[])
