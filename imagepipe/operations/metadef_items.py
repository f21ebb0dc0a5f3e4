"""What namespaces of metadata definitions hold: objects, properties, tags, resource types.

One set of operations; a Kind says which repository, which rules, which events.
"""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imagepipe.context import RequestContext
from imagepipe.domain import metadefs
from imagepipe.domain.event import Event
from imagepipe.domain.metadef_events import item_payload, namespace_payload
from imagepipe.domain.metadef_listing import Page
from imagepipe.domain.metadefs import Item, Namespace, PropertyDefinition, TagDefinition
from imagepipe.operations.metadef_namespaces import authorize, authorize_any, check_unprotected
from imagepipe.policies import metadefs as rules

if TYPE_CHECKING:
    from imagepipe.db.metadef_items import ItemRepository
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


#: What was asked for, with its namespace.
Found = tuple[Namespace, Item]
ManyFound = tuple[Namespace, Sequence[Item]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """Rules and events of one kind; None where there is no such operation."""

    of: Callable[[object], 'ItemRepository']
    see_all: str
    add: str
    remove: str
    created: Event
    deleted: Event
    see: str | None = None
    modify: str | None = None
    updated: Event | None = None
    #: The rules for deleting all of them, and its event.
    clear: tuple[str, ...] = ()
    cleared: Event | None = None


OBJECTS = Kind(
    of=operator.attrgetter('objects'),
    see=rules.GET_OBJECT,
    see_all=rules.GET_OBJECTS,
    add=rules.ADD_OBJECT,
    modify=rules.MODIFY_OBJECT,
    remove=rules.DELETE_OBJECT,
    clear=(rules.DELETE_NAMESPACE,),
    created=Event.METADEF_OBJECT_CREATE,
    updated=Event.METADEF_OBJECT_UPDATE,
    deleted=Event.METADEF_OBJECT_DELETE,
    cleared=Event.METADEF_NAMESPACE_DELETE_OBJECTS,
)
PROPERTIES = Kind(
    of=operator.attrgetter('properties'),
    see=rules.GET_PROPERTY,
    see_all=rules.GET_PROPERTIES,
    add=rules.ADD_PROPERTY,
    modify=rules.MODIFY_PROPERTY,
    remove=rules.REMOVE_PROPERTY,
    clear=(rules.DELETE_NAMESPACE,),
    created=Event.METADEF_PROPERTY_CREATE,
    updated=Event.METADEF_PROPERTY_UPDATE,
    deleted=Event.METADEF_PROPERTY_DELETE,
    cleared=Event.METADEF_NAMESPACE_DELETE_PROPERTIES,
)
TAGS = Kind(
    of=operator.attrgetter('tags'),
    see=rules.GET_TAG,
    see_all=rules.GET_TAGS,
    add=rules.ADD_TAG,
    modify=rules.MODIFY_TAG,
    remove=rules.DELETE_TAG,
    clear=(rules.DELETE_NAMESPACE, rules.DELETE_TAGS),
    created=Event.METADEF_TAG_CREATE,
    updated=Event.METADEF_TAG_UPDATE,
    deleted=Event.METADEF_TAG_DELETE,
    cleared=Event.METADEF_NAMESPACE_DELETE_TAGS,
)
RESOURCE_TYPES = Kind(
    of=operator.attrgetter('associations'),
    see_all=rules.GET_RESOURCE_TYPE,
    add=rules.ADD_ASSOCIATION,
    remove=rules.REMOVE_ASSOCIATION,
    created=Event.METADEF_RESOURCE_TYPE_CREATE,
    deleted=Event.METADEF_RESOURCE_TYPE_DELETE,
)


def search(services: 'Services', context: RequestContext, kind: Kind, namespace: str) -> ManyFound:
    """All of a namespace, oldest first. Raises MetadefNamespaceNotFound, PolicyForbids."""

    def look(tx: 'Transaction') -> ManyFound:
        found = tx.metadefs.get(context, namespace)
        authorize(services, context, kind.see_all, found)
        return found, kind.of(tx.metadefs).list(found)

    return services.db.snapshot(look)


def get(services: 'Services', context: RequestContext, kind: Kind, namespace: str, name: str) -> Found:
    """One of a namespace. Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNotFound."""

    def look(tx: 'Transaction') -> Found:
        found = tx.metadefs.get(context, namespace)
        authorize(services, context, kind.see, found)
        return found, kind.of(tx.metadefs).get(found, name)

    return services.db.snapshot(look)


def add(services: 'Services', context: RequestContext, kind: Kind, namespace: str, item: Item) -> Found:
    """Add one. Raises MetadefNamespaceNotFound, PolicyForbids, MetadefExists."""

    def change(tx: 'Transaction') -> Found:
        found = tx.metadefs.hold(context, namespace)
        authorize(services, context, kind.add, found)
        (added,) = kind.of(tx.metadefs).add(found, [item])
        tx.notify(kind.created, item_payload(found, added))
        return found, added

    return services.db.run(change)


def replace(
    services: 'Services', context: RequestContext, kind: Kind, namespace: str, name: str, item: Item
) -> Found:
    """Put another in the place of one, perhaps under another name.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNotFound, MetadefExists.
    """

    def change(tx: 'Transaction') -> Found:
        found = tx.metadefs.hold(context, namespace)
        authorize(services, context, kind.modify, found)
        repository = kind.of(tx.metadefs)
        old = repository.get(found, name)
        new = repository.replace(found, old, item)
        tx.notify(kind.updated, item_payload(found, new, old=old))
        return found, new

    return services.db.run(change)


def remove(services: 'Services', context: RequestContext, kind: Kind, namespace: str, name: str) -> None:
    """Delete one.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNotFound, MetadefProtected.
    """

    def change(tx: 'Transaction') -> None:
        found = tx.metadefs.hold(context, namespace)
        authorize(services, context, kind.remove, found)
        repository = kind.of(tx.metadefs)
        item = repository.get(found, name)
        check_unprotected(found)
        repository.remove(found, item)
        tx.notify(kind.deleted, item_payload(found, item, deleted_at=tx.now))

    services.db.run(change)


def clear(services: 'Services', context: RequestContext, kind: Kind, namespace: str) -> None:
    """Delete all of a namespace. Raises MetadefNamespaceNotFound, PolicyForbids, MetadefProtected."""

    def change(tx: 'Transaction') -> None:
        found = tx.metadefs.hold(context, namespace)
        for rule in kind.clear:
            authorize(services, context, rule, found)
        check_unprotected(found)
        kind.of(tx.metadefs).clear(found)
        tx.notify(kind.cleared, namespace_payload(found))

    services.db.run(change)


# What only one kind has.


def get_property(
    services: 'Services', context: RequestContext, namespace: str, name: str, resource_type: str
) -> Item:
    """A property by the name that it has for a resource type; it is shown by its own.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNotFound, MetadefPrefixMissing.
    """

    def look(tx: 'Transaction') -> PropertyDefinition:
        found = tx.metadefs.get(context, namespace)
        authorize(services, context, rules.GET_PROPERTY, found)
        association = tx.metadefs.associations.get(found, resource_type)
        return tx.metadefs.properties.get(found, metadefs.bare_name(name, association))

    return services.db.snapshot(look)


def search_tags(services: 'Services', context: RequestContext, namespace: str, page: Page) -> Sequence[Item]:
    """A page of tags. Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNotFound."""

    def look(tx: 'Transaction') -> Sequence[Item]:
        found = tx.metadefs.get(context, namespace)
        authorize(services, context, rules.GET_TAGS, found)
        return tx.metadefs.tags.page(found, page)

    return services.db.snapshot(look)


def set_tags(
    services: 'Services',
    context: RequestContext,
    namespace: str,
    tags: Sequence[TagDefinition],
    *,
    append: bool,
) -> Sequence[Item]:
    """Give a namespace these tags in the place of those that it has, or besides them.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefRepeated, MetadefExists.
    """
    metadefs.check_unique('tag', tags)

    def change(tx: 'Transaction') -> Sequence[Item]:
        found = tx.metadefs.hold(context, namespace)
        authorize(services, context, rules.ADD_TAGS, found)
        if not append:
            tx.metadefs.tags.clear(found)
        added = tx.metadefs.tags.add(found, tags)
        tx.notify_all([(Event.METADEF_TAG_CREATE, item_payload(found, tag)) for tag in added])
        return added

    return services.db.run(change)


def resource_types(services: 'Services', context: RequestContext) -> Sequence[Item]:
    """Every resource type that was ever associated. Raises PolicyForbids, MetadefHidden."""
    authorize_any(services, context, rules.LIST_RESOURCE_TYPES)
    return services.db.read(lambda tx: tx.metadefs.resource_types.all())
