"""Transfers: one row per PUT of data, alive as long as its lease is renewed.

Leases are on the database's clock. Every change names the state, and for the transfer's own
process the owner and epoch, that it expects; the number of rows it met tells who won.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe import errors
from imagepipe.db import schema
from imagepipe.domain.transfer import Transfer, TransferKind, TransferState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_transfers = schema.transfers
#: States that owe somebody a clean-up: bytes of theirs may be left.
UNSETTLED = frozenset({TransferState.OPEN, TransferState.ENDED})


#: What a client has staged, complete.
_STAGED = (
    _transfers.c.kind == TransferKind.STAGE.value,
    _transfers.c.state == TransferState.FINISHED.value,
)


class TransferRepository:
    """Transfers as domain values. Lease lengths are seconds."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection: sa.Connection = tx.connection

    def add(self, transfer: Transfer, lease: float) -> Transfer:
        """Record a transfer, before its first byte."""
        now = self._tx.now
        transfer = dataclasses.replace(transfer, created_at=now, updated_at=now)
        row = {**_columns(transfer), 'created_at': now, 'updated_at': now, 'expires': self._tx.clock + lease}
        self._connection.execute(_transfers.insert().values(row))
        return transfer

    def get(self, transfer_id: str) -> Transfer | None:
        """The transfer, or None when its row is gone."""
        return self._one(_transfers.c.id == transfer_id)

    def of_image(self, image_id: str) -> list[Transfer]:
        """Every transfer of the image that has a row, oldest first."""
        return self._select(_transfers.c.image_id == image_id)

    def staged(self, image_id: str) -> Transfer | None:
        """The finished staging of the image's data, newest first; None without one."""
        found = self._select(_transfers.c.image_id == image_id, *_STAGED)
        return found[-1] if found else None

    def renew(self, transfer: Transfer, lease: float) -> bool:
        """Prolong the lease; False when somebody ended or took the transfer."""
        return self._change(*_held(transfer), expires=self._tx.clock + lease)

    def keep(self, transfer: Transfer, lease: float, *, reserved: int) -> bool:
        """Prolong the lease and record what the transfer has reserved by now, in bytes."""
        return self._change(*_held(transfer), expires=self._tx.clock + lease, reserved=reserved)

    def finish(
        self,
        transfer: Transfer,
        *,
        size: int,
        digests: Mapping[str, str],
        verdict: Mapping[str, object] | None = None,
        identity: Mapping[str, int] | None = None,
        url: str | None = None,
        reserved: int | None = None,
    ) -> Transfer:
        """Record that the bytes are complete. Raises TransferLost when the transfer is not ours any more."""
        finished = dataclasses.replace(
            transfer,
            state=TransferState.FINISHED,
            size=size,
            digests=dict(digests),
            verdict=verdict,
            identity=identity,
            url=url,
            host=transfer.host if url is None else None,
            reserved=transfer.reserved if reserved is None else reserved,
        )
        if not self._change(*_held(transfer), expires=None, **_columns(finished)):
            raise errors.TransferLost(image_id=transfer.image_id)
        return finished

    def end(self, transfer_id: str, expected: Collection[TransferState] = (TransferState.OPEN,)) -> bool:
        """Take the right to write from the transfer; False when it was in no expected state.

        The row stays, its lease too, until whoever removes the bytes deletes it.
        """
        states = [state.value for state in expected]
        return self._change(
            _transfers.c.id == transfer_id,
            _transfers.c.state.in_(states),
            state=TransferState.ENDED.value,
            expires=sa.func.coalesce(_transfers.c.expires, self._tx.clock),
        )

    def hold(self, image_id: str) -> None:
        """What is staged of the image is kept for as long as it likes, whatever was said before."""
        self._connection.execute(
            _transfers.update().where(_transfers.c.image_id == image_id, *_STAGED).values(expires=None)
        )

    def keep_until(self, transfer_id: str, seconds: float) -> bool:
        """What is staged is kept for so long and no longer; False when it is not there any more."""
        return self._change(_transfers.c.id == transfer_id, *_STAGED, expires=self._tx.clock + seconds)

    def overdue(self, limit: int) -> list[Transfer]:
        """What is staged and was to be kept until now; nobody else changes it until the transaction ends."""
        due = sa.select(_transfers).where(*_STAGED, _transfers.c.expires < self._tx.clock)
        statement = due.order_by(_transfers.c.expires).limit(limit).with_for_update()
        return [_transfer(row) for row in self._connection.execute(statement).mappings()]

    def take_expired(self, owner: str, lease: float, limit: int) -> list[Transfer]:
        """Claim open and ended transfers that nobody renewed; their epoch is raised.

        Of an open one the image waits to be put back, of an ended one only bytes may be left: those that
        only another host than the owner's can reach are not named. Owners' names begin with their host.
        """
        states = [state.value for state in UNSETTLED]
        useful = sa.or_(
            _transfers.c.state == TransferState.OPEN.value,
            _transfers.c.host.is_(None),
            _transfers.c.host == owner.partition(':')[0],
        )
        due = (_transfers.c.state.in_(states), _transfers.c.expires < self._tx.clock, useful)
        statement = sa.select(_transfers).where(*due).order_by(_transfers.c.expires).limit(limit)
        found = [_transfer(row) for row in self._connection.execute(statement).mappings()]
        return [taken for old in found if (taken := self._take(old, owner, lease, due)) is not None]

    def delete(self, transfer_id: str) -> None:
        """Forget the transfer; absent is fine."""
        self._connection.execute(_transfers.delete().where(_transfers.c.id == transfer_id))

    def _take(
        self, old: Transfer, owner: str, lease: float, due: tuple[sa.ColumnElement[bool], ...]
    ) -> Transfer | None:
        taken = dataclasses.replace(old, owner=owner, epoch=old.epoch + 1)
        same = (_transfers.c.id == old.id, _transfers.c.epoch == old.epoch)
        changed = self._change(*same, *due, owner=owner, epoch=taken.epoch, expires=self._tx.clock + lease)
        return taken if changed else None

    def _change(self, *where: sa.ColumnElement[bool], **columns: object) -> bool:
        statement = _transfers.update().where(*where).values(**columns, updated_at=self._tx.now)
        return self._connection.execute(statement).rowcount == 1

    def _one(self, *where: sa.ColumnElement[bool]) -> Transfer | None:
        found = self._select(*where)
        return found[0] if found else None

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Transfer]:
        statement = sa.select(_transfers).where(*where).order_by(_transfers.c.created_at, _transfers.c.id)
        return [_transfer(row) for row in self._connection.execute(statement).mappings()]


def _held(transfer: Transfer) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows in which this transfer is still this owner's, at this epoch."""
    return (
        _transfers.c.id == transfer.id,
        _transfers.c.state == TransferState.OPEN.value,
        _transfers.c.owner == transfer.owner,
        _transfers.c.epoch == transfer.epoch,
    )


def _columns(transfer: Transfer) -> dict[str, object]:
    row = dataclasses.asdict(transfer)
    del row['created_at'], row['updated_at']
    return row | {
        'kind': transfer.kind.value,
        'state': transfer.state.value,
        'digests': json.dumps(dict(transfer.digests)),
        'verdict': _dumped(transfer.verdict),
        'identity': _dumped(transfer.identity),
    }


def _dumped(value: Mapping[str, object] | None) -> str | None:
    return None if value is None else json.dumps(dict(value))


def _loaded(value: str | None) -> dict[str, object] | None:
    return None if value is None else json.loads(value)


def _transfer(row: Mapping[str, object]) -> Transfer:
    fields = {name: value for name, value in row.items() if name != 'expires'}
    return Transfer(
        **fields
        | {
            'kind': TransferKind(row['kind']),
            'state': TransferState(row['state']),
            'digests': json.loads(row['digests']),
            'verdict': _loaded(row['verdict']),
            'identity': _loaded(row['identity']),
        }
    )
