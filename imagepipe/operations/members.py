"""Members of an image: the owner adds and removes them, each of them accepts or rejects.

Only shared images have members. Being one gives access whatever its status; the status decides
whether the member's default list has the image.
"""

import dataclasses
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, member_payload
from imagepipe.domain.image import Image, Visibility
from imagepipe.domain.member import Member, MemberStatus
from imagepipe.policies import images as image_rules
from imagepipe.policies import members as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def add(services: 'Services', context: RequestContext, image_id: str, project: str) -> Member:
    """Share an image with a project, which has yet to accept it.

    Raises ImageNotFound, ImageNotShared, PolicyForbids, ImageBeingDeleted, MemberExists, TooManyMembers.
    """

    def change(tx: 'Transaction') -> Member:
        image = _shared(services, context, tx, tx.images.hold(context, image_id))
        services.policy.authorize_image(context, rules.ADD_MEMBER, image)
        image.check_uncondemned()
        member = tx.members.add(image.id, project)
        _check_quota(services, tx, image)
        tx.notify(Event.MEMBER_CREATE, member_payload(member))
        return member

    return services.db.run(change)


def search(services: 'Services', context: RequestContext, image_id: str) -> list[Member]:
    """The members of an image that the caller may see.

    Raises ImageNotFound, ImageNotShared, PolicyForbids.
    """

    def look(tx: 'Transaction') -> list[Member]:
        image = _shared(services, context, tx, tx.images.get(context, image_id))
        services.policy.authorize_image(context, rules.GET_MEMBERS, image)
        return tx.members.of_image(image.id, None if _sees_all(context, image) else context.project_id)

    return services.db.snapshot(look)


def get(services: 'Services', context: RequestContext, image_id: str, project: str) -> Member:
    """One member; whatever keeps the caller from seeing it, it is not found.

    Raises ImageNotFound, MemberNotFound.
    """

    def look(tx: 'Transaction') -> Member:
        try:
            image = _shared(services, context, tx, tx.images.get(context, image_id))
        except errors.ImageNotShared as error:
            raise errors.MemberNotFound(image_id=image_id, member=project) from error
        return _seen(services, context, tx, image, project)

    return services.db.snapshot(look)


def set_status(
    services: 'Services', context: RequestContext, image_id: str, project: str, status: MemberStatus
) -> Member:
    """Accept or reject a share.

    Raises ImageNotFound, ImageNotShared, MemberNotFound, PolicyForbids, ImageBeingDeleted.
    """

    def change(tx: 'Transaction') -> Member:
        image = _shared(services, context, tx, tx.images.hold(context, image_id))
        member = _seen(services, context, tx, image, project)
        services.policy.authorize_image(context, rules.MODIFY_MEMBER, image)
        image.check_uncondemned()
        saved = tx.members.save(dataclasses.replace(member, status=status))
        tx.notify(Event.MEMBER_UPDATE, member_payload(saved))
        return saved

    return services.db.run(change)


def remove(services: 'Services', context: RequestContext, image_id: str, project: str) -> None:
    """End the sharing with a project.

    Raises ImageNotFound, ImageNotShared, MemberNotFound, PolicyForbids, ImageBeingDeleted.
    """

    def change(tx: 'Transaction') -> None:
        image = _shared(services, context, tx, tx.images.hold(context, image_id))
        member = _seen(services, context, tx, image, project)
        services.policy.authorize_image(context, rules.DELETE_MEMBER, image)
        image.check_uncondemned()
        tx.members.delete(member)
        tx.notify(Event.MEMBER_DELETE, member_payload(member, deleted_at=tx.now))

    services.db.run(change)


def _shared(services: 'Services', context: RequestContext, tx: 'Transaction', image: Image) -> Image:
    """The image if it can have members. Raises ImageNotFound, ImageNotShared."""
    services.policy.authorize_image(context, image_rules.GET_IMAGE, image)
    if image.visibility is not Visibility.SHARED:
        raise errors.ImageNotShared(image_id=image.id, visibility=image.visibility.value)
    if image.owner is None and context.project_id and tx.members.of_image(image.id, context.project_id):
        # Everybody sees an image without an owner: its members are told apart only here.
        return dataclasses.replace(image, member_id=context.project_id)
    return image


def _seen(
    services: 'Services', context: RequestContext, tx: 'Transaction', image: Image, project: str
) -> Member:
    """The member, if the caller may know of it. Raises MemberNotFound."""
    allowed = services.policy.allows(context, rules.GET_MEMBER, image)
    if not allowed or not (project == context.project_id or _sees_all(context, image)):
        raise errors.MemberNotFound(image_id=image.id, member=project)
    return tx.members.get(image.id, project)


def _sees_all(context: RequestContext, image: Image) -> bool:
    return context.is_admin or (image.owner is not None and image.owner == context.project_id)


def _check_quota(services: 'Services', tx: 'Transaction', image: Image) -> None:
    limit, found = services.conf.image_member_quota, tx.members.count(image.id)
    if 0 <= limit < found:
        raise errors.TooManyMembers(limit=limit, attempted=found)
