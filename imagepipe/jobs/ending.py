"""How imports end: the commit, and the settling of every other end.

All functions of a transaction; the caller's transaction carries the fence.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.event import Event, Priority, image_payload, task_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import LIVE, Import, ImportState, Target
from imagepipe.domain.location import LocationState
from imagepipe.domain.representation import Representation
from imagepipe.flows.run import Run
from imagepipe.jobs.rooms import Rooms

_UNDECIDED = (LocationState.PENDING, LocationState.COPYING, LocationState.FAILED)


def commit(
    tx: Transaction, run: Run, results: Sequence[Mapping[str, object]], rooms: Rooms
) -> dict[str, object]:
    """Make the import's outcome true: representations, locations, image, quota, events.

    Raises ImageDeletedDuringImport, QuotaExceeded.
    """
    record = tx.imports.get(run.claim.import_id)
    try:
        image = tx.images.find(record.image_id)
    except errors.ImageNotFound as error:
        raise errors.ImageDeletedDuringImport() from error
    taken = [
        (target, result)
        for target, result in zip(run.plan.targets, results, strict=True)
        if result['status'] == 'ok'
    ]
    rooms.settle(tx, record, sum(result['size'] for _, result in taken))
    _locate(tx, run, image, taken)
    active = _activated(image, taken[0][1]['ready'], run.plan.os_hash_algo)
    tx.images.save(active, expected=image)
    outcome = {'image_id': image.id, 'stores': {_key(result): _shown(result) for result in results}}
    tx.imports.to(record.id, [ImportState.RUNNING], ImportState.COMMITTED, result=outcome)
    _tell_success(tx, tx.imports.get(record.id), active, outcome)
    return outcome


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
    for target, result in taken:
        tx.locations.set(
            target.location_id,
            _UNDECIDED,
            state=LocationState.ACTIVE.value,
            url=result['url'],
            object_name=result['object_name'],
            size=result['size'],
            metadata={'store': target.store},
        )
    kept = {target.location_id for target, _ in taken}
    for target in run.plan.targets:
        if target.location_id not in kept:
            _drop(tx, target.location_id)


def _drop(tx: Transaction, location_id: str) -> None:
    """Forget a location without bytes; one that may have some is left to the sweeper."""
    tx.locations.set(location_id, [LocationState.COPYING], state=LocationState.DELETING.value)
    if tx.locations.set(location_id, [LocationState.PENDING, LocationState.FAILED], error_code=None):
        tx.locations.delete(location_id)


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


def _key(result: Mapping[str, object]) -> str:
    return result['store']


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


def _tell_success(tx: Transaction, record: Import, image: Image, outcome: Mapping[str, object]) -> None:
    failed = sorted(store for store, found in outcome['stores'].items() if found['status'] != 'ok')
    extra = {'os_glance_importing_to_stores': [], 'os_glance_failed_import': failed}
    tx.notify(Event.IMAGE_UPLOAD, image_payload(image, extra=extra))
    tx.notify(Event.IMAGE_ACTIVATE, image_payload(image))
    tx.notify(Event.IMAGE_UPDATE, image_payload(image))
    payload = task_payload(dataclasses.replace(record, state=ImportState.SUCCEEDED))
    tx.notify(Event.TASK_SUCCESS, payload, once=f'end:{record.id}')
    tx.notify(Event.TASK_RUN, payload)


def finish(tx: Transaction, import_id: str, rooms: Rooms, *, staging_clear: bool) -> ImportState:
    """Settle an import that was committed or is reverted: its end, once. Returns the end.

    staging_clear: its staged files are gone; otherwise what the client staged is left to the sweep
    of transfers. Idempotent: settled again, nothing changes.
    """
    record = tx.imports.get(import_id)
    if not record.live:
        return record.state
    rooms.release_staging(tx, record)
    rooms.release_upload(tx, record, forget=staging_clear)
    if record.state is ImportState.COMMITTED:
        _close(tx, record, ImportState.SUCCEEDED, {})
        return ImportState.SUCCEEDED
    end = tx.imports.outcome(import_id)
    for location in tx.locations.of_import(import_id):
        _drop(tx, location.id)
    rooms.settle(tx, record, 0)
    image = _requeued(tx, record.image_id)
    stores = {
        store: {**found, 'status': 'failed'} for store, found in record.result.get('stores', {}).items()
    }
    _close(tx, record, end, {'result': {**record.result, 'stores': stores}})
    _tell_failure(tx, tx.imports.get(import_id), image)
    return end


def _requeued(tx: Transaction, image_id: str) -> Image | None:
    """The image as before the import; None when it was deleted."""
    try:
        image = tx.images.find(image_id)
    except errors.ImageNotFound:
        return None
    if image.status is not Status.IMPORTING:
        return image
    queued = image.to(Status.QUEUED).without_data()
    tx.images.save(queued, expected=image)
    return queued


def _close(tx: Transaction, record: Import, end: ImportState, columns: Mapping[str, object]) -> None:
    tx.imports.to(
        record.id,
        LIVE,
        end,
        finished_at=tx.now,
        claim_owner=None,
        claim_expires=None,
        source_url=None,
        **columns,
    )
    tx.steps.close(record.id)


def _tell_failure(tx: Transaction, record: Import, image: Image | None) -> None:
    payload = task_payload(record)
    tx.notify(Event.TASK_FAILURE, payload, priority=Priority.ERROR, once=f'end:{record.id}')
    tx.notify(Event.TASK_RUN, payload)
    if image is not None:
        tx.notify(Event.IMAGE_UPDATE, image_payload(image))
