"""Deleting an image: its record, its bytes, whatever was on the way to it.

The image and its locations are condemned first, then the stores are asked, for a short time, then
the record goes. Meanwhile nobody else changes the image: what he was told is done would go with it.
A store that says no brings the image back; one that says nothing leaves its location `deleting`
for the sweeper. What the image can do without is asked for first, so that one that comes back can be
read. A DELETE that dies is done again, by another or by the sweeper.
"""

import contextlib
import dataclasses
import datetime
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import encryption
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import WITH_DATA, Image, Status
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.location import OCCUPYING, Location, LocationState
from imagepipe.domain.transfer import Transfer, TransferState
from imagepipe.operations import pending_deletes, removals, transfers
from imagepipe.operations.removals import Removal
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Transfers from which the right to write is taken; an import that uses staged data is reverted anyway.
_UNENDED = (TransferState.OPEN, TransferState.FINISHED)


@dataclasses.dataclass(frozen=True)
class _Condemned:
    image: Image
    locations: tuple[Location, ...]
    readable: tuple[Location, ...]  # those of them without which nobody can read the image
    transfers: tuple[Transfer, ...]
    removed: bool  # nothing is left to do in the stores


def delete(services: 'Services', context: RequestContext, image_id: str) -> None:
    """Delete an image in any status. Its id is never used again.

    Raises ImageNotFound, also if another request has deleted it at the same time; ImageBeingDeleted if
    another takes long to do so; PolicyForbids, ImageProtected, StoreInUse, StoreKeeps.
    """

    def condemn(tx: 'Transaction') -> _Condemned:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.DELETE_IMAGE, image)
        if image.protected:
            raise errors.ImageProtected(image_id=image_id)
        return _condemn(services, tx, image)

    while (image := _deleted(services, services.db.run(condemn))) is None:
        LOG.info('Image %s was given back while it was deleted: it is deleted anew', image_id)
    # As Glance does, also when the image can be restored: nobody has the right to do it later.
    key = encryption.key_deleted_with(image.properties)
    if key is not None:
        services.key_manager.delete(context, key)


def resume(services: 'Services', location: Location) -> bool:
    """Do the DELETE again that has condemned the image of this location, and died.

    Whether there was none, and the location is still to be removed by itself. Raises ImageBeingDeleted
    if the DELETE may be alive, ImageNotFound if another was faster.
    """

    def look(tx: 'Transaction') -> tuple[bool, bool]:
        left = tx.locations.of_image(location.image_id, [LocationState.DELETING])
        with contextlib.suppress(errors.ImageNotFound):
            image = tx.images.find(location.image_id)
            return location in left, location.url is not None and image.condemned is not None
        return location in left, False

    def condemn(tx: 'Transaction') -> _Condemned | None:
        image = tx.images.find(location.image_id)
        return None if image.condemned is None else _condemn(services, tx, image)

    # Of one moment: where another sweeper gives the image back, neither half of that is seen alone.
    left, dead = services.db.snapshot(look)
    if not (left and dead):
        return left
    condemned = services.db.run(condemn)
    try:
        if condemned is not None:
            _deleted(services, condemned)
    except (errors.StoreInUse, errors.StoreKeeps) as error:
        LOG.warning('Image %s is back, whose DELETE had died: %s', location.image_id, error)
    return False


def _deleted(services: 'Services', condemned: _Condemned) -> Image | None:
    """The image, which is gone; None if this took so long that another DELETE has given it back."""
    image_id = condemned.image.id
    if services.cache is not None:
        services.cache.drop(image_id)
    for transfer in condemned.transfers:
        _discard(services, transfer)
    if condemned.removed:
        return condemned.image
    removal = _emptied(services, condemned)
    if removal.kept:
        services.db.run(lambda tx: _restore(services, tx, condemned.image, removal))
        raise removal.refusal(image_id)
    found = services.db.run(lambda tx: _finish(services, tx, image_id, removal.gone))
    if found is None:
        raise errors.ImageNotFound(image_id=image_id)
    return None if found.condemned is None else found


def _emptied(services: 'Services', condemned: _Condemned) -> Removal:
    """Ask for other formats in half of the time, and for what GET file reads only if none is kept."""
    readable = condemned.readable
    others = [location for location in condemned.locations if location not in readable]
    if not others:
        return removals.remove_bytes(services, readable)
    began, seconds = time.monotonic(), services.conf.transfers.delete_seconds
    first = removals.remove_bytes(services, others, seconds / 2)
    if first.kept:
        return dataclasses.replace(first, unasked=readable)
    rest = removals.remove_bytes(services, readable, seconds - (time.monotonic() - began))
    return dataclasses.replace(rest, gone=first.gone + rest.gone)


def _condemn(services: 'Services', tx: 'Transaction', image: Image) -> _Condemned:
    _check_turn(services, tx, image)
    image.to(Status.DELETED)
    reverting = _revert_import(tx, image.id)
    found = tx.transfers.of_image(image.id)
    ended = [transfer for transfer in found if tx.transfers.end(transfer.id, _UNENDED)]
    tx.images.lock(image)
    locations = tuple(
        location for location in _own(tx, image.id) if reverting is None or location.import_id != reverting
    )
    readable = _readable(tx, image, locations)
    if _is_postponed(services, image, locations):
        pending_deletes.postpone(services, tx, image)
        locations = ()
    elif not locations:
        _remove(services, tx, image)
    else:
        condemned = dataclasses.replace(image, condemned=uuidutils.generate_uuid())
        image = tx.images.settle(condemned, expected=image)
    pending_deletes.condemn(tx, locations)
    for transfer in ended:
        services.quota.release_transfer(tx, tx.transfers.get(transfer.id))  # it may have grown before its end
    return _Condemned(image, locations, readable, tuple(found), removed=not locations)


def _readable(tx: 'Transaction', image: Image, locations: Sequence[Location]) -> tuple[Location, ...]:
    """Those that GET file reads: all where there is but one format.

    One that was on its way out before is none of them, unless a DELETE that died may have condemned it.
    """
    if len({location.representation_id for location in locations}) < 2:
        return tuple(locations)
    primary = tx.locations.primary(image.id)
    return tuple(
        location
        for location in locations
        if primary is not None
        and location.representation_id == primary.id
        and (image.condemned is not None or location.state in pending_deletes.KEPT)
    )


def patience(services: 'Services') -> datetime.timedelta:
    """How long a DELETE may ask stores; one that has not come to an end by then is dead."""
    return datetime.timedelta(seconds=services.conf.transfers.delete_seconds + 1)


def _check_turn(services: 'Services', tx: 'Transaction', image: Image) -> None:
    """One DELETE at a time asks: what one gives back, another must not be deleting.

    Raises ImageBeingDeleted, on which the transaction is run again a few times.
    """
    if image.updated_at > tx.now - patience(services):
        image.check_uncondemned()


def _is_postponed(services: 'Services', image: Image, locations: Sequence[Location]) -> bool:
    """Whether the data waits for scrub_time. Raises ImageChanged."""
    if not services.conf.delayed_delete or not any(
        location.state in pending_deletes.KEPT for location in locations
    ):
        return False
    if image.status not in WITH_DATA:
        raise errors.ImageChanged(image_id=image.id)  # an import was committed since it was read
    return True


def _revert_import(tx: 'Transaction', image_id: str) -> str | None:
    """Stop a live import; its id if its conductor has to clean up, None if it is past its commit."""
    live = tx.imports.live_of(image_id)
    if live is None:
        return None
    won = tx.imports.revert(live.id, ImportState.FAILED, errors.ImageDeletedDuringImport())
    return live.id if won or live.state is ImportState.REVERTING else None


def _discard(services: 'Services', transfer: Transfer) -> None:
    """Staged files go at once; the bytes of an open transfer when its process, or the sweeper, sees it.

    So does what is staged in a store, which may not answer.
    """
    if transfer.state is not TransferState.FINISHED or transfer.url is not None:
        return
    try:
        transfers.remove_bytes(services, transfer)
    except errors.ImagepipeError as error:
        LOG.warning('Transfer %s of a deleted image is left to the sweeper: %s', transfer.id, error)


def conclude(services: 'Services', tx: 'Transaction', location: Location) -> None:
    """The bytes of a condemned location are gone: forget it, and with the last one a condemned image.

    Such an image is there only if the DELETE that condemned it died before it could remove the record.
    """
    image = _locked(tx, location.image_id)
    freed = forget(tx, [location])
    if image is None or location.url is None:
        return  # without a URL it is a leftover of an import, and was never the image's
    if image.status is Status.PENDING_DELETE:
        return  # it counts for nobody, and goes when its time is over
    if image.condemned is None or _own(tx, image.id):
        services.quota.release(tx, image.owner, freed)
        return
    _remove(services, tx, image, freed)


def _restore(services: 'Services', tx: 'Transaction', condemned: Image, removal: Removal) -> None:
    """Put back what a store keeps; what is gone is gone. The image is everybody's to change again.

    Where this took so long that another DELETE has condemned it since, that one decides.
    """
    image = _locked(tx, condemned.id)
    freed = forget(tx, removal.gone)
    if image is None:
        return
    services.quota.release(tx, image.owner, freed)
    if image.condemned == condemned.condemned:
        restore(tx, image.id, removal)
        tx.images.settle(dataclasses.replace(image, condemned=None), expected=image)


def restore(tx: 'Transaction', image_id: str, removal: Removal) -> None:
    """What stores keep, and what they were not asked for, is the image's again.

    Of nothing else is it known that it is still there. Without an image it stays the sweeper's.
    """
    if _locked(tx, image_id) is None:
        return
    kept = [location for location, _ in removal.kept]
    for location in (*kept, *removal.unasked):
        tx.locations.set(location.id, [LocationState.DELETING], state=LocationState.ACTIVE.value)


def withdraw(services: 'Services', image: Image) -> None:
    """Take an image back that was made a moment ago, for something that was then refused.

    Its id is used up. If somebody has changed it meanwhile it is his, and stays.
    """

    def change(tx: 'Transaction') -> None:
        found = tx.images.find(image.id)
        if found.updated_at == image.updated_at:  # the caller may not have read all of it
            _remove(services, tx, found)

    with contextlib.suppress(errors.ImageNotFound):
        services.db.run(change)


def _finish(services: 'Services', tx: 'Transaction', image_id: str, gone: Sequence[Location]) -> Image | None:
    """Remove the record, as it was found; None when a second DELETE at the same time was faster.

    An image that is condemned no longer stays: somebody may have changed it since.
    """
    image = _locked(tx, image_id)
    freed = forget(tx, gone)
    if image is not None and image.condemned is not None:
        _remove(services, tx, image, freed)
    elif image is not None:
        services.quota.release(tx, image.owner, freed)
    return image


def _locked(tx: 'Transaction', image_id: str) -> Image | None:
    """The image, held until the transaction ends; None if it is gone."""
    try:
        image = tx.images.find(image_id)
    except errors.ImageNotFound:
        return None
    tx.images.lock(image)
    return image


def forget(tx: 'Transaction', gone: Sequence[Location], state: LocationState = LocationState.DELETING) -> int:
    """Delete the rows of locations that are still in this state; how many bytes that frees."""
    freed = 0
    for location in gone:
        if tx.locations.set(location.id, [state], error_code=None):
            tx.locations.delete(location.id)
            freed += location.size or 0
    return freed


def _own(tx: 'Transaction', image_id: str) -> list[Location]:
    """The locations whose bytes are the image's own; those of a live import are its conductor's to remove."""
    return [found for found in tx.locations.of_image(image_id, OCCUPYING) if found.url is not None]


def _remove(services: 'Services', tx: 'Transaction', image: Image, freed: int = 0) -> None:
    """The end of the record: tombstone, quota, event. freed: of locations that are forgotten already.

    What came since the others were condemned goes with them.
    """
    freed += tx.accounts.stored(image.id)
    pending_deletes.condemn(tx, tx.locations.of_image(image.id, pending_deletes.KEPT))
    tx.images.remove(image, expected=image)
    tx.locations.delete_representations(image.id)
    services.quota.moved(tx, image, None)
    services.quota.release(tx, image.owner, freed)
    deleted = dataclasses.replace(image, status=Status.DELETED)
    tx.notify(Event.IMAGE_DELETE, image_payload(deleted, deleted_at=tx.now))
