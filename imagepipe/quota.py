"""Quotas: counters of what projects use, reserved in the transaction that lets it come.

A project has a counter of each domain.usage.Resource, and the staging area one of its bytes. The
sweeper counts them anew. Limits are read before a transaction and handed to what reserves: they
may be Keystone's, and no transaction waits for HTTP.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from imagepipe import errors
from imagepipe.domain.image import Image
from imagepipe.domain.import_ import Plan
from imagepipe.domain.reception import staged
from imagepipe.domain.transfer import Transfer, TransferKind
from imagepipe.domain.usage import UNLIMITED, Limits, Resource, units

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: The scope of the staging area's one counter.
STAGING = 'staging'
#: What it counts, and the counter of a project's bytes in stores.
BYTES = Resource.SIZE.value

_UNITS = {'': 0, 'B': 0, 'KB': 1, 'MB': 2, 'GB': 3, 'TB': 4}
_REFUSALS: Mapping[Resource, type[errors.ImagepipeError]] = {
    Resource.SIZE: errors.QuotaExceeded,
    Resource.STAGED: errors.StagedQuotaExceeded,
    Resource.IMAGES: errors.ImageCountExceeded,
    Resource.UPLOADING: errors.UploadingCountExceeded,
}


def parse_size(text: str, *, option: str) -> int | None:
    """Bytes of a number with an optional unit, B to TB, each 1024 of the one before; None for 0."""
    found = re.fullmatch(r'\s*([0-9]+)\s*([KMGT]?B)?\s*', text)
    if found is None:
        raise errors.ConfigurationInvalid(reason=f'{option} cannot be {text!r}.')
    return int(found[1]) * 1024 ** _UNITS[found[2] or ''] or None


def project(owner: str | None) -> str:
    """The scope under which a project's counters stand."""
    return f'project:{owner or ""}'


class LimitSource(Protocol):
    """Where the limits of projects come from."""

    #: Whether projects are told their limits and what they use of them.
    shown: bool

    def of(self, owner: str | None) -> Limits:
        """The limits of a project. Raises LimitsUnavailable."""


class ConfiguredLimits:
    """The same limits for every project; None is no limit."""

    shown = False

    def __init__(self, limits: Mapping[Resource, int | None]) -> None:
        self._limits: Limits = {name.value: limit for name, limit in limits.items() if limit is not None}

    def of(self, owner: str | None) -> Limits:
        """The configured limits."""
        return self._limits


class Quota:
    """The counters, and the limits over them. What has no limit is counted all the same.

    staging: bytes that the staging area may hold; None is unlimited.
    """

    def __init__(self, source: LimitSource | None = None, *, staging: int | None = None) -> None:
        self._source = source or ConfiguredLimits({})
        self._staging = staging

    def limits(self, owner: str | None) -> Limits:
        """What a project may use, for what reserves for it. Not within a transaction.

        Raises LimitsUnavailable.
        """
        return self._source.of(owner)

    @property
    def shown(self) -> bool:
        """Whether projects are told their limits and what they use of them."""
        return self._source.shown

    def used(self, tx: 'Transaction', owner: str | None) -> Mapping[Resource, int]:
        """What a project uses and has reserved."""
        return {resource: tx.usages.used(project(owner), resource.value) for resource in Resource}

    def reserve(
        self,
        tx: 'Transaction',
        owner: str | None,
        amount: int,
        limits: Limits,
        *,
        resource: Resource = Resource.SIZE,
    ) -> None:
        """Reserve for a project. Raises the resource's own error, with 413, when it does not fit."""
        limit = limits.get(resource)

        def refusal(used: int) -> errors.ImagepipeError:
            return _REFUSALS[resource](requested=amount, limit=limit, used=used)

        tx.usages.reserve(project(owner), resource.value, amount, limit, refusal=refusal)

    def count(
        self, tx: 'Transaction', owner: str | None, amount: int, *, resource: Resource = Resource.SIZE
    ) -> None:
        """Count what is there whatever the limit says."""
        self.reserve(tx, owner, amount, UNLIMITED, resource=resource)

    def release(
        self, tx: 'Transaction', owner: str | None, amount: int, *, resource: Resource = Resource.SIZE
    ) -> None:
        """Give back what a project does not use any more."""
        tx.usages.release(project(owner), resource.value, amount)

    def moved(
        self, tx: 'Transaction', before: Image | None, after: Image | None, limits: Limits = UNLIMITED
    ) -> None:
        """Count a change of an image: of none to a new one, of its status or owner, of one to none.

        The bytes of its locations go with it to another owner; otherwise they are counted by
        whoever adds and removes them. Raises ImageCountExceeded, UploadingCountExceeded.
        """
        if before is not None and after is not None and before.owner != after.owner:
            self._give(tx, before, after)
            return
        owner = (after or before).owner
        was, now = units(before), units(after)
        for resource in was:
            self.reserve(tx, owner, now[resource] - was[resource], limits, resource=resource)
            self.release(tx, owner, was[resource] - now[resource], resource=resource)

    def _give(self, tx: 'Transaction', before: Image, after: Image) -> None:
        stored = tx.accounts.stored(before.id)
        for image, change in sorted(
            ((before, self.release), (after, self.count)), key=lambda pair: project(pair[0].owner)
        ):
            for resource, amount in units(image).items():
                change(tx, image.owner, amount, resource=resource)
            change(tx, image.owner, stored)

    # Imports.

    def reserve_import(
        self, tx: 'Transaction', owner: str | None, size: int | None, plan: Plan, *, copies: bool = False
    ) -> int:
        """Reserve what an import of `size` bytes (None: not known yet) will occupy; how many that is.

        copies: it adds copies to an active image (copy-image), which counts as uploading meanwhile.
        Raises QuotaExceeded, StagedQuotaExceeded: with an unknown size only when nothing is left at all;
        UploadingCountExceeded.
        """
        if copies:
            self.reserve(tx, owner, 1, plan.limits, resource=Resource.UPLOADING)
        if size is None:
            self.check_left(tx, owner, plan.limits, Resource.SIZE)
            self.check_left(tx, owner, plan.limits, Resource.STAGED)
        amount = (size or 0) * len(plan.targets)
        self.reserve(tx, owner, amount, plan.limits)
        return amount

    def check_left(self, tx: 'Transaction', owner: str | None, limits: Limits, resource: Resource) -> None:
        """Raise the resource's own error when nothing is left of it."""
        limit = limits.get(resource)
        used = tx.usages.used(project(owner), resource.value)
        if limit is not None and used >= limit:
            raise _REFUSALS[resource](requested=1, limit=limit, used=used)

    # The staging area.

    def reserve_staging(self, tx: 'Transaction', amount: int) -> None:
        """Reserve bytes of the staging area. Raises StagingFull."""
        tx.usages.reserve(STAGING, BYTES, amount, self._staging, refusal=lambda used: errors.StagingFull())

    def release_staging(self, tx: 'Transaction', amount: int) -> None:
        """Give bytes of the staging area back."""
        tx.usages.release(STAGING, BYTES, amount)

    def stage(self, tx: 'Transaction', owner: str | None, amount: int, limits: Limits) -> None:
        """Reserve bytes that a project stages. Raises StagedQuotaExceeded, StagingFull."""
        self.reserve(tx, owner, amount, limits, resource=Resource.STAGED)
        self.reserve_staging(tx, amount)

    def unstage(self, tx: 'Transaction', owner: str | None, amount: int) -> None:
        """Give bytes back that a project has staged."""
        self.release(tx, owner, amount, resource=Resource.STAGED)
        self.release_staging(tx, amount)

    # Transfers.

    def reserve_transfer(self, tx: 'Transaction', transfer: Transfer, amount: int, limits: Limits) -> None:
        """Reserve `amount` more for a transfer, wherever its kind of bytes counts."""
        if transfer.kind is TransferKind.STAGE:
            self.stage(tx, transfer.project, amount, limits)
            return
        self.reserve(tx, transfer.project, amount, limits)
        if staged(transfer):
            self.reserve_staging(tx, amount)

    def release_transfer(self, tx: 'Transaction', transfer: Transfer, amount: int | None = None) -> None:
        """Give back what a transfer holds in reserve: all of it, or `amount`; with its end or its growth."""
        amount = transfer.reserved if amount is None else amount
        if transfer.kind is TransferKind.STAGE:
            self.unstage(tx, transfer.project, amount)
            return
        self.release(tx, transfer.project, amount)
        if staged(transfer):
            self.release_staging(tx, amount)
