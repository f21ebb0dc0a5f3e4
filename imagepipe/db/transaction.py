"""What an operation gets: one repository per noun, over one connection."""

import datetime
import functools
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from imagepipe.db.accounts import AccountRepository
from imagepipe.db.adoption import AdoptionRepository
from imagepipe.db.bindings import BindingRepository
from imagepipe.db.cache import CacheRepository
from imagepipe.db.conductors import ConductorRepository
from imagepipe.db.custody import CustodyRepository
from imagepipe.db.hindrances import HindranceRepository
from imagepipe.db.images import ImageRepository
from imagepipe.db.imports import ImportRepository
from imagepipe.db.locations import LocationRepository
from imagepipe.db.members import MemberRepository
from imagepipe.db.metadefs import MetadefRepository
from imagepipe.db.outbox import OutboxRepository
from imagepipe.db.pending_deletes import PendingDeleteRepository
from imagepipe.db.steps import StepRepository
from imagepipe.db.store_checks import StoreCheckRepository
from imagepipe.db.strays import StrayRepository
from imagepipe.db.transfers import TransferRepository
from imagepipe.db.usages import UsageRepository
from imagepipe.db.workers import WorkerRepository
from imagepipe.domain.event import Event, Priority


class Transaction:
    """One transaction. `now` is this process's time (naive UTC), `clock` the database's, as SQL.

    Rows that others may want at the same time are changed in this order, so that no two transactions
    wait for each other: the import, transfers, the image, what hangs on it, and the counters of usage
    (their own order is in domain/usage.py).
    """

    def __init__(
        self, connection: sa.Connection, *, now: datetime.datetime, clock: sa.ColumnElement[float]
    ) -> None:
        self.connection = connection
        self.now = now
        self.clock = clock

    @functools.cached_property
    def images(self) -> ImageRepository:
        return ImageRepository(self)

    @functools.cached_property
    def bindings(self) -> BindingRepository:
        return BindingRepository(self)

    @functools.cached_property
    def members(self) -> MemberRepository:
        return MemberRepository(self)

    @functools.cached_property
    def pending_deletes(self) -> PendingDeleteRepository:
        return PendingDeleteRepository(self)

    @functools.cached_property
    def imports(self) -> ImportRepository:
        return ImportRepository(self)

    @functools.cached_property
    def steps(self) -> StepRepository:
        return StepRepository(self)

    @functools.cached_property
    def locations(self) -> LocationRepository:
        return LocationRepository(self)

    @functools.cached_property
    def store_checks(self) -> StoreCheckRepository:
        return StoreCheckRepository(self)

    @functools.cached_property
    def strays(self) -> StrayRepository:
        return StrayRepository(self)

    @functools.cached_property
    def transfers(self) -> TransferRepository:
        return TransferRepository(self)

    @functools.cached_property
    def custody(self) -> CustodyRepository:
        return CustodyRepository(self)

    @functools.cached_property
    def outbox(self) -> OutboxRepository:
        return OutboxRepository(self)

    @functools.cached_property
    def usages(self) -> UsageRepository:
        return UsageRepository(self)

    @functools.cached_property
    def accounts(self) -> AccountRepository:
        return AccountRepository(self)

    @functools.cached_property
    def hindrances(self) -> HindranceRepository:
        return HindranceRepository(self)

    @functools.cached_property
    def workers(self) -> WorkerRepository:
        return WorkerRepository(self)

    @functools.cached_property
    def conductors(self) -> ConductorRepository:
        return ConductorRepository(self)

    @functools.cached_property
    def adoptions(self) -> AdoptionRepository:
        return AdoptionRepository(self)

    @functools.cached_property
    def cache(self) -> CacheRepository:
        return CacheRepository(self)

    @functools.cached_property
    def metadefs(self) -> MetadefRepository:
        return MetadefRepository(self)

    def notify(
        self,
        event: Event,
        payload: Mapping[str, object] | str,
        *,
        priority: Priority = Priority.INFO,
        once: str | None = None,
    ) -> None:
        """Record a notification; it is sent if and only if this transaction commits.

        once: a key under which at most one such event exists.
        """
        self.outbox.add(event, payload, priority=priority, once=once)

    def notify_all(self, letters: Sequence[tuple[Event, Mapping[str, object]]]) -> None:
        """Record these notifications in their order, in one statement."""
        self.outbox.add_all(letters, priority=Priority.INFO)
