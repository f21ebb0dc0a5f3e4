"""JSON patches of images: two media types, their pointers, and what each operation does.

A patch is taken apart and checked as far as that is possible without the image (`parse`), and
then applied to it (`apply`). Source: sections 6.1 to 6.6 of the API reference.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping, Sequence

from imagepipe import errors
from imagepipe.domain import properties as rules
from imagepipe.domain.image import Image, Status, Visibility

#: The media types, older one first; the number is that of the API's minor version.
V20 = 'application/openstack-images-v2.0-json-patch'
V21 = 'application/openstack-images-v2.1-json-patch'
MEDIA_TYPES = (V20, V21)

#: Statuses in which nothing depends on the formats yet.
FORMATS_FREE = frozenset({Status.QUEUED})

#: Holds attributes against the schema of images.
Check = Callable[[Mapping[str, object]], None]
#: Applies one operation on the locations, which are more than an attribute of the image.
Locate = Callable[[Image, 'Change'], Image]


class Verb(enum.StrEnum):
    """What an operation does."""

    ADD = 'add'
    REPLACE = 'replace'
    REMOVE = 'remove'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One operation on one attribute. strict: an `add` may not replace (the v2.0 media type).

    An `add` of a location has one location as its value; what it does says location_patch.
    """

    verb: Verb
    name: str
    value: object = None
    strict: bool = False
    #: Which of the locations, as the client wrote it.
    position: str | None = None


def media_type(content_type: str | None) -> str:
    """The media type, without its parameters. Raises UnsupportedPatch."""
    found = (content_type or '').partition(';')[0].strip().lower()
    if found not in MEDIA_TYPES:
        raise errors.UnsupportedPatch(content_type=found or 'none', expected=' or '.join(MEDIA_TYPES))
    return found


def parse(media: str, document: Sequence[Mapping[str, object]], check: Check) -> tuple[Change, ...]:
    """The changes of a patch that fits the schema of its media type.

    Raises InvalidPatch, InvalidBody, PropertyReadOnly, PropertyReserved and what check raises.
    """
    changes = [_change(media, operation) for operation in document]
    for change in changes:
        _check_name(change)
    for change in changes:
        if change.verb is not Verb.REMOVE:
            _check_value(change, check)
    return tuple(changes)


def apply(image: Image, changes: Sequence[Change], locate: Locate | None = None) -> Image:
    """The image after the changes, in their order. Says nothing about who may do this.

    Raises PropertyMissing, PropertyExists, PropertyNotRemovable, FormatsFixed, and what `locate` raises.
    """
    for change in changes:
        image = locate(image, change) if change.name == 'locations' else _applied(image, change)
    return image


def _change(media: str, operation: Mapping[str, object]) -> Change:
    verb, path = _verb_and_path(media, operation)
    tokens = tokens_of(path)
    if tokens[0] == 'locations':
        _check_location_depth(verb, tokens)
    elif len(tokens) != 1:
        raise errors.InvalidPatch(reason=f'the path {_short(path)} has too many parts')
    return Change(
        verb=verb,
        name=tokens[0],
        value=operation.get('value'),
        strict=media == V20,
        position=tokens[1] if len(tokens) > 1 else None,
    )


def _check_value(change: Change, check: Check) -> None:
    if change.name != 'locations':
        check({change.name: change.value})
        rules.check_texts({change.name: change.value})
        return
    given = [change.value] if change.verb is Verb.ADD else change.value
    check({change.name: given})
    for location in given:
        if not all(isinstance(value, str) for value in location['metadata'].values()):
            raise errors.InvalidPatch(reason='the metadata of a location must be strings')


def _verb_and_path(media: str, operation: Mapping[str, str]) -> tuple[Verb, str]:
    if media == V20:
        return next((verb, operation[verb]) for verb in Verb if verb in operation)
    return Verb(operation['op']), operation['path']


def tokens_of(path: str) -> tuple[str, ...]:
    """The parts of a JSON pointer, unescaped and without surrounding blanks. Raises InvalidPatch."""
    if '//' in path or (len(path) > 1 and path.endswith('/')):
        raise errors.InvalidPatch(reason=f'the path {_short(path)} has an empty part')
    if re.search('~(?![01])', path):
        raise errors.InvalidPatch(reason=f'the path {_short(path)} has a ~ that is not ~0 or ~1')
    parts = path[1:].split('/')
    return tuple(part.replace('~1', '/').replace('~0', '~').strip() for part in parts)


def _short(path: str) -> str:
    return path if len(path) <= 80 else f'{path[:80]}...'


def _check_location_depth(verb: Verb, tokens: Sequence[str]) -> None:
    depth = 1 if verb is Verb.REPLACE else 2
    if len(tokens) != depth:
        raise errors.InvalidPatch(reason=f'{verb} of locations takes a path of {depth} parts')


def _check_name(change: Change) -> None:
    rules.check_writable(change.name)
    if change.verb is Verb.ADD and change.name not in rules.BASE:
        rules.check_name(change.name)


def _applied(image: Image, change: Change) -> Image:
    if change.name in rules.BASE:
        return _base(image, change)
    if change.verb is Verb.ADD:
        if change.strict and change.name in image.properties:
            raise errors.PropertyExists(name=change.name)
    elif change.name not in image.properties:
        raise errors.PropertyMissing(name=change.name)
    custom = {name: value for name, value in image.properties.items() if name != change.name}
    if change.verb is not Verb.REMOVE:
        custom[change.name] = change.value
    return dataclasses.replace(image, properties=custom)


def _base(image: Image, change: Change) -> Image:
    if change.verb is Verb.REMOVE:
        raise errors.PropertyNotRemovable(name=change.name)
    if change.name in rules.FORMATS and image.status not in FORMATS_FREE:
        raise errors.FormatsFixed(name=change.name)
    if change.verb is Verb.ADD and change.strict:
        raise errors.PropertyExists(name=change.name)
    return dataclasses.replace(image, **{change.name: base_value(change.name, change.value)})


def base_value(name: str, value: object) -> object:
    """A value that passed the schema, as the Image attribute of this name holds it."""
    return _CONVERSIONS[name](value) if name in _CONVERSIONS else value


_CONVERSIONS: Mapping[str, Callable[[object], object]] = {
    'tags': frozenset,
    'visibility': Visibility,
    'min_disk': int,
    'min_ram': int,
}
