"""Deleting an image: its record, its bytes, whatever was on the way to it.

Locations are condemned first, then the stores are asked, for a short time, then the record
goes. A store that says no brings the image back; one that says nothing leaves its location
`deleting` for the sweeper.
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import WITH_DATA, Image, Status
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.transfer import Transfer, TransferState
from imagepipe.operations import transfers
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Locations whose bytes are the image's own; those of a live import are its conductor's to remove.
_OWN = frozenset({LocationState.ACTIVE, LocationState.MISSING, LocationState.DELETING, LocationState.FAILED})

#: What brings the image back: the store keeps the data, and will.
_REFUSALS = (errors.StoreInUse, errors.StoreDenied)


@dataclasses.dataclass(frozen=True)
class _Condemned:
    image: Image
    locations: tuple[Location, ...]
    transfers: tuple[Transfer, ...]
    removed: bool


def delete(services: 'Services', context: RequestContext, image_id: str) -> None:
    """Delete an image in any status. Its id is never used again.

    Raises ImageNotFound, PolicyForbids, ImageProtected, StoreInUse, StoreKeeps.
    """
    condemned = services.db.run(lambda tx: _condemn(services, context, tx, image_id))
    for transfer in condemned.transfers:
        _discard(services, transfer)
    if condemned.removed:
        return
    outcomes = _Deletions(services, condemned.locations).run(services.conf.transfers.delete_seconds)
    refusals = [error for error in outcomes.values() if isinstance(error, _REFUSALS)]
    gone = [location for location in condemned.locations if outcomes.get(location.id, ...) is None]
    if refusals:
        services.db.run(lambda tx: _restore(services, tx, condemned, gone))
        raise _refused(image_id, refusals)
    services.db.run(lambda tx: _finish(services, tx, condemned, gone))


def _condemn(services: 'Services', context: RequestContext, tx: 'Transaction', image_id: str) -> _Condemned:
    image = tx.images.get(context, image_id)
    services.policy.authorize_image(context, rules.DELETE_IMAGE, image)
    if image.protected:
        raise errors.ImageProtected(image_id=image_id)
    image.to(Status.DELETED)
    reverting = _revert_import(tx, image_id)
    ended = tuple(_end(services, tx, image, transfer) for transfer in tx.transfers.of_image(image_id))
    locations = tuple(
        location
        for location in tx.locations.of_image(image_id, _OWN)
        if reverting is None or location.import_id != reverting
    )
    for location in locations:
        tx.locations.set(location.id, [location.state], state=LocationState.DELETING.value)
    if not locations:
        _remove(services, tx, image, 0)
    return _Condemned(image, locations, ended, removed=not locations)


def _revert_import(tx: 'Transaction', image_id: str) -> str | None:
    """Stop a live import; its id if its conductor has to clean up, None if it is past its commit."""
    live = tx.imports.live_of(image_id)
    if live is None:
        return None
    won = tx.imports.revert(live.id, ImportState.FAILED, errors.ImageDeletedDuringImport())
    return live.id if won or live.state is ImportState.REVERTING else None


def _end(services: 'Services', tx: 'Transaction', image: Image, transfer: Transfer) -> Transfer:
    """Take the right to write from a transfer; an import that uses staged data is reverted anyway."""
    if tx.transfers.end(transfer.id, (TransferState.OPEN, TransferState.FINISHED)):
        services.quota.release_transfer(tx, transfer, image.owner)
    return transfer


def _discard(services: 'Services', transfer: Transfer) -> None:
    """Staged data goes at once; the bytes of an open transfer when its process, or the sweeper, sees it."""
    if transfer.state is not TransferState.FINISHED:
        return
    try:
        transfers.remove_bytes(services, transfer)
    except errors.ImagepipeError as error:
        LOG.warning('Transfer %s of a deleted image is left to the sweeper: %s', transfer.id, error)


def conclude(services: 'Services', tx: 'Transaction', location: Location) -> None:
    """The bytes of a condemned location are gone: forget it, and with the last one its image.

    The image is there only if the DELETE that condemned it died before it could remove the record.
    """
    freed = _forget(tx, [location])
    try:
        image = tx.images.find(location.image_id)
    except errors.ImageNotFound:
        return
    if location.url is None:
        return  # a leftover of an import; it was never the image's
    if tx.locations.of_image(image.id, _OWN) or image.status not in WITH_DATA:
        services.quota.release(tx, image.owner, freed)
        return
    _remove(services, tx, image, freed)


def _restore(
    services: 'Services', tx: 'Transaction', condemned: _Condemned, gone: Sequence[Location]
) -> None:
    """Put back what a store keeps; what is gone is gone."""
    services.quota.release(tx, condemned.image.owner, _forget(tx, gone))
    missing = {location.id for location in gone}
    for location in condemned.locations:
        if location.id not in missing:
            before = location.state
            state = LocationState.ACTIVE if before is LocationState.DELETING else before
            tx.locations.set(location.id, [LocationState.DELETING], state=state.value)


def _finish(services: 'Services', tx: 'Transaction', condemned: _Condemned, gone: Sequence[Location]) -> None:
    try:
        image = tx.images.find(condemned.image.id)
    except errors.ImageNotFound:
        return  # a second DELETE at the same time was faster
    left = [location for location in condemned.locations if location not in gone]
    _remove(services, tx, image, _forget(tx, gone) + sum(location.size or 0 for location in left))


def _forget(tx: 'Transaction', gone: Sequence[Location]) -> int:
    """Delete the rows of locations without bytes; how many bytes that frees."""
    freed = 0
    for location in gone:
        if tx.locations.set(location.id, [LocationState.DELETING], error_code=None):
            tx.locations.delete(location.id)
            freed += location.size or 0
    return freed


def _remove(services: 'Services', tx: 'Transaction', image: Image, freed: int) -> None:
    """The end of the record: tombstone, quota, event."""
    tx.images.remove(image, expected=image)
    tx.locations.delete_representations(image.id)
    services.quota.release(tx, image.owner, freed)
    deleted = dataclasses.replace(image, status=Status.DELETED)
    tx.notify(Event.IMAGE_DELETE, image_payload(deleted, deleted_at=tx.now))


def _refused(image_id: str, refusals: Sequence[errors.ImagepipeError]) -> errors.ImagepipeError:
    if any(isinstance(error, errors.StoreInUse) for error in refusals):
        return errors.StoreInUse(store='', image_id=image_id)
    return errors.StoreKeeps(image_id=image_id)


class _Deletions:
    """The stores' deletes, side by side and for a limited time.

    Their outcomes by location id: None is gone, an error is not gone; a store that has not
    answered in time has none, and its thread is left behind.
    """

    def __init__(self, services: 'Services', locations: Sequence[Location]) -> None:
        self._stores = services.stores
        self._locations = locations
        self._outcomes: dict[str, errors.ImagepipeError | None] = {}
        self._lock = threading.Lock()

    def run(self, seconds: float) -> dict[str, errors.ImagepipeError | None]:
        """Delete all; what is known after at most `seconds`."""
        deadline = time.monotonic() + seconds
        threads = [self._start(location) for location in self._locations]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            return dict(self._outcomes)

    def _start(self, location: Location) -> threading.Thread:
        thread = threading.Thread(
            target=self._delete, args=(location,), name=f'delete-{location.store}', daemon=True
        )
        thread.start()
        return thread

    def _delete(self, location: Location) -> None:
        outcome = self._outcome(location)
        if outcome is not None:
            LOG.warning('Location %s was not deleted: %s', location.id, outcome)
        with self._lock:
            self._outcomes[location.id] = outcome

    def _outcome(self, location: Location) -> errors.ImagepipeError | None:
        store = self._stores.get(location.store)
        if store is None:
            return errors.UnknownStore(store=location.store)
        try:
            if location.url is not None:
                store.delete(location.url)
            elif location.object_name is not None:
                store.discard(location.object_name)
        except errors.StoreReadOnly:
            return None  # such as http: the data is not ours to delete
        except errors.ImagepipeError as error:
            return error
        return None
