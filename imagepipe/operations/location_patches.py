"""Patches that change an image's locations (reference, section 6.5).

What only stores and name servers can tell is asked before the transaction. Data of removed
locations is deleted before the rest of the patch is stored: a store that keeps it fails the patch,
and then nothing of the patch is stored but what other stores have deleted already. Locations that
such a patch adds are recorded before anything is deleted: whatever dies, the image has data.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import location_patch
from imagepipe.domain.image import Image
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.location_patch import Draft, Place
from imagepipe.domain.patch import Change, Verb
from imagepipe.domain.representation import Representation
from imagepipe.domain.usage import UNLIMITED, Limits
from imagepipe.operations import locations, places
from imagepipe.policies import locations as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


class LocationPatch:
    """What a patch of one image does to its locations; nothing where it does not name them.

    decided: the image after the whole patch, or the error that forbids it; by it is decided twice where
    data is to be deleted, which no later refusal would bring back.
    """

    def __init__(
        self,
        services: 'Services',
        context: RequestContext,
        image_id: str,
        changes: Sequence[Change],
        decided: 'Callable[[Image, Drafting], Image]',
    ) -> None:
        self._services = services
        self._context = context
        self._image_id = image_id
        self._decided = decided
        self._own = [change for change in changes if change.name == 'locations']
        #: By URL: those that are new to the image, with the ids of those that were recorded beforehand.
        self._found: dict[str, Place] = {}
        self._removed: tuple[Place, ...] = ()
        #: Ids of the locations before anything was removed, in their order: positions count from there.
        self._order: list[str] = []
        self._limits: Limits = UNLIMITED

    def prepare(self) -> None:
        """All that is done outside of the transaction that stores the patch.

        Raises what applied(), places.find() and locations.conclude() raise.
        """
        if self._own:
            self._look()
        if any(change.verb is Verb.REMOVE for change in self._own):
            self._clear()

    def applied(self, tx: 'Transaction', image: Image) -> 'tuple[Image, Drafting]':
        """The image after the patch, and what stores the rest of it.

        Raises PolicyForbids, ImageNotFound, LocationsHidden, and what `decided` raises.
        """
        self._authorize(image)
        drafting = self._drafting(tx, image)
        return self._decided(image, drafting), drafting

    def _authorize(self, image: Image) -> None:
        for change in self._own:
            removes = change.verb is Verb.REMOVE
            rule = rules.DELETE_IMAGE_LOCATION if removes else rules.SET_IMAGE_LOCATION
            self._services.policy.authorize_image(self._context, rule, image)
            if not self._services.conf.show_multiple_locations:
                raise errors.LocationsHidden()

    def _drafting(self, tx: 'Transaction', image: Image) -> 'Drafting':
        found = tx.locations.of_primary(image.id) if self._own else []
        recorded = {place.location_id for place in self._found.values()}
        known = [*(_place(each) for each in found if each.id not in recorded), *self._removed]
        if self._removed:
            order = {location_id: number for number, location_id in enumerate(self._order)}
            known.sort(key=lambda place: order.get(place.location_id, len(order)))
        return Drafting(self._services, _as_shown(self._services, known), self._found, self._limits)

    def _look(self) -> None:
        """Find out about the URLs that are new to the image."""

        def known(tx: 'Transaction') -> tuple[str | None, set[str]]:
            image = tx.images.get(self._context, self._image_id)
            self._authorize(image)
            for change in self._own:
                location_patch.check(image, change)
            return image.owner, {location.url for location in tx.locations.of_primary(image.id)}

        owner, urls = self._services.db.snapshot(known)
        self._limits = self._services.quota.limits(owner)
        named = (given for change in self._own for given in location_patch.given(change))
        new = {given['url']: given['metadata'].get('store') for given in named if given['url'] not in urls}
        location_patch.check_number(len(new), self._services.conf.image_location_quota)
        for url, wanted in new.items():
            store = places.find(self._services, self._context, url, wanted)
            self._found[url] = Place(url=url, store=store.id, size=places.size_of(store, url))

    def _clear(self) -> None:
        """Delete what the patch removes, once it is known that the whole of it can be done."""

        def condemn(tx: 'Transaction') -> tuple[list[Location], list[Location]]:
            image = tx.images.get(self._context, self._image_id)
            _, drafting = self.applied(tx, image)
            removed = {place.location_id for place in drafting.draft.removed}
            known = tx.locations.of_primary(image.id)
            self._order = [location.id for location in known]
            found = [location for location in known if location.id in removed]
            if not found:
                return [], []  # it takes back what it adds itself
            locations.condemn(tx, image, found)
            return found, drafting.add(tx, image, freed=sum(location.size or 0 for location in found))

        condemned, added = self._services.db.run(condemn)
        locations.conclude(self._services, self._image_id, condemned, instead=added)
        self._removed = tuple(_place(location) for location in condemned)
        self._found |= {location.url: _place(location) for location in added}


class Drafting:
    """Applies the operations of one patch on locations in one transaction, in their order."""

    def __init__(
        self, services: 'Services', known: Sequence[Place], found: dict[str, Place], limits: Limits
    ) -> None:
        self._services = services
        self._limits = limits
        self._known = {place.location_id: place for place in known}
        self._found = found
        self._rules = location_patch.Rules(
            hashing_algorithm=services.conf.hashing_algorithm, most=services.conf.image_location_quota
        )
        self._places = tuple(known)
        self.draft: Draft | None = None

    def __call__(self, image: Image, change: Change) -> Image:
        """The image after one operation. Raises what location_patch.applied() raises."""
        draft = self.draft or Draft(image=image, places=self._places)
        draft = dataclasses.replace(draft, image=image)
        self.draft = location_patch.applied(draft, change, self._found, self._rules)
        return self.draft.image

    def save(self, tx: 'Transaction', image: Image) -> None:
        """Store what the operations made of the locations. Raises QuotaExceeded."""
        if self.draft is None:
            return
        for place in self.draft.places:
            known = self._known.get(place.location_id)
            if known is not None and known.metadata != place.metadata:
                tx.locations.set(place.location_id, [LocationState.ACTIVE], metadata=_metadata(place))
        self.add(tx, image)

    def add(self, tx: 'Transaction', image: Image, *, freed: int = 0) -> list[Location]:
        """Record the locations that are new. Raises QuotaExceeded.

        freed: bytes that the same patch removes; they are counted until they are gone.
        """
        added = self.draft.added
        if not added:
            return []
        size = sum(place.size for place in added)
        self._services.quota.reserve(tx, image.owner, size - freed, self._limits)
        self._services.quota.count(tx, image.owner, min(size, freed))
        primary = tx.locations.primary(image.id)
        if primary is None:
            primary = _representation(image)
            tx.locations.add_representation(primary)
        # Of one transaction, so of one time: it is their ids that keep them in the order of the patch.
        ids = sorted(uuidutils.generate_uuid() for _ in added)
        new = [_location(primary, *each) for each in zip(ids, added, strict=True)]
        for location in new:
            tx.locations.add(location)
        return new


def _place(location: Location) -> Place:
    return Place(
        url=location.url,
        store=location.store,
        size=location.size,
        metadata={name: value for name, value in location.metadata.items() if name != 'store'},
        location_id=location.id,
    )


def _location(primary: Representation, location_id: str, place: Place) -> Location:
    return Location(
        id=location_id,
        image_id=primary.image_id,
        representation_id=primary.id,
        store=place.store,
        state=LocationState.ACTIVE,
        url=place.url,
        size=place.size,
        metadata=_metadata(place),
    )


def _metadata(place: Place) -> dict[str, object]:
    return {**place.metadata, 'store': place.store}


def _as_shown(services: 'Services', known: Iterable[Place]) -> list[Place]:
    """In the order of the image's representation, by which clients count."""
    stores = services.stores
    return sorted(known, key=lambda place: -stores[place.store].weight if place.store in stores else 1)


def _representation(image: Image) -> Representation:
    """The bytes of an image that got its first location, as far as the client told what they are."""
    digests = {'md5': image.checksum, image.os_hash_algo: image.os_hash_value}
    return Representation(
        id=uuidutils.generate_uuid(),
        image_id=image.id,
        primary=True,
        disk_format=image.disk_format,
        container_format=image.container_format,
        size=image.size,
        digests={name: value for name, value in digests.items() if name and value},
    )
