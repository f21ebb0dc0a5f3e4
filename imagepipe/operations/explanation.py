"""What the database knows of an import: what `imagepipe-manage explain` tells."""

import dataclasses
import datetime
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.import_ import Import
from imagepipe.domain.location import LocationState
from imagepipe.operations import imports, retries
from imagepipe.operations.imports import ImportRecord

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

#: Imports of a request that are told of, and retries of an import.
MOST = 100
#: A worker that gave no sign for so many leases is dead.
_LEASES = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """An import and all that has to do with it, as it was at the moment `now`.

    image_status is None when there is no such image any more. lease: seconds until the claim on it runs
    out. workers: those that are alive; takers: those of them that take imports and know the flow; strangers:
    those that take imports and do not. drained: the hosts that shall take none. told: when its end was sent
    to the broker, and how often that failed. obstacle: why it cannot be retried. waiting: how many imports
    have no worker. lost_after: seconds without a sign after which a host that has staged data is given up.
    """

    record: ImportRecord
    image_status: str | None
    lease: float | None
    workers: tuple[str, ...]
    takers: tuple[str, ...]
    strangers: tuple[str, ...]
    drained: frozenset[str]
    waiting: int
    told: tuple[datetime.datetime | None, int] | None
    retried_by: tuple[str, ...]
    obstacle: str | None
    condemned: tuple[str, ...]
    lost_after: float
    now: datetime.datetime

    @property
    def import_(self) -> Import:
        """The import itself."""
        return self.record.import_


def explain(
    services: 'Services', context: RequestContext, wanted: str, *, most: int = MOST
) -> tuple[list[Facts], bool]:
    """What is known of an import, or of what a request asked for, and whether that is more than is told.

    most: so many imports of a request, its first ones, are told. Raises NothingToExplain.
    """

    def look(tx: 'Transaction') -> tuple[list[Facts], bool]:
        found = tx.imports.of_request(wanted, most + 1) or _by_id(tx, wanted)
        if not found:
            raise errors.NothingToExplain(id=wanted)
        told = imports.records(services, context, tx, found[:most])
        return [_facts(services, context, tx, record) for record in told], len(found) > most

    return services.db.snapshot(look)


def _by_id(tx: 'Transaction', wanted: str) -> list[Import]:
    try:
        return [tx.imports.get(wanted)]
    except errors.ImportNotFound:
        return []


def _facts(services: 'Services', context: RequestContext, tx: 'Transaction', record: ImportRecord) -> Facts:
    found = record.import_
    within = services.conf.conductor.lease * _LEASES
    takers, strangers = tx.workers.taking(within, found.flow_version)
    condemned = [each.store for each in record.locations if each.state is LocationState.DELETING]
    return Facts(
        record=record,
        image_status=_image_status(tx, found),
        lease=tx.imports.lease(found.id),
        workers=tuple(tx.workers.alive(within)),
        takers=tuple(takers),
        strangers=tuple(strangers),
        drained=frozenset(host.name for host in tx.conductors.hosts() if host.drain is not None),
        waiting=tx.imports.count_unheld(),
        told=tx.outbox.delivery(f'end:{found.id}'),
        retried_by=tuple(tx.imports.retries(found, MOST)),
        obstacle=retries.obstacle(services, context, tx, found),
        condemned=tuple(condemned),
        lost_after=services.conf.staging.lost_after,
        now=tx.now,
    )


def _image_status(tx: 'Transaction', record: Import) -> str | None:
    try:
        return tx.images.find(record.image_id).status.value
    except errors.ImageNotFound:
        return None
