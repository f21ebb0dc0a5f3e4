"""Tags of an image, one at a time. Several callers may do it at once, and every tag counts."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import properties
from imagepipe.domain.event import Event, image_payload
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

Tags = frozenset[str]


def add(services: 'Services', context: RequestContext, image_id: str, tag: str) -> None:
    """Give an image a tag; one that it has is fine.

    Raises InvalidTag, ImageNotFound, PolicyForbids, TooManyTags.
    """
    properties.check_tag(tag)

    def added(tags: Tags) -> Tags:
        return tags | {tag}

    _change(services, context, image_id, added)


def remove(services: 'Services', context: RequestContext, image_id: str, tag: str) -> None:
    """Take a tag from an image. Raises ImageNotFound, PolicyForbids, TagNotFound."""

    def removed(tags: Tags) -> Tags:
        if tag not in tags:
            raise errors.TagNotFound(image_id=image_id, tag=tag)
        return tags - {tag}

    _change(services, context, image_id, removed)


def _change(
    services: 'Services', context: RequestContext, image_id: str, changed: Callable[[Tags], Tags]
) -> None:
    def change(tx: 'Transaction') -> None:
        image = tx.images.hold(context, image_id)
        services.policy.authorize_image(context, rules.MODIFY_IMAGE, image)
        tags = changed(image.tags)
        if tags == image.tags:
            return
        if len(tags) > len(image.tags):
            properties.check_tags(tags, services.conf.image_tag_quota)
        saved = tx.images.save(dataclasses.replace(image, tags=tags), expected=image)
        tx.notify(Event.IMAGE_UPDATE, image_payload(saved))

    services.db.run(change)
