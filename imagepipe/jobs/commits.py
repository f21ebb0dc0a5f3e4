"""The commits of imports that bring the image no new data: copies, and locations that others filled.

All functions of a transaction; the caller's transaction carries the fence.
"""

from collections.abc import Mapping, Sequence

from imagepipe.db.transaction import Transaction
from imagepipe.domain.event import Event
from imagepipe.domain.image import Status
from imagepipe.domain.location import LocationState
from imagepipe.domain.representation import Representation
from imagepipe.flows.run import Run
from imagepipe.jobs import ending
from imagepipe.jobs.rooms import Rooms

Results = Sequence[Mapping[str, object]]


def copied(tx: Transaction, run: Run, results: Results, rooms: Rooms) -> dict[str, object]:
    """The copies are locations of the image, which was active all along.

    Raises ImageDeletedDuringImport, QuotaExceeded.
    """
    record, image = ending.found(tx, run)
    taken = ending.taken_of(run, results)
    saved = tx.images.save(image, expected=image)  # so that nobody takes its last other copy meanwhile
    ending.flip(tx, run, taken)
    rooms.settle(tx, record, sum(result['size'] for _, result in taken), owner=image.owner)
    return ending.conclude(tx, record, saved, results, (Event.IMAGE_UPLOAD,))


def located(tx: Transaction, run: Run, results: Results, rooms: Rooms) -> dict[str, object]:
    """The location is the image's, and the image is active, with the digests that are known of it.

    Raises ImageDeletedDuringImport, QuotaExceeded.
    """
    record, image = ending.found(tx, run)
    (target,), (result,) = run.plan.targets, results
    ready = result['ready']
    digests, algorithm = ready['digests'], run.plan.os_hash_algo
    tx.locations.add_representation(
        Representation(
            id=target.representation_id,
            image_id=image.id,
            primary=True,
            disk_format=ready['disk_format'],
            container_format=ready['container_format'],
            size=result['size'],
            digests=digests,
        )
    )
    tx.locations.set(
        target.location_id, [LocationState.PENDING], state=LocationState.ACTIVE.value, size=result['size']
    )
    active = image.to(
        Status.ACTIVE,
        size=result['size'],
        # A digest that nobody computed is shown as the one it was given as, and as no other.
        checksum=digests.get('md5') if run.plan.secure_hash else None,
        os_hash_algo=algorithm if algorithm in digests else None,
        os_hash_value=digests.get(algorithm),
    )
    saved = tx.images.save(active, expected=image)
    rooms.quota.moved(tx, image, saved)
    rooms.settle(tx, record, result['size'], owner=image.owner)
    return ending.conclude(tx, record, saved, results, (Event.IMAGE_ACTIVATE,))
