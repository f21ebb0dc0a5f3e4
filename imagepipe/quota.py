"""Storage quotas: counters of bytes, reserved in the transaction that lets the bytes come.

One counter for each project (what its images occupy, in all stores, and what uploads and
imports have reserved) and one for the staging area. The sweeper counts them anew.
"""

import re
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.import_ import Plan
from imagepipe.domain.reception import staged
from imagepipe.domain.transfer import Transfer, TransferKind

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: What the counters count.
BYTES = 'bytes'
STAGING = 'staging'

_UNITS = {'': 0, 'B': 0, 'KB': 1, 'MB': 2, 'GB': 3, 'TB': 4}


def parse_size(text: str) -> int | None:
    """Bytes of a number with an optional unit, B to TB, each 1024 of the one before; None for 0."""
    found = re.fullmatch(r'\s*([0-9]+)\s*([KMGT]?B)?\s*', text)
    if found is None:
        raise errors.ConfigurationInvalid(reason=f'user_storage_quota cannot be {text!r}.')
    return int(found[1]) * 1024 ** _UNITS[found[2] or ''] or None


def project(owner: str | None) -> str:
    """The scope under which a project's bytes are counted."""
    return f'project:{owner or ""}'


class Quota:
    """The configured limits over the counters; None is unlimited, and counted all the same."""

    def __init__(self, *, storage: int | None = None, staging: int | None = None) -> None:
        self.storage = storage
        self.staging = staging

    def reserve(self, tx: 'Transaction', owner: str | None, amount: int) -> None:
        """Reserve bytes in stores for a project. Raises QuotaExceeded."""
        tx.usages.reserve(project(owner), BYTES, amount, self.storage)

    def count(self, tx: 'Transaction', owner: str | None, amount: int) -> None:
        """Count bytes that are there whatever the limit says."""
        tx.usages.reserve(project(owner), BYTES, amount, None)

    def release(self, tx: 'Transaction', owner: str | None, amount: int) -> None:
        """Give a project's bytes back."""
        tx.usages.release(project(owner), BYTES, amount)

    def reserve_import(self, tx: 'Transaction', owner: str | None, size: int | None, plan: Plan) -> int:
        """Reserve what an import of `size` bytes (None: not known yet) will occupy; how much that is.

        Raises QuotaExceeded: with an unknown size only when nothing is left at all.
        """
        amount = (size or 0) * len(plan.targets)
        if size is None:
            self._check_left(tx, owner)
        self.reserve(tx, owner, amount)
        return amount

    def _check_left(self, tx: 'Transaction', owner: str | None) -> None:
        used = tx.usages.used(project(owner), BYTES)
        if self.storage is not None and used >= self.storage:
            raise errors.QuotaExceeded(requested=1, limit=self.storage, used=used)

    def reserve_staging(self, tx: 'Transaction', amount: int) -> None:
        """Reserve bytes of the staging area. Raises StagingFull."""
        tx.usages.reserve(STAGING, BYTES, amount, self.staging, refusal=lambda used: errors.StagingFull())

    def release_staging(self, tx: 'Transaction', amount: int) -> None:
        """Give bytes of the staging area back."""
        tx.usages.release(STAGING, BYTES, amount)

    def reserve_transfer(self, tx: 'Transaction', transfer: Transfer, owner: str | None, amount: int) -> None:
        """Reserve `amount` more for a transfer, wherever its kind of bytes counts."""
        if transfer.kind is TransferKind.UPLOAD:
            self.reserve(tx, owner, amount)
        if staged(transfer):
            self.reserve_staging(tx, amount)

    def release_transfer(self, tx: 'Transaction', transfer: Transfer, owner: str | None) -> None:
        """Give back all that a transfer holds in reserve; in the transaction that ends it."""
        if transfer.kind is TransferKind.UPLOAD:
            self.release(tx, owner, transfer.reserved)
        if staged(transfer):
            self.release_staging(tx, transfer.reserved)
