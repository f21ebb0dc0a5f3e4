"""Property protections: what a caller may do with custom properties, by their names.

Tables of patterns say who may do what; asked for one caller they give his Rights. Properties of the
service itself (os_glance...) are never subject to them. Source: section 19 of the API reference.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from imagepipe import errors
from imagepipe.domain import properties as names
from imagepipe.domain.image import Image
from imagepipe.domain.patch import Change, Verb


class Operation(enum.StrEnum):
    """What is done with a property."""

    CREATE = 'create'
    READ = 'read'
    UPDATE = 'update'
    DELETE = 'delete'


#: What an import may do: it never removes a property.
_WRITING = (Operation.CREATE, Operation.UPDATE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Permission:
    """Whoever has one of the roles, in lower case, or is allowed the policy rule. Neither: nobody."""

    roles: frozenset[str] = frozenset()
    rule: str | None = None
    everybody: bool = False


EVERYBODY = Permission(everybody=True)
NOBODY = Permission()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """Who may do this with the properties in whose names the pattern is found."""

    pattern: re.Pattern[str]
    operation: Operation
    permission: Permission


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Entries, of which the first that fits decides; otherwise: of what no entry fits."""

    entries: tuple[Entry, ...] = ()
    otherwise: Mapping[Operation, Permission] = dataclasses.field(default_factory=dict)

    def permission(self, operation: Operation, name: str) -> Permission:
        """Who may do this with the property of this name."""
        for entry in self.entries:
            if entry.operation is operation and entry.pattern.search(name):
                return entry.permission
        return self.otherwise.get(operation, NOBODY)


class Rights:
    """What one caller may do: every table must allow it. Each permission is decided at most once."""

    def __init__(self, tables: Sequence[Table], decide: Callable[[Permission], bool]) -> None:
        self._tables = tables
        self._decide = decide
        self._decided: dict[Permission, bool] = {}
        self._known: dict[tuple[Operation, str], bool] = {}

    def allows(self, operation: Operation, name: str) -> bool:
        """Whether the caller may do this with the property of this name."""
        if not self._tables or name.startswith(names.RESERVED_PREFIX):
            return True
        key = (operation, name)
        if key not in self._known:
            self._known[key] = all(self.has(table.permission(operation, name)) for table in self._tables)
        return self._known[key]

    def has(self, permission: Permission) -> bool:
        """Whether the permission is the caller's."""
        if permission not in self._decided:
            self._decided[permission] = self._decide(permission)
        return self._decided[permission]

    def readable(self, images: Sequence[Image]) -> Sequence[Image]:
        """The images without the properties that the caller may not read."""
        if not self._tables:
            return images
        found = set().union(*(image.properties for image in images))
        hidden = {name for name in found if not self.allows(Operation.READ, name)}
        return [_without(image, hidden) for image in images] if hidden else images

    def writable(self, present: Iterable[str], wanted: Mapping[str, str]) -> dict[str, str]:
        """Those of the wanted properties that the caller may give an image that has the present ones."""
        present = frozenset(present)
        return {
            name: value
            for name, value in wanted.items()
            if self.allows(Operation.UPDATE if name in present else Operation.CREATE, name)
        }

    def frozen(self) -> list[dict[str, object]]:
        """What may be written, decided now, as plain JSON: for whoever acts later for this caller."""
        return [
            {
                'entries': [
                    [entry.operation.value, entry.pattern.pattern, self.has(entry.permission)]
                    for entry in table.entries
                    if entry.operation in _WRITING
                ],
                'otherwise': {
                    operation.value: self.has(table.otherwise.get(operation, NOBODY))
                    for operation in _WRITING
                },
            }
            for table in self._tables
        ]


def thawed(value: Iterable[Mapping[str, object]]) -> Rights:
    """The rights that `frozen` wrote."""
    tables = [
        Table(
            entries=tuple(
                Entry(
                    pattern=re.compile(pattern), operation=Operation(operation), permission=_decided(allowed)
                )
                for operation, pattern, allowed in table['entries']
            ),
            otherwise={Operation(name): _decided(allowed) for name, allowed in table['otherwise'].items()},
        )
        for table in value
    ]
    return Rights(tables, lambda permission: permission.everybody)


def check_new(rights: Rights, properties: Iterable[str]) -> None:
    """The caller may create an image with these properties. Raises PropertyProtected."""
    for name in properties:
        _check(rights, Operation.CREATE, name)


def check_changes(rights: Rights, image: Image, changes: Sequence[Change]) -> None:
    """The caller may make these changes, in their order, of the image.

    A property that he may not read looks absent, but cannot be written over.
    Raises PropertyProtected, PropertyMissing.
    """
    present = set(image.properties)
    for change in changes:
        if change.name in names.BASE:
            continue
        _check_change(rights, change, exists=change.name in present)
        if change.verb is Verb.REMOVE:
            present.discard(change.name)
        else:
            present.add(change.name)


def _check_change(rights: Rights, change: Change, *, exists: bool) -> None:
    if not exists:
        if change.verb is Verb.ADD:
            _check(rights, Operation.CREATE, change.name)
        return
    if not rights.allows(Operation.READ, change.name):
        if change.verb is Verb.ADD:
            raise errors.PropertyProtected(operation=Operation.CREATE.value, name=change.name)
        raise errors.PropertyMissing(name=change.name)
    if not change.strict or change.verb is not Verb.ADD:  # a strict add finds that it exists
        _check(rights, Operation.DELETE if change.verb is Verb.REMOVE else Operation.UPDATE, change.name)


def _check(rights: Rights, operation: Operation, name: str) -> None:
    if not rights.allows(operation, name):
        raise errors.PropertyProtected(operation=operation.value, name=name)


def _without(image: Image, hidden: set[str]) -> Image:
    if hidden.isdisjoint(image.properties):
        return image
    shown = {name: value for name, value in image.properties.items() if name not in hidden}
    return dataclasses.replace(image, properties=shown)


def _decided(allowed: bool) -> Permission:
    return EVERYBODY if allowed else NOBODY
