"""Retries: an import that failed or was cancelled, asked for once more as a new one."""

import dataclasses
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.import_ import RETRYABLE, Import, Method
from imagepipe.domain.import_request import ImportRequest
from imagepipe.operations import copies, imports
from imagepipe.operations.imports import ImportRecord
from imagepipe.policies import imports as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

#: Methods whose import can be asked for again; a location is added again by who knows its URL.
_METHODS = frozenset(Method) - {Method.LOCATION_IMPORT}


def retry(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """Accept a new import that names the old one: of the same source, into the same stores.

    All else is as the service is configured now. Raises ImportNotFound, PolicyForbids,
    ImportNotRetryable, and what imports.start() raises but for ImageNotFound.
    """

    def look(tx: 'Transaction') -> tuple[Import, list[str]]:
        record = imports.permitted(services, context, tx, import_id, rules.RETRY_IMPORT)
        return record, left_to_do(tx, record)

    record, stores = services.db.snapshot(look)
    request = _request(services, record, stores)
    try:
        accepted = imports.start(services, context, record.image_id, request)
    except errors.ImageNotFound as error:
        raise _refusal(record, 'its image was deleted, or is not one that you see') from error
    return imports.accepted(services, context, accepted.id)


def obstacle(services: 'Services', context: RequestContext, tx: 'Transaction', record: Import) -> str | None:
    """Why retry() would refuse it now, as far as the database tells; None where nothing is in its way."""
    try:
        image = tx.images.find(record.image_id)
        left_to_do(tx, record)
        if record.copies:
            copies.authorize(services, context, tx, image)
        else:
            imports.check_image(tx, image, record.method)
    except errors.ImageNotFound:
        return 'its image was deleted'
    except errors.ImportNotRetryable as error:
        return error.facts['reason']
    except errors.Conflict as error:
        return error.message.rstrip('.')
    return None


def left_to_do(tx: 'Transaction', record: Import) -> list[str]:
    """The stores that a retry is to fill, when everything it needs is there. Raises ImportNotRetryable."""
    if record.state not in RETRYABLE:
        raise _refusal(record, f"it is '{record.state.value}', neither failed nor cancelled")
    if record.plan is None:
        raise _refusal(record, 'its record cannot be read')
    if record.method not in _METHODS:
        raise _refusal(record, 'its data was at a location, which can be added again')
    if record.method == Method.WEB_DOWNLOAD and record.source_url is None:
        raise _refusal(record, 'the URL of its source is no longer kept')
    wanted = [target.store for target in record.plan.targets]
    if record.method == Method.GLANCE_DIRECT and tx.transfers.staged(record.image_id) is None:
        raise _refusal(record, 'its staged data is gone, stage it again')
    if record.method == Method.COPY_IMAGE:
        held = {location.store for location in tx.locations.of_primary(record.image_id)}
        wanted = [store for store in wanted if store not in held]
    if not wanted:
        raise _refusal(record, 'the image is in all of its stores')
    return wanted


def _request(services: 'Services', record: Import, stores: list[str]) -> ImportRequest:
    return ImportRequest(
        method=record.method,
        uri=_url(services, record),
        remote=record.source_image and dataclasses.replace(record.source_image, found=None),
        stores=tuple(stores) if services.stores.multi else None,
        must_succeed=record.plan.must_succeed,
        expected={} if record.copies else record.plan.expected,
        task_input=record.task_input,
        retry_of=record.id,
    )


def _url(services: 'Services', record: Import) -> str | None:
    if record.source_url is None:
        return None
    try:
        if services.secrets is None:
            raise errors.SecretUnreadable()
        return services.secrets.decrypt(record.source_url)
    except errors.SecretUnreadable as error:
        raise _refusal(record, 'the URL of its source cannot be decrypted any more') from error


def _refusal(record: Import, reason: str) -> errors.ImportNotRetryable:
    return errors.ImportNotRetryable(import_id=record.id, reason=reason)
