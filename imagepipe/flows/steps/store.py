"""store: the prepared data is in one store."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.import_ import ImportState, Target
from imagepipe.domain.location import LocationState
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

LOG = logging.getLogger(__name__)

_UNDECIDED = (LocationState.PENDING, LocationState.COPYING, LocationState.FAILED)


class Storing(Step):
    """What writing to one store is, wherever the bytes come from.

    They go under a name of this claim's epoch that was recorded first. Where a store may fail, its
    last failure is a result and not an error.
    """

    def __init__(self, name: str, *, target: Target, provides: str, rebind: Mapping[str, str]) -> None:
        super().__init__(name, provides=provides, rebind=rebind)
        self._target = target

    def _keep(
        self,
        run: Run,
        attempt: int,
        stores: Mapping[str, object],
        data: Mapping[str, object],
        write: Callable[[object, str], str],
    ) -> dict[str, object]:
        """The result of write(store, name), which gives the object's URL; `data` says what is written."""
        if self._passes_over(run):
            return self._fail(run, errors.StoreDown(store=self._target.store))
        try:
            run.back_off(attempt)
            url = self._written(run, stores, data['size'], write)
        except (errors.ClaimLost, errors.ImportCancelled, errors.StagingLost):
            raise
        except errors.ImagepipeError as error:
            if run.plan.must_succeed or (error.transient and attempt < run.plan.store_attempts):
                raise
            self._try_to_remove(run, stores)
            return self._fail(run, error)
        if len(run.plan.targets) > 1:
            run.db.run(lambda tx: _note(tx, run, self._target.store, {'status': 'ok'}))
        return {
            'store': self._target.store,
            'status': 'ok',
            'url': url,
            'size': data['size'],
            'object_name': self._name(run),
            'attempts': attempt,
            'ready': dict(data),
        }

    def _written(
        self, run: Run, stores: Mapping[str, object], size: int, write: Callable[[object, str], str]
    ) -> str:
        store = stores.get(self._target.store)
        if store is None:
            raise errors.StorePermanent(store=self._target.store)
        name = self._name(run)
        run.discards(self.name, lambda: store.discard(name))
        run.db.run(lambda tx: self._begin(tx, run, name, size))
        self._discard_earlier(run, store)
        store.discard(name)
        url = write(store, name)
        found = store.size(url)
        if found != size:
            raise errors.StoredDataDiffers(store=self._target.store)
        return url

    def _discard_earlier(self, run: Run, store: object) -> None:
        """What a dead worker wrote. A store may hold on to that for a while: it keeps nobody from writing."""
        for earlier in self._names(run)[:-1]:
            try:
                store.discard(earlier)
            except errors.ImagepipeError as error:
                LOG.warning('%s in store %s is left to the sweeper: %s', earlier, self._target.store, error)

    def _begin(self, tx: 'Transaction', run: Run, name: str, size: int) -> None:
        """Record what is about to be written, and tell it once."""
        tx.locations.set(
            self._target.location_id,
            _UNDECIDED,
            state=LocationState.COPYING.value,
            object_name=name,
            epoch=run.claim.epoch,
            size=size,
        )
        try:
            image = tx.images.find(run.claim.image_id)
        except errors.ImageNotFound as error:
            raise errors.ImageDeletedDuringImport() from error
        stores = sorted(target.store for target in run.plan.targets)
        extra = {'os_glance_importing_to_stores': stores, 'os_glance_failed_import': []}
        tx.notify(
            Event.IMAGE_PREPARE,
            image_payload(image, extra=extra | {'backend': self._target.store}),
            once=f'prepare:{self._target.location_id}',
        )

    def _passes_over(self, run: Run) -> bool:
        """Whether the store is down here, and another of the import's, which need not all succeed, is not."""
        targets = {target.store for target in run.plan.targets}
        if run.plan.must_succeed or len(targets) == 1:
            return False
        down = run.db.read(lambda tx: tx.store_checks.down(run.host))
        return self._target.store in down and not targets <= down

    def _try_to_remove(self, run: Run, stores: Mapping[str, object]) -> None:
        try:
            self._remove(run, stores)
        except (errors.ClaimLost, errors.DatabaseUnavailable):
            raise
        except errors.ImagepipeError as trouble:
            # A store that is down discards nothing either: the commit leaves its location to the sweeper.
            LOG.warning(
                'What import %s left in store %s is left to the sweeper: %s',
                run.claim.import_id,
                self._target.store,
                trouble,
            )

    def _fail(self, run: Run, error: errors.ImagepipeError) -> dict[str, object]:
        """The result of a store that may fail, and did. What was written is removed, or is the sweeper's."""
        run.failed(self.name, error)
        LOG.warning(
            'Import %s goes on without store %s: %s: %s',
            run.claim.import_id,
            self._target.store,
            error.code,
            error.message,
        )
        found = {'status': 'failed', 'code': error.code, 'message': error.message}
        run.db.run(lambda tx: _note(tx, run, self._target.store, found))
        return {'store': self._target.store, **found}

    def _name(self, run: Run) -> str:
        return run.object_name(self._target.disk_format)

    def _names(self, run: Run) -> list[str]:
        return run.object_names(self._target.disk_format)

    def undo(self, run: Run, stores: Mapping[str, object]) -> None:
        self._remove(run, stores)

    def _remove(self, run: Run, stores: Mapping[str, object]) -> None:
        """Every object that a claim of this import may have written; then the row says so."""

        def committed(tx: 'Transaction') -> bool:
            return tx.imports.get(run.claim.import_id).state is ImportState.COMMITTED

        if run.db.run(committed):
            return
        store = stores.get(self._target.store)
        if store is None:
            raise errors.StorePermanent(store=self._target.store)
        for name in self._names(run):
            store.discard(name)
        run.db.run(
            lambda tx: tx.locations.set(
                self._target.location_id, _UNDECIDED, state=LocationState.FAILED.value
            )
        )


class Store(Storing):
    """Put the prepared data into the store."""

    def work(
        self, run: Run, data: Mapping[str, object], attempt: int, intake: object, stores: Mapping[str, object]
    ) -> dict[str, object]:
        return self._keep(
            run, attempt, stores, data, lambda store, name: self._put(run, data, intake, store, name)
        )

    def _put(self, run: Run, data: Mapping[str, object], intake: object, store: object, name: str) -> str:
        if not intake.same(data):
            raise errors.StagingLost(image_id=run.claim.image_id)
        size = data['size']
        stream = intake.staging.open(data['name'], progress=lambda done: run.progress(self.name, done, size))
        with stream:
            return store.put(name, stream, size)


def _note(tx: 'Transaction', run: Run, store: str, found: Mapping[str, object]) -> None:
    """Put one store's outcome into the import's result, under the row lock of the fence."""
    result = dict(tx.imports.get(run.claim.import_id).result)
    result['stores'] = {**result['stores'], store: dict(found)}
    tx.imports.record(run.claim.import_id, result=result)
