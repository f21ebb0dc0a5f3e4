"""Room for an import: bytes of the staging area and of the project's quota, reserved before they come."""

import dataclasses
from collections.abc import Callable, Mapping

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import Import
from imagepipe.domain.transfer import TransferState
from imagepipe.domain.usage import Resource
from imagepipe.flows.run import Run
from imagepipe.quota import Quota

#: Bytes by which a reservation of unknown size grows.
GROWTH = 64 << 20


class Rooms:
    """Reservations of imports; all of them stand in the import's row, so no death loses them.

    host: the only one that can reach what is staged here, if that is so: the import is its from then on.
    """

    def __init__(self, quota: Quota, *, host: str | None = None) -> None:
        self.quota = quota
        self._host = host

    def open(self, run: Run, step: str, total: int | None) -> Callable[[int], None]:
        """Reserve staging for a step that will write `total` bytes (None: not known yet).

        Returns what the step calls with the bytes written so far; it reserves more before they
        come: ahead where there is room, else just what is needed. Raises StagedQuotaExceeded, StagingFull.
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
        except errors.TooLarge:
            return self.hold(run, step, needed)

    def hold(self, run: Run, step: str, amount: int) -> int:
        """Reserve exactly so many bytes for a step from now on. Raises StagedQuotaExceeded, StagingFull."""
        run.db.run(lambda tx: self._set(tx, run, step, amount))
        return amount

    def close(self, run: Run, step: str) -> None:
        """Give back what a step holds."""
        self.hold(run, step, 0)

    def _set(self, tx: Transaction, run: Run, step: str, amount: int) -> None:
        record = tx.imports.get(run.claim.import_id)
        staged = dict(record.staged)
        before = staged.pop(step, 0)
        if amount > before:
            self.quota.stage(tx, record.owner, amount - before, run.plan.limits)
        else:
            self.quota.unstage(tx, record.owner, before - amount)
        if amount:
            staged[step] = amount
        weight = max(record.weight, sum(staged.values()))
        tx.imports.record(record.id, staged=staged, weight=weight, staged_host=self._host_of(record, staged))

    def _host_of(self, record: Import, staged: Mapping[str, int]) -> str | None:
        """What a client has staged in a directory stays there, whatever the steps hold besides."""
        if record.plan.transfer_id is not None and record.plan.staged_store is None:
            return record.staged_host
        return self._host if staged else None

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
            self.quota.reserve(tx, record.owner, wanted - record.reserved, run.plan.limits)
            tx.imports.record(record.id, reserved=wanted)

    def settle(self, tx: Transaction, record: Import, stored: int, *, owner: str | None) -> None:
        """The import has nothing in reserve any more, and `stored` bytes of stores are `owner`'s.

        That is another project than the import's when the image was given away meanwhile. Raises
        QuotaExceeded.
        """
        if record.copies:
            self.quota.release(tx, record.owner, 1, resource=Resource.UPLOADING)
        if stored > record.reserved:
            self.quota.reserve(tx, record.owner, stored - record.reserved, record.plan.limits)
        else:
            self.quota.release(tx, record.owner, record.reserved - stored)
        if owner != record.owner:
            self.quota.release(tx, record.owner, stored)
            self.quota.count(tx, owner, stored)
        tx.imports.record(record.id, reserved=0)

    def release_staging(self, tx: Transaction, record: Import) -> Import:
        """Give back all staging that an import holds."""
        self.quota.unstage(tx, record.owner, sum(record.staged.values()))
        tx.imports.record(record.id, staged={}, staged_host=None)
        return dataclasses.replace(record, staged={}, staged_host=None)

    def release_upload(self, tx: Transaction, record: Import, *, forget: bool) -> None:
        """What the client staged for this import counts no more; `forget` it when its file is gone."""
        if record.plan is not None and record.plan.transfer_id is None:
            return
        upload = tx.transfers.staged(record.image_id)
        if upload is None:
            return
        if tx.transfers.end(upload.id, (TransferState.FINISHED,)):  # else a DELETE has done both
            self.quota.release_transfer(tx, upload)
        if forget:
            tx.transfers.delete(upload.id)
