"""Images: created, looked up, listed and changed."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import patch, properties, protections
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image, Visibility
from imagepipe.domain.listing import ListQuery
from imagepipe.domain.patch import Change
from imagepipe.domain.protections import Operation
from imagepipe.operations.location_patches import Drafting, LocationPatch
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

Found = TypeVar('Found')

#: What a visibility needs besides the right to create or change the image.
_VISIBILITY_RULES = {
    Visibility.PUBLIC: rules.PUBLICIZE_IMAGE,
    Visibility.COMMUNITY: rules.COMMUNITIZE_IMAGE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownImage:
    """An image with what its representation needs besides.

    locations: store, URL and metadata of each active location; None where the configuration shows none.
    """

    image: Image
    locations: tuple[tuple[str, str, Mapping[str, object]], ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Images of one page; next_marker is set when another page may follow."""

    images: tuple[ShownImage, ...]
    next_marker: str | None


def create(services: 'Services', context: RequestContext, attributes: Mapping[str, object]) -> ShownImage:
    """Create an image from attributes that fit the schema.

    Raises PropertyReadOnly, PropertyReserved, OwnerForbidden, PolicyForbids, TooManyProperties,
    TooManyTags, ImageIdTaken, ImageCountExceeded, LimitsUnavailable.
    """
    image = _new(attributes, context)
    _authorize_create(services, context, image, attributes)
    rights = services.protections.rights(context)
    protections.check_new(rights, image.properties)
    _check_quotas(services, image, None)
    limits = services.quota.limits(image.owner)

    def change(tx: 'Transaction') -> ShownImage:
        added = tx.images.add(image, fresh='id' not in attributes)
        services.quota.moved(tx, None, added, limits)
        tx.notify(Event.IMAGE_CREATE, image_payload(added))
        return _shown(services, context, tx, [added])[0]

    return services.db.run(change)


def get(services: 'Services', context: RequestContext, image_id: str) -> ShownImage:
    """One image. Raises ImageNotFound."""

    def look(tx: 'Transaction') -> ShownImage:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.GET_IMAGE, image)
        return _shown(services, context, tx, [image])[0]

    return _look(services, look)


def search(services: 'Services', context: RequestContext, query: ListQuery) -> Page:
    """A page of images. Raises PolicyForbids, InvalidMarker, MarkerForbidden."""
    services.policy.authorize(context, rules.GET_IMAGES)
    rights = services.protections.rights(context)
    if not all(rights.allows(Operation.READ, name) for name, _ in query.properties):
        # It looks absent to the caller, so no image has it: a filter tells as little as an image.
        query = dataclasses.replace(query, impossible=True)

    def look(tx: 'Transaction') -> Page:
        found = tx.images.list(context, query)
        visible = services.policy.permitted(context, rules.GET_IMAGE, found)
        # The last image shown, so that a page hidden in part does not give away what is hidden.
        full = 0 < query.limit == len(found)
        marker = (visible or found)[-1].id if full else None
        return Page(images=tuple(_shown(services, context, tx, visible)), next_marker=marker)

    return _look(services, look, several=bool(query.marker or query.properties or query.tags))


def update(
    services: 'Services', context: RequestContext, image_id: str, changes: Sequence[Change]
) -> ShownImage:
    """Apply a patch, all of it or nothing.

    Raises ImageNotFound, PolicyForbids, OwnerForbidden, TooManyProperties, TooManyTags, and what
    patch.apply and LocationPatch raise.
    """
    if not changes:
        return get(services, context, image_id)
    rights = services.protections.rights(context)

    def decided(image: Image, drafting: Drafting) -> Image:
        if any(change.name != 'locations' for change in changes):
            services.policy.authorize_image(context, rules.MODIFY_IMAGE, image)
        _authorize_changes(services, context, image, changes)
        protections.check_changes(rights, image, changes)
        changed = patch.apply(image, changes, drafting)
        _check_quotas(services, changed, image)
        return changed

    located = LocationPatch(services, context, image_id, changes, decided)
    located.prepare()

    def change(tx: 'Transaction') -> ShownImage:
        image = tx.images.get(context, image_id)
        changed, drafting = located.applied(tx, image)
        saved = tx.images.save(changed, expected=image)
        services.quota.moved(tx, image, saved)
        drafting.save(tx, saved)
        tx.notify(Event.IMAGE_UPDATE, image_payload(saved))
        return _shown(services, context, tx, [saved])[0]

    return services.db.run(change)


def _new(attributes: Mapping[str, object], context: RequestContext) -> Image:
    for name in attributes:
        if name == 'locations':
            raise errors.PropertyReadOnly(name=name)
        if name != 'id':
            properties.check_writable(name)
    base = {
        name: patch.base_value(name, value) for name, value in attributes.items() if name in properties.BASE
    }
    base.setdefault('id', uuidutils.generate_uuid())
    base.setdefault('owner', context.project_id)
    custom = {name: value for name, value in attributes.items() if name not in properties.BASE}
    for name in custom:
        properties.check_name(name)
    return Image(**base, properties=custom)


def _authorize_create(
    services: 'Services', context: RequestContext, image: Image, attributes: Mapping[str, object]
) -> None:
    if not context.is_admin and (image.owner is None or image.owner != context.project_id):
        raise errors.OwnerForbidden(owner=image.owner)
    target = {
        'project_id': image.owner,
        'owner': image.owner,
        'visibility': attributes.get('visibility', Visibility.PRIVATE.value),
    }
    services.policy.authorize(context, rules.ADD_IMAGE, target)
    if 'id' in attributes:
        services.policy.authorize(context, rules.SET_IMAGE_ID, target)
    _authorize_visibility(services, context, image, image.visibility)


def _authorize_changes(
    services: 'Services', context: RequestContext, image: Image, changes: Sequence[Change]
) -> None:
    for change in changes:
        if change.verb is patch.Verb.REMOVE:
            continue
        if change.name == 'visibility':
            _authorize_visibility(services, context, image, Visibility(change.value))
        if change.name == 'owner' and not context.is_admin and not _same_owner(image, change):
            raise errors.OwnerForbidden(owner=change.value)


def _same_owner(image: Image, change: Change) -> bool:
    """An `add` of the owner that the image has is Glance's one harmless exception."""
    return change.verb is patch.Verb.ADD and change.value == image.owner


def _authorize_visibility(
    services: 'Services', context: RequestContext, image: Image, visibility: Visibility
) -> None:
    if visibility in _VISIBILITY_RULES:
        services.policy.authorize(context, _VISIBILITY_RULES[visibility], image)


def _check_quotas(services: 'Services', image: Image, before: Image | None) -> None:
    """Raises TooManyProperties where some were added, TooManyTags where they were set."""
    known = before.properties if before else {}
    if image.properties.keys() - known.keys():
        properties.check_quota(image.properties, services.conf.image_property_quota)
    if before is None or image.tags != before.tags:
        properties.check_tags(image.tags, services.conf.image_tag_quota)


def _look(
    services: 'Services', operation: Callable[['Transaction'], Found], *, several: bool = False
) -> Found:
    """Most requests ask one statement, and need not wait for the begin and the end of a snapshot."""
    if several or _shows_locations(services):
        return services.db.snapshot(operation)
    return services.db.read(operation)


def _shows_locations(services: 'Services') -> bool:
    return services.conf.show_image_direct_url or services.conf.show_multiple_locations


def _shown(
    services: 'Services', context: RequestContext, tx: 'Transaction', images: Sequence[Image]
) -> list[ShownImage]:
    readable = services.protections.rights(context).readable(images)
    if not images or not _shows_locations(services):
        return [ShownImage(image=image) for image in readable]
    located = tx.images.locations_of([image.id for image in images])
    return [ShownImage(image=image, locations=tuple(located.get(image.id, ()))) for image in readable]
