"""How imports end: the commit, and the settling of every other end.

All functions of a transaction; the caller's transaction carries the fence.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain import properties, protections
from imagepipe.domain.event import Event, Priority, image_payload, task_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import LIVE, Import, ImportState, Target
from imagepipe.domain.location import LocationState
from imagepipe.domain.representation import Representation
from imagepipe.flows.run import Run
from imagepipe.jobs.rooms import Rooms

LOG = logging.getLogger(__name__)

#: After these, what a client had staged is of no use.
_UNUSABLE = frozenset({errors.StagingLost.code, errors.StagingHostLost.code})
_UNDECIDED = (LocationState.PENDING, LocationState.COPYING, LocationState.FAILED)


def commit(
    tx: Transaction, run: Run, results: Sequence[Mapping[str, object]], rooms: Rooms
) -> dict[str, object]:
    """Make the import's outcome true: representations, locations, image, quota, events.

    Raises ImageDeletedDuringImport, QuotaExceeded, TooManyProperties.
    """
    record, image = found(tx, run)
    taken = _united(taken_of(run, results))
    active = _activated(_injected(run, _described(run, image)), taken[0][1]['ready'], run.plan.os_hash_algo)
    active = tx.images.save(active, expected=image)
    rooms.quota.moved(tx, image, active)
    rooms.settle(tx, record, sum(result['size'] for _, result in taken), owner=image.owner)
    _locate(tx, run, image, taken)
    return conclude(tx, record, active, results, (Event.IMAGE_UPLOAD, Event.IMAGE_ACTIVATE))


def found(tx: Transaction, run: Run) -> tuple[Import, Image]:
    """The import that is to be committed, and its image. Raises ImageDeletedDuringImport."""
    record = tx.imports.get(run.claim.import_id)
    try:
        return record, tx.images.find(record.image_id)
    except errors.ImageNotFound as error:
        raise errors.ImageDeletedDuringImport() from error


def taken_of(run: Run, results: Sequence[Mapping[str, object]]) -> list[tuple[Target, Mapping[str, object]]]:
    """The targets that have the data, each with what became of it."""
    return [
        (target, result)
        for target, result in zip(run.plan.targets, results, strict=True)
        if result['status'] == 'ok'
    ]


def conclude(
    tx: Transaction,
    record: Import,
    image: Image,
    results: Sequence[Mapping[str, object]],
    events: Sequence[Event],
) -> dict[str, object]:
    """The import is committed from now on, with these results; tells it, and these events of the image."""
    outcome = {'image_id': image.id, 'stores': {result['store']: _shown(result) for result in results}}
    tx.imports.to(record.id, [ImportState.RUNNING], ImportState.COMMITTED, result=outcome)
    failed = sorted(store for store, found in outcome['stores'].items() if found['status'] != 'ok')
    extra = {'os_glance_importing_to_stores': [], 'os_glance_failed_import': failed}
    for event in (*events, Event.IMAGE_UPDATE):
        tx.notify(event, image_payload(image, extra=extra if event is Event.IMAGE_UPLOAD else None))
    payload = task_payload(dataclasses.replace(tx.imports.get(record.id), state=ImportState.SUCCEEDED))
    tx.notify(Event.TASK_SUCCESS, payload, once=f'end:{record.id}')
    tx.notify(Event.TASK_RUN, payload)
    return outcome


def _united(
    taken: Sequence[tuple[Target, Mapping[str, object]]],
) -> list[tuple[Target, Mapping[str, object]]]:
    """Stores that were given the same data hold one representation, where the plan could not know it."""
    of_data: dict[str, str] = {}
    return [
        (
            dataclasses.replace(
                target,
                representation_id=of_data.setdefault(result['ready']['name'], target.representation_id),
            ),
            result,
        )
        for target, result in taken
    ]


def _locate(
    tx: Transaction, run: Run, image: Image, taken: Sequence[tuple[Target, Mapping[str, object]]]
) -> None:
    primary = taken[0][0].representation_id
    for representation_id in dict.fromkeys(target.representation_id for target, _ in taken):
        ready = next(
            result['ready'] for target, result in taken if target.representation_id == representation_id
        )
        tx.locations.add_representation(
            Representation(
                id=representation_id,
                image_id=image.id,
                primary=representation_id == primary,
                disk_format=ready['disk_format'],
                container_format=ready['container_format'],
                size=ready['size'],
                virtual_size=ready['virtual_size'],
                digests=ready['digests'],
            )
        )
    flip(tx, run, taken)


def flip(tx: Transaction, run: Run, taken: Sequence[tuple[Target, Mapping[str, object]]]) -> None:
    """The locations that have the data are the image's; the import's others are forgotten."""
    for target, result in taken:
        tx.locations.set(
            target.location_id,
            _UNDECIDED,
            state=LocationState.ACTIVE.value,
            representation_id=target.representation_id,
            url=result['url'],
            object_name=result['object_name'],
            size=result['size'],
            metadata={'store': target.store},
        )
    kept = {target.location_id for target, _ in taken}
    for target in run.plan.targets:
        if target.location_id not in kept:
            tx.locations.drop(target.location_id)


def _injected(run: Run, image: Image) -> Image:
    """The image with the properties that the operator gives it."""
    written = _writable(run, image, run.plan.inject)
    return dataclasses.replace(image, properties={**image.properties, **written})


def _writable(run: Run, image: Image, wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Of properties that the import brings, those that its user may write; the others are logged."""
    found = protections.thawed(run.plan.protections).writable(image.properties, wanted)
    for name in wanted.keys() - found.keys():
        LOG.warning('The import leaves the property %r out: it is protected from its user.', name)
    return found


def _activated(image: Image, ready: Mapping[str, object], os_hash_algo: str) -> Image:
    return image.to(
        Status.ACTIVE,
        size=ready['size'],
        virtual_size=ready['virtual_size'],
        disk_format=ready['disk_format'],
        container_format=ready['container_format'],
        checksum=ready['digests']['md5'],
        os_hash_algo=os_hash_algo,
        os_hash_value=ready['digests'][os_hash_algo],
    )


def _described(run: Run, image: Image) -> Image:
    """With the properties of the image that was downloaded from another region, as far as they may be."""
    if run.remote is None or run.remote.found is None:
        return image
    merged = {**image.properties, **_writable(run, image, run.remote.found.properties)}
    properties.check_quota(merged, run.plan.property_quota)
    return dataclasses.replace(image, properties=merged)


def _shown(result: Mapping[str, object]) -> dict[str, object]:
    """One store's outcome as the record keeps it; no URL, for some drivers put secrets there."""
    if result['status'] != 'ok':
        return {'status': 'failed', 'code': result['code'], 'message': result['message']}
    ready = result['ready']
    return {
        'status': 'ok',
        'attempts': result['attempts'],
        'size': result['size'],
        'disk_format': ready['disk_format'],
        'digests': dict(ready['digests']),
    }


def finish(tx: Transaction, import_id: str, rooms: Rooms, *, staging_clear: bool) -> ImportState:
    """Settle an import that was committed or is reverted: its end, once. Returns the end.

    staging_clear: its staged files are gone; otherwise what the client staged is left to the sweep
    of transfers. Idempotent: settled again, nothing changes.
    """
    record = tx.imports.get(import_id)
    if not record.live:
        return record.state
    committed = record.state is ImportState.COMMITTED
    kept = keeps_upload(tx, record) and tx.transfers.keep_until(
        record.plan.transfer_id, record.plan.keep_failed
    )
    image = None if committed else _requeued(tx, record, rooms, kept=kept)
    if not committed:
        rooms.settle(tx, record, 0, owner=record.owner)
    rooms.release_staging(tx, record)
    if not kept:
        rooms.release_upload(tx, record, forget=staging_clear)
    if committed:
        _close(tx, record, ImportState.SUCCEEDED, {'source_url': None})
        return ImportState.SUCCEEDED
    end = tx.imports.outcome(import_id)
    for location in tx.locations.of_import(import_id):
        tx.locations.drop(location.id)
    stores = {
        store: {**found, 'status': 'failed'} for store, found in record.result.get('stores', {}).items()
    }
    # A retry needs the URL, as long as there is an image to retry it for.
    kept = {} if image is not None and image.status is Status.QUEUED else {'source_url': None}
    _close(tx, record, end, {'result': {**record.result, 'stores': stores}, **kept})
    _tell_failure(tx, tx.imports.get(import_id), image)
    return end


def keeps_upload(tx: Transaction, record: Import) -> bool:
    """Whether what the client has staged for the import is kept for another one."""
    plan = record.plan
    if plan is None or plan.transfer_id is None or not plan.keep_failed:
        return False
    if record.state is not ImportState.REVERTING or record.error_code in _UNUSABLE:
        return False
    return tx.imports.outcome(record.id) is ImportState.FAILED


def _requeued(tx: Transaction, record: Import, rooms: Rooms, *, kept: bool) -> Image | None:
    """The image as before the import; None when it was deleted. kept: what was staged is still there."""
    try:
        image = tx.images.find(record.image_id)
        if image.status is not Status.IMPORTING:
            return image
        queued = image.to(Status.QUEUED).without_data()
        if kept:
            queued = queued.to(Status.UPLOADING, size=image.size)
        queued = tx.images.settle(queued, expected=image)
    except errors.ImageNotFound:
        return None  # also if it was there a moment ago
    rooms.quota.moved(tx, image, queued)
    return queued


def _close(tx: Transaction, record: Import, end: ImportState, columns: Mapping[str, object]) -> None:
    tx.imports.to(
        record.id,
        LIVE,
        end,
        finished_at=tx.now,
        claim_owner=None,
        claim_host=None,
        claim_expires=None,
        **columns,
    )
    tx.steps.close(record.id)


def _tell_failure(tx: Transaction, record: Import, image: Image | None) -> None:
    payload = task_payload(record)
    tx.notify(Event.TASK_FAILURE, payload, priority=Priority.ERROR, once=f'end:{record.id}')
    tx.notify(Event.TASK_RUN, payload)
    if image is not None:
        tx.notify(Event.IMAGE_UPDATE, image_payload(image))
