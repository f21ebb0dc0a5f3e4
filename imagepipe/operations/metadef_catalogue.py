"""What an operator does to all metadata definitions: load them, export them, forget them.

No policy is asked and no notification is sent: these come from a shell on the host.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe.domain.metadefs import Contents, Definition, Namespace

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


class Merge(enum.Enum):
    """What becomes of a namespace that is there already."""

    #: It is left as it is.
    NONE = 'none'
    #: It gets what it does not have.
    MISSING = 'missing'
    #: It gets everything that is new; what only it has stays.
    PREFER_NEW = 'prefer_new'
    #: It becomes what is new.
    OVERWRITE = 'overwrite'


class Loaded(enum.Enum):
    """What was done."""

    ADDED = 'loaded'
    KEPT = 'there already, left as it is'
    MERGED = 'merged'
    OVERWRITTEN = 'overwritten'


def load(services: 'Services', definitions: Sequence[Definition], *, merge: Merge) -> Sequence[Loaded]:
    """Load all of them, or none; what was done with each."""
    return services.db.run(lambda tx: [load_one(tx, definition, merge) for definition in definitions])


def unload(services: 'Services') -> int:
    """Delete every namespace, with what it holds, and every resource type; how many namespaces."""
    return services.db.run(lambda tx: tx.metadefs.clear())


def export(services: 'Services') -> Sequence[Definition]:
    """Every namespace with what it holds."""

    def look(tx: 'Transaction') -> Sequence[Definition]:
        return [
            Definition(namespace=each, contents=_in_order(tx.metadefs.contents(each)))
            for each in tx.metadefs.all()
        ]

    return services.db.snapshot(look)


def load_one(tx: 'Transaction', definition: Definition, merge: Merge) -> Loaded:
    """Load one; what was done."""
    old = tx.metadefs.find(definition.namespace.namespace)
    if old is None:
        new = dataclasses.replace(definition.namespace, id=uuidutils.generate_uuid())
        tx.metadefs.fill(tx.metadefs.add(new), definition.contents)
        return Loaded.ADDED
    return _MERGES[merge](tx, old, definition)


def _keep(tx: 'Transaction', old: Namespace, definition: Definition) -> Loaded:
    return Loaded.KEPT


def _add_missing(tx: 'Transaction', old: Namespace, definition: Definition) -> Loaded:
    tx.metadefs.add_missing(old, definition.contents)
    return Loaded.MERGED


def _prefer_new(tx: 'Transaction', old: Namespace, definition: Definition) -> Loaded:
    tx.metadefs.update(_save(tx, old, definition), definition.contents)
    return Loaded.MERGED


def _overwrite(tx: 'Transaction', old: Namespace, definition: Definition) -> Loaded:
    tx.metadefs.empty(old)
    tx.metadefs.fill(_save(tx, old, definition), definition.contents)
    return Loaded.OVERWRITTEN


_MERGES = {
    Merge.NONE: _keep,
    Merge.MISSING: _add_missing,
    Merge.PREFER_NEW: _prefer_new,
    Merge.OVERWRITE: _overwrite,
}


def _save(tx: 'Transaction', old: Namespace, definition: Definition) -> Namespace:
    return tx.metadefs.save(dataclasses.replace(definition.namespace, id=old.id, created_at=old.created_at))


def _in_order(contents: Contents) -> Contents:
    """Tags are listed newest first, and written down so that loading them gives the same list."""
    return dataclasses.replace(contents, tags=contents.tags[::-1])
