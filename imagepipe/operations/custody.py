"""Ends statuses that do not last and that nobody keeps up any more (domain/custody.py).

Whoever begins an upload, an import or a delete in the same moment is never overrun: an image is saved
by compare-and-set, and what keeps it in its status was written with it in one transaction.
"""

import datetime
import logging
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.custody import OWNERLESS
from imagepipe.domain.image import Image, Status
from imagepipe.domain.transfer import Transfer, TransferState
from imagepipe.operations import transfers

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

_FINISHED = (TransferState.FINISHED,)


def end_staged(services: 'Services', *, limit: int) -> int:
    """End staged data whose import nobody asks for, once [staging] keep_for is over; how much was ended."""
    ended = [
        transfer
        for transfer_id in services.db.read(lambda tx: tx.custody.unwanted(_before(services, tx), limit))
        if (transfer := _ended(services, transfer_id)) is not None
    ]
    for transfer in ended:
        LOG.warning(
            'The data staged for image %s is given up: nobody has asked to import it', transfer.image_id
        )
        try:
            transfers.remove_bytes(services, transfer)
        except errors.ImagepipeError as error:
            LOG.warning('The data of transfer %s stays for the next sweep: %s', transfer.id, error)
    return len(ended)


def _before(services: 'Services', tx: 'Transaction') -> datetime.datetime | None:
    kept = services.conf.staging.keep_for
    return None if kept is None else tx.now - datetime.timedelta(seconds=kept)


def _ended(services: 'Services', transfer_id: str) -> Transfer | None:
    """The transfer, which counts no more; None where it is wanted after all."""

    def change(tx: 'Transaction') -> Transfer | None:
        found = tx.transfers.get(transfer_id)
        if found is None or tx.imports.live_of(found.image_id) is not None:
            return None
        image = _image(tx, found.image_id)
        if image is not None and image.status is Status.IMPORTING:
            return None
        if not tx.transfers.end(transfer_id, _FINISHED):
            return None
        if image is not None and image.status is Status.UPLOADING:
            transfers.requeue(services, tx, image)
        services.quota.release_transfer(tx, found)
        return found

    try:
        return services.db.run(change)
    except errors.ImagepipeError as error:
        LOG.debug('The data of transfer %s is not given up now: %s', transfer_id, error)
        return None


def _image(tx: 'Transaction', image_id: str) -> Image | None:
    try:
        return tx.images.find(image_id)
    except errors.ImageNotFound:
        return None


def end_ownerless(services: 'Services', *, limit: int) -> None:
    """End every status that is found without an owner: what the records of older times, or a hand, left."""
    after = ''
    while found := services.db.read(lambda tx, after=after: tx.custody.ownerless(after, limit)):
        for image_id in found:
            try:
                services.db.run(lambda tx, image_id=image_id: _disown(services, tx, image_id))
            except errors.ImagepipeError as error:
                LOG.debug('The status of image %s is not ended now: %s', image_id, error)
        after = found[-1]


def _disown(services: 'Services', tx: 'Transaction', image_id: str) -> None:
    image = tx.images.find(image_id)
    if not tx.custody.is_ownerless(image_id):
        return
    LOG.warning('Image %s is %s, and nobody keeps it so; that is ended', image_id, image.status.value)
    if OWNERLESS[image.status] is Status.PENDING_DELETE:
        tx.pending_deletes.add(image, status=Status.ACTIVE)
        return
    reason = errors.TransferLost(image_id=image_id).message if image.status is Status.SAVING else None
    transfers.requeue(services, tx, image, reason)
    for location in tx.locations.of_image(image_id):
        tx.locations.drop(location.id)
