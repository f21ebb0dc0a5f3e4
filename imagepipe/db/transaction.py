"""What an operation gets: one repository per noun, over one connection."""

import datetime
import functools
from collections.abc import Mapping

import sqlalchemy as sa

from imagepipe.db.accounts import AccountRepository
from imagepipe.db.images import ImageRepository
from imagepipe.db.imports import ImportRepository
from imagepipe.db.locations import LocationRepository
from imagepipe.db.outbox import OutboxRepository
from imagepipe.db.steps import StepRepository
from imagepipe.db.transfers import TransferRepository
from imagepipe.db.usages import UsageRepository
from imagepipe.db.workers import WorkerRepository
from imagepipe.domain.event import Event, Priority


class Transaction:
    """One transaction. `now` is this process's time (naive UTC), `clock` the database's, as SQL."""

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
    def imports(self) -> ImportRepository:
        return ImportRepository(self)

    @functools.cached_property
    def steps(self) -> StepRepository:
        return StepRepository(self)

    @functools.cached_property
    def locations(self) -> LocationRepository:
        return LocationRepository(self)

    @functools.cached_property
    def transfers(self) -> TransferRepository:
        return TransferRepository(self)

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
    def workers(self) -> WorkerRepository:
        return WorkerRepository(self)

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
