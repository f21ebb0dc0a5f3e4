"""Room for an import: bytes of the staging area and of the project's quota, reserved before they come."""

import dataclasses
from collections.abc import Callable

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import Import
from imagepipe.domain.transfer import TransferState
from imagepipe.flows.run import Run
from imagepipe.quota import Quota

#: Bytes by which a reservation of unknown size grows.
GROWTH = 64 << 20


class Rooms:
    """Reservations of imports; all of them stand in the import's row, so no death loses them."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota

    def open(self, run: Run, step: str, total: int | None) -> Callable[[int], None]:
        """Reserve staging for a step that will write `total` bytes (None: not known yet).

        Returns what the step calls with the bytes written so far; it reserves more before they
        come: ahead where there is room, else just what is needed. Raises StagingFull.
        """
        held = self._reserve(run, step, 0) if total is None else self.hold(run, step, total)

        def grow(done: int) -> None:
            nonlocal held
            if done > held:
                held = self._reserve(run, step, done)

        return grow

    def _reserve(self, run: Run, step: str, needed: int) -> int:
        try:
            return self.hold(run, step, needed + GROWTH)
        except errors.StagingFull:
            return self.hold(run, step, needed)

    def hold(self, run: Run, step: str, amount: int) -> int:
        """Reserve exactly so many bytes for a step from now on. Raises StagingFull."""
        run.db.run(lambda tx: self._set(tx, run, step, amount))
        return amount

    def close(self, run: Run, step: str) -> None:
        """Give back what a step holds."""
        self.hold(run, step, 0)

    def _set(self, tx: Transaction, run: Run, step: str, amount: int) -> None:
        staged = dict(tx.imports.get(run.claim.import_id).staged)
        before = staged.pop(step, 0)
        if amount > before:
            self._quota.reserve_staging(tx, amount - before)
        else:
            self._quota.release_staging(tx, before - amount)
        if amount:
            staged[step] = amount
        tx.imports.record(run.claim.import_id, staged=staged)

    def reserve_stores(self, tx: Transaction, run: Run, size: int, *, raw: int | None = None) -> None:
        """The data's size is known: reserve it in every store. Raises QuotaExceeded.

        raw: what it will have in the stores that it is converted to raw for, before it is.
        """
        record = tx.imports.get(run.claim.import_id)
        converted = raw is not None and run.plan.disk_format != 'raw'
        wanted = sum(
            raw if converted and target.disk_format == 'raw' else size for target in run.plan.targets
        )
        if wanted > record.reserved:
            self._quota.reserve(tx, record.owner, wanted - record.reserved)
            tx.imports.record(record.id, reserved=wanted)

    def settle(self, tx: Transaction, record: Import, stored: int) -> None:
        """The import occupies `stored` bytes of its project's stores from now on."""
        if stored > record.reserved:
            self._quota.reserve(tx, record.owner, stored - record.reserved)
        else:
            self._quota.release(tx, record.owner, record.reserved - stored)
        tx.imports.record(record.id, reserved=0)

    def release_staging(self, tx: Transaction, record: Import) -> Import:
        """Give back all staging that an import holds."""
        self._quota.release_staging(tx, sum(record.staged.values()))
        tx.imports.record(record.id, staged={})
        return dataclasses.replace(record, staged={})

    def release_upload(self, tx: Transaction, record: Import, *, forget: bool) -> None:
        """What the client staged for this import counts no more; `forget` it when its file is gone."""
        if record.plan is not None and record.plan.transfer_id is None:
            return
        upload = tx.transfers.staged(record.image_id)
        if upload is None:
            return
        tx.transfers.end(upload.id, (TransferState.FINISHED,))
        self._quota.release_transfer(tx, upload, record.owner)
        if forget:
            tx.transfers.delete(upload.id)
