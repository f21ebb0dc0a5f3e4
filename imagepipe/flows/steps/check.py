"""check: there is data at the location, and the project may have so much of it."""

from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.location import Location
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class Check(Step):
    """Ask the store how much there is, and reserve that much of the quota."""

    def work(self, run: Run, attempt: int, stores: object, rooms: object) -> dict[str, object]:
        run.back_off(attempt)
        (target,) = run.plan.targets
        size = stores[target.store].size(location_of(run).url)
        if size <= 0:
            raise errors.LocationRefused(reason=f"store '{target.store}' has no data there")
        if size > run.plan.size_cap:
            raise errors.SizeCapExceeded(limit=run.plan.size_cap)

        def record(tx: 'Transaction') -> None:
            tx.imports.record(run.claim.import_id, source_size=size)
            rooms.reserve_stores(tx, run, size)

        run.db.run(record)
        return result(run, attempt, size, {} if run.plan.secure_hash else dict(run.plan.expected))


def location_of(run: Run) -> Location:
    """The location that is being added; its URL stands in its row and nowhere else."""
    (target,) = run.plan.targets
    found = run.db.read(lambda tx: tx.locations.of_import(run.claim.import_id))
    for location in found:
        if location.id == target.location_id:
            return location
    raise errors.ImageDeletedDuringImport()


def result(run: Run, attempt: int, size: int, digests: dict[str, str]) -> dict[str, object]:
    """What is known of the data, in the form in which stores tell it of theirs."""
    (target,) = run.plan.targets
    return {
        'store': target.store,
        'status': 'ok',
        'size': size,
        'attempts': attempt,
        'ready': {
            'size': size,
            'digests': digests,
            'disk_format': run.plan.disk_format,
            'container_format': run.plan.container_format,
        },
    }
