"""The sweeper: ends what nobody keeps alive, removes what nobody owns, counts anew.

Every action is a compare-and-set or idempotent, so any number of sweepers may run.
"""

import datetime
import logging
import threading
import time
from typing import TYPE_CHECKING

from imagepipe import errors, quota
from imagepipe.db.transaction import Transaction
from imagepipe.domain import names
from imagepipe.domain.location import Location, LocationState
from imagepipe.operations import deletion, transfers

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.stores.store import Store

LOG = logging.getLogger(__name__)

_PAGE = 100
#: Rows of workers that were not seen for so long are dropped, in seconds.
_FORGET_WORKERS = 3600.0


class Sweeper(threading.Thread):
    """Sweeps every `interval` seconds until stopped."""

    def __init__(self, services: 'Services', *, interval: float) -> None:
        super().__init__(name='sweeper', daemon=True)
        self._services = services
        self._interval = interval
        self._done = threading.Event()
        self._objects_due = 0.0

    def stop(self) -> None:
        """End the thread after its sweep."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Sweep until stopped."""
        while not self._done.wait(self._interval):
            self.sweep()

    def sweep(self) -> None:
        """Each kind of leftover once; one that fails does not keep the others."""
        for part in (
            self._transfers,
            self._locations,
            self._staging,
            self._objects,
            self._counters,
            self._records,
        ):
            try:
                part()
            except errors.ImagepipeError as error:
                LOG.warning('Sweeping %s failed: %s', part.__name__.strip('_'), error)
            except Exception:
                LOG.exception('Sweeping %s failed', part.__name__.strip('_'))

    def _transfers(self) -> None:
        while transfers.sweep(self._services, limit=_PAGE) == _PAGE:
            continue

    def _locations(self) -> None:
        """Bytes in stores that an import or a delete could not remove at once."""
        # A DELETE that still waits for its stores may yet put a location back.
        patience = datetime.timedelta(seconds=self._services.conf.transfers.delete_seconds + 1)
        found = self._services.db.read(
            lambda tx: tx.locations.in_state(LocationState.DELETING, before=tx.now - patience, limit=_PAGE)
        )
        for location in found:
            try:
                self._remove(location)
            except errors.ImagepipeError as error:
                LOG.warning('Location %s in store %s stays: %s', location.id, location.store, error)

    def _remove(self, location: Location) -> None:
        store = self._services.stores.get(location.store)
        if store is None:
            raise errors.StorePermanent(store=location.store)
        if location.object_name is None:
            store.delete(location.url)
        else:
            for name in _of_all_epochs(location):
                store.discard(name)
        self._services.db.run(lambda tx: deletion.conclude(self._services, tx, location))

    def _staging(self) -> None:
        """Files whose import has ended, or that nobody knows, once they are old enough."""
        staging, grace = self._services.staging, self._services.conf.staging.grace
        for name in list(staging.names()):
            owner = names.parse(name.removesuffix('.work'))
            if owner is None:
                continue
            ended = self._services.db.read(lambda tx, owner=owner: _ended(tx, owner.owner_id))
            age = staging.age(name)
            if ended or (ended is False and age is not None and age >= grace):
                LOG.info('Removing %s from staging: nobody owns it', name)
                staging.discard(name)

    def _objects(self) -> None:
        """Objects of our own in stores that no row names: a worker died while another had its import."""
        if time.monotonic() < self._objects_due:
            return
        self._objects_due = time.monotonic() + self._services.conf.conductor.store_sweep_interval
        for store_id, store in self._services.stores.writable().items():
            try:
                self._sweep_store(store_id, store)
            except errors.ImagepipeError as error:
                LOG.debug('Store %s is not swept: %s', store_id, error)

    def _sweep_store(self, store_id: str, store: 'Store') -> None:
        ours = {name: found for name in store.names() if (found := names.parse(name)) is not None}
        for name, found in ours.items():
            if not self._services.db.read(lambda tx, found=found: _ownerless(tx, found, store_id)):
                continue
            LOG.info('Removing %s from store %s: nobody owns it', name, store_id)
            store.discard(name)

    def _counters(self) -> None:
        """Counters against the records: a difference is a defect, told and put right."""
        db = self._services.db
        for scope in db.read(lambda tx: tx.accounts.scopes(quota.BYTES)):
            db.run(lambda tx, scope=scope: _recount(tx, scope))

    def _records(self) -> None:
        keep = datetime.timedelta(seconds=self._services.conf.notifications.keep)

        def change(tx: Transaction) -> None:
            tx.outbox.purge(tx.now - keep)
            tx.workers.forget(_FORGET_WORKERS)

        self._services.db.run(change)


def _recount(tx: Transaction, scope: str) -> None:
    counted = tx.accounts.hold(scope, quota.BYTES)
    if scope == quota.STAGING:
        found = tx.accounts.staged()
    else:
        found = tx.accounts.occupied(scope.removeprefix('project:') or None)
    if found != counted:
        LOG.warning('The counter of %s said %s bytes, the records say %s', scope, counted, found)
        tx.usages.set(scope, quota.BYTES, found)


def _ownerless(tx: Transaction, found: names.ObjectName, store_id: str) -> bool:
    """Whether the object's import or transfer is over and no location names it."""
    return _ended(tx, found.owner_id) is True and not tx.locations.names_in(store_id, [str(found)])


def _ended(tx: Transaction, owner_id: str) -> bool | None:
    """True: its import has ended. False: nobody knows it. None: it is wanted."""
    try:
        return True if not tx.imports.get(owner_id).live else None
    except errors.ImportNotFound:
        return False if tx.transfers.get(owner_id) is None else None


def _of_all_epochs(location: Location) -> list[str]:
    """The object's name under every epoch up to the recorded one."""
    name = names.parse(location.object_name)
    if name is None:
        return [location.object_name]
    return [
        names.object_name(name.image_id, name.owner_id, epoch, name.part)
        for epoch in range(1, name.epoch + 1)
    ]
