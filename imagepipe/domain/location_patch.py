"""Patches of an image's locations: what each operation makes of them (reference, section 6.5).

Pure: what only a store or a name server can tell of a URL is found out before.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from imagepipe import errors
from imagepipe.domain.image import Image, Status
from imagepipe.domain.patch import Change, Verb
from imagepipe.domain.signature import Signature
from imagepipe.domain.validation import problem_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A location as a patch sees it; location_id is None for one that is not recorded yet."""

    url: str
    store: str
    size: int
    metadata: Mapping[str, object] = dataclasses.field(default_factory=dict)
    location_id: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """The image and its locations as a patch has made them so far."""

    image: Image
    places: tuple[Place, ...]
    removed: tuple[Place, ...] = ()

    @property
    def added(self) -> tuple[Place, ...]:
        """The locations that are not recorded yet."""
        return tuple(place for place in self.places if place.location_id is None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """This cloud's: the algorithm of os_hash_value, and how many locations there may be (below 0: any)."""

    hashing_algorithm: str
    most: int


def given(change: Change) -> Sequence[Mapping[str, object]]:
    """The locations that an operation names, as the client wrote them."""
    if change.verb is Verb.REMOVE:
        return ()
    return change.value if change.verb is Verb.REPLACE else [change.value]


def applied(draft: Draft, change: Change, found: Mapping[str, Place], rules: Rules) -> Draft:
    """The draft after one operation; `found` has every URL that is not the image's already.

    Raises LocationWrongStatus, LastLocation, LocationRefused, InvalidPatch, TooManyLocations,
    FormatsNotSet, SignaturePropertiesInvalid, ValidationDataConflict.
    """
    return _VERBS[change.verb](draft, change, found, rules)


def check(image: Image, change: Change) -> None:
    """What can be told without looking at URLs. Raises LastLocation, LocationWrongStatus."""
    if change.verb is Verb.REPLACE and not change.value:
        raise errors.LastLocation(image_id=image.id)
    allowed = (Status.ACTIVE,) if change.verb is Verb.REMOVE else (Status.ACTIVE, Status.QUEUED)
    if image.status not in allowed:
        names = ' or '.join(status.value for status in allowed)
        raise errors.LocationWrongStatus(status=image.status.value, needed=names)


def check_number(number: int, most: int) -> None:
    """Raises TooManyLocations; a negative limit is none."""
    if 0 <= most < number:
        raise errors.TooManyLocations(limit=most, attempted=number)


def _add(draft: Draft, change: Change, found: Mapping[str, Place], rules: Rules) -> Draft:
    check(draft.image, change)
    position = _position(change, len(draft.places), end=True)
    places = list(draft.places)
    places.insert(position, _place(draft, change.value, found))
    return _completed(draft, places, change, rules)


def _replace(draft: Draft, change: Change, found: Mapping[str, Place], rules: Rules) -> Draft:
    check(draft.image, change)
    known = {place.url for place in draft.places}
    if known and known != {location['url'] for location in change.value}:
        raise errors.LocationRefused(
            reason='a replacement must name all URLs that the image has, and no other.'
        )
    places = [_place(draft, location, found) for location in change.value]
    return _completed(draft, places, change, rules)


def _remove(draft: Draft, change: Change, found: Mapping[str, Place], rules: Rules) -> Draft:
    check(draft.image, change)
    if len(draft.places) == 1:
        raise errors.LastLocation(image_id=draft.image.id)
    places = list(draft.places)
    removed = places.pop(_position(change, len(places), end=False))
    gone = draft.removed if removed.location_id is None else (*draft.removed, removed)
    return dataclasses.replace(draft, places=tuple(places), removed=gone)


_VERBS = {Verb.ADD: _add, Verb.REPLACE: _replace, Verb.REMOVE: _remove}


def _position(change: Change, length: int, *, end: bool) -> int:
    text = change.position or ''
    if end and text == '-':
        return length
    if not (text.isascii() and text.isdigit() and len(text) < 10) or (not end and int(text) >= length):
        raise errors.InvalidPatch(reason='locations have no such position')
    return min(int(text), length)


def _place(draft: Draft, location: Mapping[str, object], found: Mapping[str, Place]) -> Place:
    """The location of this URL with the metadata that it is given; its store was found by both."""
    metadata = {name: value for name, value in location['metadata'].items() if name != 'store'}
    url = location['url']
    if any(place.url == url for place in draft.removed):
        raise errors.LocationRefused(reason='the same patch removes it.')
    known = next((place for place in draft.places if place.url == url), None)
    return dataclasses.replace(known or found[url], metadata=metadata)


def _completed(draft: Draft, places: Sequence[Place], change: Change, rules: Rules) -> Draft:
    """The draft with these locations; they and the validation data fill an image that has no data yet."""
    if len({place.url for place in places}) < len(places):
        raise errors.LocationRefused(reason='the image would have the same one twice.')
    check_number(len(places), rules.most)
    image, digests = draft.image, _digests(draft.image, given(change), rules)
    if image.status is Status.QUEUED:
        if image.missing_formats:
            raise errors.FormatsNotSet(names=', '.join(image.missing_formats))
        if Signature.of(image.properties) is not None:
            raise errors.LocationRefused(reason='a patch cannot verify the signature that the image names.')
        image = image.to(Status.ACTIVE, size=places[0].size, **digests)
    for place in places:
        if place.size != image.size:
            raise errors.LocationRefused(reason=f'it has {place.size} bytes, and the image {image.size}.')
    return dataclasses.replace(draft, image=image, places=tuple(places))


def _digests(image: Image, locations: Sequence[Mapping[str, object]], rules: Rules) -> dict[str, str]:
    """What validation_data says that the image does not know yet. Raises ValidationDataConflict."""
    new: dict[str, str] = {}
    for location in locations:
        for name, value in location.get('validation_data', {}).items():
            known = getattr(image, name)
            if value == known:
                continue
            if known is not None or new.setdefault(name, value) != value:
                raise errors.ValidationDataConflict(reason=f'{name} has another value already.')
    if new:
        _check_digests(image, new, rules)
    return {name: value if name == 'os_hash_algo' else value.lower() for name, value in new.items()}


def _check_digests(image: Image, new: Mapping[str, str], rules: Rules) -> None:
    if image.status is not Status.QUEUED:
        raise errors.ValidationDataConflict(reason=f'the image is {image.status.value} and not queued.')
    if new.get('os_hash_algo', rules.hashing_algorithm) != rules.hashing_algorithm:
        raise errors.ValidationDataConflict(reason=f'os_hash_algo must be {rules.hashing_algorithm}.')
    for name, algorithm in (('checksum', 'md5'), ('os_hash_value', rules.hashing_algorithm)):
        problem = problem_of(algorithm, new[name]) if name in new else None
        if problem:
            raise errors.ValidationDataConflict(reason=f'{name}: {problem}.')
