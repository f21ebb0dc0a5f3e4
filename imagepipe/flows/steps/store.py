"""store: the prepared data is in one store."""

import logging
from collections.abc import Mapping
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


class Store(Step):
    """Put the data into the store, under a name of this claim's epoch that was recorded first.

    Where a store may fail, its last failure is a result and not an error.
    """

    def __init__(self, name: str, *, target: Target, provides: str, rebind: Mapping[str, str]) -> None:
        super().__init__(name, provides=provides, rebind=rebind)
        self._target = target

    def work(
        self, run: Run, data: Mapping[str, object], attempt: int, intake: object, stores: Mapping[str, object]
    ) -> dict[str, object]:
        try:
            if attempt > 1:
                run.pause(run.plan.backoff * 2 ** (attempt - 2))
            url = self._put(run, data, intake, stores)
        except (errors.ClaimLost, errors.ImportCancelled, errors.StagingLost):
            raise
        except errors.ImagepipeError as error:
            if run.plan.must_succeed or (error.transient and attempt < run.plan.store_attempts):
                raise
            return self._tolerate(run, stores, error)
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

    def _put(self, run: Run, data: Mapping[str, object], intake: object, stores: Mapping[str, object]) -> str:
        store = stores.get(self._target.store)
        if store is None:
            raise errors.StorePermanent(store=self._target.store)
        name = self._name(run)
        run.discards(self.name, lambda: store.discard(name))
        run.db.run(lambda tx: self._begin(tx, run, name, data['size']))
        for earlier in self._names(run):
            store.discard(earlier)
        if not intake.same(data):
            raise errors.StagingLost(image_id=run.claim.image_id)
        size = data['size']
        stream = intake.staging.open(data['name'], progress=lambda done: run.progress(self.name, done, size))
        with stream:
            url = store.put(name, stream, size)
        found = store.size(url)
        if found != size:
            raise errors.StoredDataDiffers(store=self._target.store)
        return url

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

    def _tolerate(
        self, run: Run, stores: Mapping[str, object], error: errors.ImagepipeError
    ) -> dict[str, object]:
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
        run.failed(self.name, error)
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


def _note(tx: 'Transaction', run: Run, store: str, found: Mapping[str, object]) -> None:
    """Put one store's outcome into the import's result, under the row lock of the fence."""
    result = dict(tx.imports.get(run.claim.import_id).result)
    result['stores'] = {**result['stores'], store: dict(found)}
    tx.imports.record(run.claim.import_id, result=result)
