"""Namespaces of metadata definitions: created, looked up, listed, changed, deleted."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event
from imagepipe.domain.metadef_events import item_payload, namespace_payload
from imagepipe.domain.metadef_listing import NamespaceQuery
from imagepipe.domain.metadefs import Association, Contents, Namespace
from imagepipe.policies import metadefs as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Namespaces of one page, each with its associations; next_marker is set when more may follow."""

    namespaces: tuple[tuple[Namespace, Sequence[Association]], ...]
    next_marker: str | None


def authorize(services: 'Services', context: RequestContext, rule: str, namespace: Namespace) -> None:
    """Raises PolicyForbids, or MetadefNamespaceNotFound if the caller may not even see the namespace."""
    services.policy.authorize_seen(
        context,
        rule,
        _target(namespace),
        sight=rules.GET_NAMESPACE,
        unseen=errors.MetadefNamespaceNotFound(namespace=namespace.namespace),
    )


def authorize_any(
    services: 'Services', context: RequestContext, rule: str, target: Mapping[str, object] | None = None
) -> None:
    """For what is asked of no namespace that is there. Raises PolicyForbids.

    Raises MetadefHidden if the caller may not even see namespaces of his own project.
    """
    own = {'project_id': context.project_id, 'visibility': None}
    if services.policy.allows(context, rule, target or own):
        return
    if services.policy.allows(context, rules.GET_NAMESPACE, own):
        raise errors.PolicyForbids(rule=rule)
    raise errors.MetadefHidden()


def create(
    services: 'Services', context: RequestContext, fields: Mapping[str, object], contents: Contents
) -> Namespace:
    """Create a namespace with everything in it, or nothing.

    Raises PolicyForbids, MetadefHidden, MetadefNamespaceExists.
    """
    namespace = _of(uuidutils.generate_uuid(), context, fields)
    for rule in (rules.ADD_NAMESPACE, *_rules_for(contents)):
        authorize_any(services, context, rule, _target(namespace))

    def change(tx: 'Transaction') -> Namespace:
        added = tx.metadefs.add(namespace)
        filled = tx.metadefs.fill(added, contents)
        tx.notify(Event.METADEF_NAMESPACE_CREATE, namespace_payload(added))
        tx.notify_all(_created(added, filled))
        return added

    return services.db.run(change)


def get(services: 'Services', context: RequestContext, name: str) -> tuple[Namespace, Contents]:
    """A namespace with everything in it. Raises MetadefNamespaceNotFound."""

    def look(tx: 'Transaction') -> tuple[Namespace, Contents]:
        namespace = tx.metadefs.get(context, name)
        authorize(services, context, rules.GET_NAMESPACE, namespace)
        return namespace, tx.metadefs.contents(namespace)

    return services.db.snapshot(look)


def search(services: 'Services', context: RequestContext, query: NamespaceQuery) -> Page:
    """A page of namespaces.

    Raises PolicyForbids, MetadefHidden, MetadefNamespaceNotFound, MarkerForbidden.
    """
    authorize_any(services, context, rules.GET_NAMESPACES)

    def look(tx: 'Transaction') -> Page:
        found = tx.metadefs.list(context, query)
        visible = [
            each for each in found if services.policy.allows(context, rules.GET_NAMESPACE, _target(each))
        ]
        associations = tx.metadefs.associations_of(visible)
        full = 0 < query.page.limit == len(found)
        return Page(
            namespaces=tuple((each, associations.get(each.id, ())) for each in visible),
            next_marker=(visible or found)[-1].namespace if full else None,
        )

    return services.db.snapshot(look)


def replace(
    services: 'Services', context: RequestContext, name: str, fields: Mapping[str, object]
) -> Namespace:
    """Give a namespace other attributes, and perhaps another name; what it holds stays.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefNamespaceExists.
    """

    def change(tx: 'Transaction') -> Namespace:
        old = tx.metadefs.hold(context, name)
        authorize(services, context, rules.MODIFY_NAMESPACE, old)
        new = dataclasses.replace(_of(old.id, context, fields), created_at=old.created_at)
        saved = tx.metadefs.save(new)
        tx.notify(Event.METADEF_NAMESPACE_UPDATE, namespace_payload(saved, old=old))
        return saved

    return services.db.run(change)


def delete(services: 'Services', context: RequestContext, name: str) -> None:
    """Delete a namespace with everything in it.

    Raises MetadefNamespaceNotFound, PolicyForbids, MetadefProtected.
    """

    def change(tx: 'Transaction') -> None:
        namespace = tx.metadefs.hold(context, name)
        authorize(services, context, rules.DELETE_NAMESPACE, namespace)
        check_unprotected(namespace)
        tx.metadefs.remove(namespace)
        payload = namespace_payload(namespace, deleted_at=tx.now)
        tx.notify(Event.METADEF_NAMESPACE_DELETE, payload)

    services.db.run(change)


def check_unprotected(namespace: Namespace) -> None:
    """Raises MetadefProtected."""
    if namespace.protected:
        raise errors.MetadefProtected(namespace=namespace.namespace)


def _of(namespace_id: str, context: RequestContext, fields: Mapping[str, object]) -> Namespace:
    return Namespace.of(namespace_id, {'owner': context.project_id, **fields})


def _target(namespace: Namespace) -> Mapping[str, object]:
    return {
        'project_id': namespace.owner,
        'owner': namespace.owner,
        'visibility': namespace.visibility.value,
        'namespace': namespace.namespace,
        'protected': namespace.protected,
    }


def _rules_for(contents: Contents) -> Sequence[str]:
    """The rights to create what is in it."""
    return [
        rule
        for rule, items in (
            (rules.ADD_ASSOCIATION, contents.associations),
            (rules.ADD_OBJECT, contents.objects),
            (rules.ADD_TAG, contents.tags),
            (rules.ADD_PROPERTY, contents.properties),
        )
        if items
    ]


def _created(namespace: Namespace, contents: Contents) -> list[tuple[Event, Mapping[str, object]]]:
    """The events of what was made with a namespace, in Glance's order."""
    return [
        (event, item_payload(namespace, item))
        for event, items in (
            (Event.METADEF_RESOURCE_TYPE_CREATE, contents.associations),
            (Event.METADEF_OBJECT_CREATE, contents.objects),
            (Event.METADEF_TAG_CREATE, contents.tags),
            (Event.METADEF_PROPERTY_CREATE, contents.properties),
        )
        for item in items
    ]
