"""The life of a transfer around its bytes: recorded, kept alive, withdrawn, swept.

A transfer's reservations are released in the transaction that ends it; its row stays until
its bytes are gone, so that whoever finds a dead process's row knows what to remove.
"""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.domain import names
from imagepipe.domain.event import Event, Priority, image_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.reception import staged
from imagepipe.domain.transfer import Transfer, TransferKind, TransferState
from imagepipe.domain.usage import Limits

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Bytes reserved ahead for data of unknown size.
STEP = 64 << 20
#: Seconds before another try when the database could not be asked to prolong a lease.
_AGAIN = 1.0
#: The longest that a moving transfer goes without asking whether it is still wanted.
_LOOK = 5.0

#: The status of an image while a transfer of this kind runs.
RECEIVING = {TransferKind.UPLOAD: Status.SAVING, TransferKind.STAGE: Status.UPLOADING}


def new(
    services: 'Services',
    image: Image,
    kind: TransferKind,
    *,
    part: str,
    store: str | None = None,
    reserved: int = 0,
) -> Transfer:
    """A transfer by this process, not yet recorded."""
    transfer_id = uuidutils.generate_uuid()
    transfer = Transfer(
        id=transfer_id,
        image_id=image.id,
        kind=kind,
        state=TransferState.OPEN,
        store=store,
        object_name=names.object_name(image.id, transfer_id, 1, part),
        owner=services.name,
        project=image.owner,
        reserved=reserved,
    )
    return dataclasses.replace(transfer, host=services.staging.host if staged(transfer) else None)


def record(
    services: 'Services', tx: 'Transaction', transfer: Transfer, image: Image, limits: Limits
) -> Image:
    """Move the image, reserve, and write the transfer: all of it before the first byte.

    Raises InvalidTransition, ImageChanged, UploadingCountExceeded, QuotaExceeded,
    StagedQuotaExceeded, StagingFull.
    """
    saved = tx.images.save(image.to(RECEIVING[transfer.kind]), expected=image)
    services.quota.moved(tx, image, saved, limits)
    services.quota.reserve_transfer(tx, transfer, transfer.reserved, limits)
    tx.transfers.add(transfer, services.conf.transfers.lease_seconds)
    if transfer.host is not None:
        tx.conductors.known(transfer.host)  # even without a conductor there it can be given up
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))
    return saved


class Keeper:
    """Keeps a transfer alive while its bytes move; called with the bytes seen so far.

    Prolongs the lease every third of it, or every few seconds, which is also how soon an upload
    learns that its image was deleted; reserves room for data of unknown size in steps, within the
    limits that were read before the first byte. Within kept() a thread prolongs it too.
    Raises TransferLost, ImageGone, QuotaExceeded, StagedQuotaExceeded, StagingFull.
    """

    def __init__(self, services: 'Services', transfer: Transfer, limits: Limits) -> None:
        self.transfer = transfer
        self._services = services
        self._limits = limits
        self._lease = services.conf.transfers.lease_seconds
        self._patience = max(services.conf.transfers.store_timeout, services.conf.transfers.client_timeout)
        self._extend()

    def __call__(self, total: int) -> None:
        if total > self.transfer.reserved:
            self._reserve(total - self.transfer.reserved)
        elif time.monotonic() >= self._due:
            self.renew()

    def renew(self) -> None:
        """Prolong the lease now; a database that is away for a moment does not end the transfer."""
        lease = self._lease
        try:
            held = self._services.db.run(lambda tx: tx.transfers.renew(self.transfer, lease))
        except errors.DatabaseUnavailable:
            self._due = time.monotonic() + _AGAIN
            if self._due > self._expires:
                raise
            return
        self._continue(held)

    def moving(self, _total: int) -> None:
        """The same for bytes that were counted before, on their way into a store."""
        self(0)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """The lease is prolonged within while no bytes move: while a store completes, or a disk writes.

        For as long as the slower of client and store may take: what hangs for ever is given up. That the
        transfer was lost is not told here: the next call tells it, and at last the commit.
        """
        over = threading.Event()
        name = f'lease-{self.transfer.id}'
        thread = threading.Thread(target=self._prolong, args=(over,), name=name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _prolong(self, over: threading.Event) -> None:
        pause = self._lease / 3
        while not over.wait(pause) and (began := time.monotonic()) < self._moved + self._patience:
            try:
                if not self._services.db.run(lambda tx: tx.transfers.renew(self.transfer, self._lease)):
                    return
            except errors.DatabaseUnavailable as error:
                LOG.warning('The lease of transfer %s could not be prolonged: %s', self.transfer.id, error)
                pause = min(_AGAIN, self._lease / 3)
            else:
                self._expires = max(self._expires, began + self._lease)
                pause = self._lease / 3

    def _reserve(self, needed: int) -> None:
        try:
            self._reserve_exactly(max(needed, STEP))
        except errors.TooLarge:
            self._reserve_exactly(needed)

    def _reserve_exactly(self, amount: int) -> None:
        reserved = self.transfer.reserved + amount

        def change(tx: 'Transaction') -> bool:
            if not tx.transfers.keep(self.transfer, self._lease, reserved=reserved):
                raise _lost(tx, self.transfer)
            self._services.quota.reserve_transfer(tx, self.transfer, amount, self._limits)
            return True

        self._continue(self._services.db.run(change))
        self.transfer = dataclasses.replace(self.transfer, reserved=reserved)

    def _continue(self, held: bool) -> None:
        if not held:
            raise self._services.db.read(lambda tx: _lost(tx, self.transfer))
        self._extend()

    def _extend(self) -> None:
        self._moved = now = time.monotonic()
        self._due = now + min(self._lease / 3, _LOOK)
        self._expires = now + self._lease


def lost(services: 'Services', transfer: Transfer) -> errors.ImagepipeError:
    """Why a transfer is not ours any more: ImageGone or TransferLost."""
    return services.db.read(lambda tx: _lost(tx, transfer))


def _lost(tx: 'Transaction', transfer: Transfer) -> errors.ImagepipeError:
    try:
        tx.images.find(transfer.image_id)
    except errors.ImageNotFound:
        return errors.ImageGone(image_id=transfer.image_id)
    return errors.TransferLost(image_id=transfer.image_id)


def withdraw(services: 'Services', transfer: Transfer, error: BaseException) -> None:
    """Undo a transfer that failed: image back, reservations released, bytes removed. Raises nothing of ours.

    What cannot be done now is left to the sweeper, with a line in the log.
    """
    LOG.warning(
        'Transfer %s of image %s failed: %s %s',
        transfer.id,
        transfer.image_id,
        getattr(error, 'code', type(error).__name__),
        error,
    )
    try:
        if services.db.run(lambda tx: _end_ours(services, tx, transfer, str(error))):
            remove_bytes(services, transfer)
    except errors.ImagepipeError as trouble:
        LOG.warning('Transfer %s is left to the sweeper: %s', transfer.id, trouble)


def _end_ours(services: 'Services', tx: 'Transaction', transfer: Transfer, reason: str) -> bool:
    """Whether the bytes are to be removed: not when a commit took effect whose answer was lost."""
    if tx.transfers.renew(transfer, services.conf.transfers.lease_seconds):
        end(services, tx, transfer, reason)
        return True
    current = tx.transfers.get(transfer.id)
    if current is not None and current.state is TransferState.FINISHED:
        return False
    return transfer.store is None or not tx.locations.names_in(transfer.store, [transfer.object_name])


def end(
    services: 'Services',
    tx: 'Transaction',
    transfer: Transfer,
    reason: str,
    *,
    expected: TransferState = TransferState.OPEN,
) -> None:
    """End an open transfer, or one in another state: no byte of it counts, and the image is queued again."""
    if not tx.transfers.end(transfer.id, (expected,)):
        return
    current = tx.transfers.get(transfer.id)  # read now, when it cannot grow any more
    with contextlib.suppress(errors.ImageNotFound):
        image = tx.images.find(transfer.image_id)
        if image.status in RECEIVING.values():
            requeue(services, tx, image, reason if transfer.kind is TransferKind.UPLOAD else None)
    services.quota.release_transfer(tx, current)


def requeue(services: 'Services', tx: 'Transaction', image: Image, reason: str | None = None) -> None:
    """The image is queued again, without data. reason: why an upload of it failed. Raises ImageChanged."""
    queued = tx.images.save(image.to(Status.QUEUED).without_data(), expected=image)
    services.quota.moved(tx, image, queued)
    if reason is not None:
        tx.notify(Event.IMAGE_UPLOAD, reason, priority=Priority.ERROR)
    tx.notify(Event.IMAGE_UPDATE, image_payload(queued))


def remove_bytes(services: 'Services', transfer: Transfer) -> None:
    """Remove what an ended transfer left, then its row. Raises what store and staging raise.

    What is staged on another host is left, with the row, to that one's sweeper; the row stays, too, when
    a store may yet write what was given up: the sweeper looks again after the lease.
    """
    here = transfer.reachable_from(services.host)
    gone = services.intake.discard(
        transfer.object_name, store_id=transfer.store, staged=here and staged(transfer)
    )
    if not (here and gone):
        return

    def forget(tx: 'Transaction') -> None:
        current = tx.transfers.get(transfer.id)
        if current is not None and current.state is TransferState.ENDED and current.epoch == transfer.epoch:
            tx.transfers.delete(transfer.id)

    services.db.run(forget)


def sweep(services: 'Services', *, limit: int = 100) -> int:
    """End transfers that nobody keeps alive, and remove their bytes; how many were met."""
    lease = services.conf.transfers.lease_seconds
    taken = services.db.run(lambda tx: tx.transfers.take_expired(services.name, lease, limit))
    for transfer in taken:
        LOG.warning('Transfer %s of image %s gave no sign; it is ended', transfer.id, transfer.image_id)
        _sweep_one(services, transfer)
    return len(taken)


def end_kept(services: 'Services', *, limit: int = 100) -> int:
    """End staged data that was kept for a retry until now; how much. Its bytes are sweep()'s to remove."""

    def change(tx: 'Transaction') -> list[Transfer]:
        overdue = tx.transfers.overdue(limit)
        for transfer in overdue:
            end(services, tx, transfer, '', expected=TransferState.FINISHED)
        return overdue

    ended = services.db.run(change)
    for transfer in ended:
        LOG.info('Nobody has retried the import of what was staged for image %s', transfer.image_id)
    return len(ended)


def _sweep_one(services: 'Services', transfer: Transfer) -> None:
    gone = errors.TransferLost(image_id=transfer.image_id)
    try:
        services.db.run(lambda tx: end(services, tx, transfer, gone.message))
        remove_bytes(services, transfer)
    except errors.ImagepipeError as trouble:
        LOG.warning('Transfer %s stays for the next sweep: %s', transfer.id, trouble)
