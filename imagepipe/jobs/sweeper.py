"""The sweeper: ends what nobody keeps alive, removes what nobody owns, counts anew.

Every action is a compare-and-set or idempotent, so any number of sweepers may run.
"""

import collections
import datetime
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagepipe import errors, quota
from imagepipe.db.hindrances import NO_STAGING
from imagepipe.db.transaction import Transaction
from imagepipe.domain import names
from imagepipe.domain.conductor import Loss
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.readiness import Part
from imagepipe.domain.usage import Resource
from imagepipe.flows import registry
from imagepipe.jobs import equipment, trusts
from imagepipe.operations import conductors, custody, deletion, garbage, pending_deletes, removals, transfers

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.stores.store import Store

LOG = logging.getLogger(__name__)

#: A store that could not be reached so often in a row is left alone until the next sweep.
_AWAY = 10
#: What was said so long ago by workers that do not say it again is dropped, in seconds.
_FORGET = 3600.0


class Sweeper(threading.Thread):
    """Sweeps every `interval` seconds until stopped. page: rows that are read at a time."""

    def __init__(self, services: 'Services', *, interval: float, page: int = 100) -> None:
        super().__init__(name='sweeper', daemon=True)
        self._services = services
        self._interval = interval
        self._page = page
        self._done = threading.Event()
        #: When the parts that cost much come next.
        self._due: dict[str, float] = {}

    def stop(self) -> None:
        """End the thread after its sweep."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Sweep until stopped."""
        while not self._done.wait(self._interval):
            self.sweep()

    def sweep(self) -> None:
        """Each kind of leftover once; one that fails does not keep the others, but for want of a database."""
        for part in (
            self._transfers,
            self._staged,
            self._ownerless,
            self._pending_deletes,
            self._locations,
            self._hindrances,
            self._unknown_flows,
            self._lost_hosts,
            self._trusts,
            self._sources,
            self._staging,
            self._objects,
            self._counters,
            self._records,
        ):
            if self._done.is_set():
                return
            try:
                part()
            except errors.DatabaseUnavailable as error:
                LOG.warning('Sweeping waits for the database: %s', error)
                return
            except errors.ImagepipeError as error:
                LOG.warning('Sweeping %s failed: %s', part.__name__.strip('_'), error)
            except Exception:
                LOG.exception('Sweeping %s failed', part.__name__.strip('_'))

    def _transfers(self) -> None:
        while transfers.end_kept(self._services, limit=self._page) == self._page:
            continue
        while transfers.sweep(self._services, limit=self._page) == self._page:
            continue

    def _staged(self) -> None:
        """Staged data for which nobody asks for an import."""
        while custody.end_staged(self._services, limit=self._page) == self._page:
            continue

    def _ownerless(self) -> None:
        """Images in a status that nobody keeps up; no index helps to find them."""
        if self._is_due('ownerless'):
            custody.end_ownerless(self._services, limit=self._page)

    def _pending_deletes(self) -> None:
        while pending_deletes.scrub(self._services, limit=self._page) == self._page:
            continue

    def _locations(self) -> None:
        """Bytes in stores that an import or a delete could not remove at once."""
        failed: collections.Counter[str] = collections.Counter()
        for location in self._condemned():
            if failed[location.store] >= _AWAY:
                continue
            try:
                if deletion.resume(self._services, location):
                    self._remove(location)
                failed[location.store] = 0
            except errors.ImagepipeError as error:
                failed[location.store] += isinstance(error, errors.StoreTransient)
                LOG.warning('Location %s in store %s stays: %s', location.id, location.store, error)

    def _condemned(self) -> Iterator[Location]:
        # A DELETE that still waits for its stores may yet put a location back.
        patience = deletion.patience(self._services)
        after = ''

        def page(tx: Transaction) -> list[Location]:
            before = tx.now - patience
            return tx.locations.in_state(LocationState.DELETING, before=before, after=after, limit=self._page)

        while found := self._services.db.read(page):
            yield from found
            after = found[-1].id

    def _remove(self, location: Location) -> None:
        store = self._services.stores.get(location.store)
        if store is None:
            raise errors.StorePermanent(store=location.store)
        if removals.is_foreign(self._services, location):
            pass  # nothing there is ours
        elif location.object_name is None:
            store.delete(location.url)
        else:
            for name in _of_all_epochs(location):
                store.discard(name)
        self._services.db.run(lambda tx: deletion.conclude(self._services, tx, location))

    def _hindrances(self) -> None:
        """What is missing on this host, for those who ask what works."""
        lacks = equipment.lacking(self._services) | equipment.unreachable(self._services)

        def change(tx: Transaction) -> None:
            tx.conductors.locked(self._services.host)
            tx.conductors.lacks(self._services.host, lacks)
            note = tx.hindrances.holds if Part.STAGING in lacks else tx.hindrances.ends
            note(NO_STAGING)

        self._services.db.run(change)

    def _unknown_flows(self) -> None:
        """Imports that no conductor can run: since when that is so decides when they are given up."""
        lease = self._services.conf.conductor.lease

        def change(tx: Transaction) -> None:
            tx.imports.note_unknown({*registry.FACTORIES, *tx.workers.flows(lease)})

        self._services.db.run(change)

    def _lost_hosts(self) -> None:
        """Imports that wait for what is staged on a host of which nobody has heard for too long."""
        db, after = self._services.db, self._services.conf.staging.lost_after
        awaited = db.read(lambda tx: tx.bindings.hosts())
        if not awaited:
            return

        def change(tx: Transaction) -> list[Loss]:
            return [conductors.give_up(tx, host) for host in tx.conductors.lost(awaited, after)]

        for loss in db.run(change):
            LOG.warning(
                'Host %s is given up: %s imports are staged anew on another one, and %s fail',
                loss.host, loss.elsewhere, len(loss.failed),
            )  # fmt: skip

    def _trusts(self) -> None:
        trusts.sweep(self._services, patience=self._interval, limit=self._page)

    def _sources(self) -> None:
        """URLs of imports that cannot be retried any more."""
        kept = datetime.timedelta(seconds=self._services.conf.secrets.keep_sources)

        def erase(tx: Transaction) -> int:
            found = tx.imports.with_sources(tx.now - kept, self._page)
            tx.imports.forget_sources(found)
            return len(found)

        while self._services.db.run(erase) == self._page:
            continue

    def _staging(self) -> None:
        """Files whose import has ended, or that nobody knows, once they are old enough."""
        found = garbage.staged(self._services)
        garbage.remove_all(self._services, [find for find in found if find.due])

    def _objects(self) -> None:
        """Objects of our own in stores whose import is over: a worker died while another had its import.

        What nobody knows at all is only noted: it may be another cloud's, so an operator decides.
        """
        if not self._is_due('objects'):
            return
        for store_id, store in self._services.stores.writable().items():
            try:
                self._sweep_store(store)
            except errors.ImagepipeError as error:
                LOG.debug('Store %s is not swept: %s', store_id, error)

    def _is_due(self, part: str) -> bool:
        """Whether it is time for a part that costs much."""
        now = time.monotonic()
        if now < self._due.get(part, now):
            return False
        self._due[part] = now + self._services.conf.conductor.store_sweep_interval
        return True

    def _sweep_store(self, store: 'Store') -> None:
        found = garbage.stored(self._services, store)
        ended = [find for find in found if find.standing is garbage.Standing.ENDED]
        garbage.remove_all(self._services, ended, store=store)

    def _counters(self) -> None:
        """Counters against the records: a difference is a defect, told and put right."""
        db = self._services.db

        def scopes(tx: Transaction) -> list[str]:
            of_owners = (quota.project(owner) for owner in tx.accounts.owners())
            return sorted({*tx.accounts.scopes(), *of_owners, quota.STAGING})

        for scope in db.snapshot(scopes):
            db.run(lambda tx, scope=scope: _recount(tx, scope))

    def _records(self) -> None:
        keep = datetime.timedelta(seconds=self._services.conf.notifications.keep)

        def change(tx: Transaction) -> None:
            tx.outbox.purge(tx.now - keep)
            tx.workers.forget(_FORGET)
            tx.store_checks.forget(_FORGET)

        self._services.db.run(change)


def _recount(tx: Transaction, scope: str) -> None:
    resources = [quota.BYTES] if scope == quota.STAGING else [each.value for each in Resource]
    counted = {resource: tx.usages.hold(scope, resource) for resource in resources}
    if scope == quota.STAGING:
        found = {quota.BYTES: tx.accounts.staged()}
    else:
        found = tx.accounts.of_project(scope.removeprefix('project:') or None)
    for resource in resources:
        if found[resource] != counted[resource]:
            LOG.warning(
                'The counter of %s of %s said %s, the records say %s',
                resource, scope, counted[resource], found[resource],
            )  # fmt: skip
            tx.usages.set(scope, resource, found[resource])


def _of_all_epochs(location: Location) -> list[str]:
    """The object's name under every epoch up to the recorded one."""
    name = names.parse(location.object_name)
    if name is None:
        return [location.object_name]
    return [
        names.object_name(name.image_id, name.owner_id, epoch, name.part)
        for epoch in range(1, name.epoch + 1)
    ]
