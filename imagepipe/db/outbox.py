"""The outbox: notifications written with the change they tell of, sent afterwards."""

import dataclasses
import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import documents
from imagepipe.db.schema import outbox
from imagepipe.domain.event import Event, Priority

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letter:
    """One notification on its way. attempts counts failed deliveries."""

    id: int
    event_type: str
    priority: str
    payload: object
    attempts: int


class OutboxRepository:
    """Adds notifications, lends them to senders, and forgets them when sent."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(
        self, event: Event, payload: Mapping[str, object] | str, *, priority: Priority, once: str | None
    ) -> None:
        """Record a notification; with `once`, unless one with that key is there."""
        if once is not None and self._exists(once):
            return
        self._connection.execute(
            _insert(self._tx.clock), {**self._row(event, payload, priority), 'once': once}
        )

    def add_all(self, letters: Sequence[tuple[Event, Mapping[str, object]]], *, priority: Priority) -> None:
        """Record notifications, in one statement."""
        rows = [{**self._row(event, payload, priority), 'once': None} for event, payload in letters]
        if rows:
            self._connection.execute(_insert(self._tx.clock), rows)

    def _row(
        self, event: Event, payload: Mapping[str, object] | str, priority: Priority
    ) -> dict[str, object]:
        return {
            'event_type': event.value,
            'priority': priority.value,
            'payload': documents.dump(payload),
            'created_at': self._tx.now,
        }

    def _exists(self, once: str) -> bool:
        return (
            self._connection.execute(sa.select(outbox.c.id).where(outbox.c.once == once)).first() is not None
        )

    def take(self, sender: str, *, lease: float, limit: int, probe: bool = False) -> list[Letter]:
        """Lend due letters to a sender; they come back after `lease` seconds unless settled.

        The oldest, in their order; to probe a broker those that are least likely to be refused for their
        own sake.
        """
        due, lend = _due(self._tx.clock, probe), _lend(self._tx.clock)
        ids = list(self._connection.execute(due, {'limit': limit}).scalars())
        if not ids:
            return []
        # One that was lent to another sender since that look is not due any more, and stays his.
        self._connection.execute(lend, {'ids': ids, 'lease': lease, 'to': sender})
        rows = self._connection.execute(_LENT, {'ids': ids, 'to': sender})
        return [
            Letter(
                id=row.id,
                event_type=row.event_type,
                priority=row.priority,
                payload=documents.load(row.payload),
                attempts=row.attempts,
            )
            for row in rows
        ]

    def sent(self, ids: Sequence[int]) -> None:
        """The broker has these."""
        self._connection.execute(_AMONG_SENT, {'ids': list(ids), 'sent_at': self._tx.now})

    def failed(self, number: int, *, wait: float) -> None:
        """Not delivered: due again in `wait` seconds."""
        self._connection.execute(
            sa.update(outbox)
            .where(outbox.c.id == number)
            .values(attempts=outbox.c.attempts + 1, due=self._tx.clock + wait, sender=None)
        )

    def give_back(self, ids: Sequence[int]) -> None:
        """Not tried: due as before."""
        self._connection.execute(
            sa.update(outbox).where(outbox.c.id.in_(list(ids))).values(due=self._tx.clock, sender=None)
        )

    def hasten(self) -> None:
        """The broker is back: what nobody has in hand is due now, unless it was refused again and again."""
        waits = sa.and_(outbox.c.sent_at.is_(None), outbox.c.sender.is_(None), outbox.c.due > self._tx.clock)
        self._connection.execute(
            sa.update(outbox).where(waits, outbox.c.attempts <= _REFUSED_BY_CHANCE).values(due=self._tx.clock)
        )

    def is_refused(self) -> bool:
        """Whether something waits that was tried and not taken."""
        waiting = sa.select(outbox.c.id).where(outbox.c.sent_at.is_(None), outbox.c.attempts > 0)
        return self._connection.execute(waiting.limit(1)).first() is not None

    def delivery(self, once: str) -> tuple[datetime.datetime | None, int] | None:
        """When the event of this key was sent, and how often sending failed; None: there is none."""
        statement = sa.select(outbox.c.sent_at, outbox.c.attempts).where(outbox.c.once == once)
        row = self._connection.execute(statement).first()
        return None if row is None else (row.sent_at, row.attempts)

    def purge(self, before: object) -> int:
        """Forget what was sent before a time; how many."""
        return self._connection.execute(
            sa.delete(outbox).where(outbox.c.sent_at.is_not(None), outbox.c.sent_at < before)
        ).rowcount


#: A letter that was refused more often may be one that the broker does not like, be it away or not.
_REFUSED_BY_CHANCE = 5
#: Building a statement costs as much as executing it: those of every look are built once.
_AMONG = outbox.c.id.in_(sa.bindparam('ids', expanding=True))
_AMONG_SENT = sa.update(outbox).where(_AMONG)
_LENT = sa.select(outbox).where(_AMONG, outbox.c.sender == sa.bindparam('to')).order_by(outbox.c.id)


@functools.lru_cache(maxsize=8)
def _due(clock: sa.ColumnElement[float], probe: bool) -> sa.Select:
    due = sa.select(outbox.c.id).where(outbox.c.sent_at.is_(None), outbox.c.due <= clock)
    order = (outbox.c.attempts, outbox.c.id.desc()) if probe else (outbox.c.due, outbox.c.id)
    return due.order_by(*order).limit(sa.bindparam('limit', type_=sa.Integer))


@functools.lru_cache(maxsize=8)
def _lend(clock: sa.ColumnElement[float]) -> sa.Update:
    until = clock + sa.bindparam('lease', type_=sa.Double)
    lend = sa.update(outbox).where(_AMONG, outbox.c.sent_at.is_(None), outbox.c.due <= clock)
    return lend.values(due=until, sender=sa.bindparam('to'))


@functools.lru_cache(maxsize=8)
def _insert(clock: sa.ColumnElement[float]) -> sa.Insert:
    columns = ('event_type', 'priority', 'payload', 'once', 'created_at')
    return sa.insert(outbox).values(due=clock, **{name: sa.bindparam(name) for name in columns})
