"""Receiving an image's data: PUT file and PUT stage, as recorded transfers."""

import dataclasses
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import Method
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.reception import STAGED, STRAIGHT, staged
from imagepipe.domain.representation import Representation
from imagepipe.domain.transfer import Transfer, TransferKind
from imagepipe.operations import transfers
from imagepipe.operations.downloads import CHUNK, Download, download
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.sources.intake import Received
    from imagepipe.stores.streams import Reader

__all__ = ['CHUNK', 'Download', 'download', 'stage', 'upload']


def upload(
    services: 'Services',
    context: RequestContext,
    image_id: str,
    body: 'Reader',
    *,
    content_length: int | None,
    announced_size: int | None,
    store: str | None,
) -> None:
    """Take the data of a queued image in and make the image active.

    Raises ImageNotFound, PolicyForbids, FormatsNotSet, InvalidTransition, UnknownStore,
    StoreReadOnly, SizeMismatch, SizeCapExceeded, QuotaExceeded, StagingFull, DataTruncated,
    Format..., ImageGone, TransferLost and what stores raise. Except for the first ones, which
    change nothing, the image is queued again and no byte is left.
    """
    size = known_size(content_length, announced_size)

    def begin(tx: 'Transaction') -> tuple[Image, Transfer]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.UPLOAD_IMAGE, image)
        image.to(Status.SAVING)
        if image.missing_formats:
            raise errors.FormatsNotSet(names=', '.join(image.missing_formats))
        _check_cap(services, size)
        transfer = _new_upload(services, image_id, _target(services, store), size)
        saved = transfers.record(services, tx, transfer, image, Status.SAVING)
        tx.notify(Event.IMAGE_PREPARE, _import_payload(saved, store))
        return saved, transfer

    image, transfer = services.db.run(begin)
    _undone_on_failure(services, transfer, lambda: _receive(services, transfer, image, body, size))


def stage(
    services: 'Services',
    context: RequestContext,
    image_id: str,
    body: 'Reader',
    *,
    content_length: int | None,
    announced_size: int | None,
) -> None:
    """Take data in for a later import by glance-direct; the image is uploading from now on.

    Raises StagingDisabled, and what upload() raises.
    """
    if Method.GLANCE_DIRECT not in services.conf.enabled_import_methods:
        raise errors.StagingDisabled()
    size = known_size(content_length, announced_size)

    def begin(tx: 'Transaction') -> tuple[Image, Transfer]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.MODIFY_IMAGE, image)
        image.to(Status.UPLOADING)
        _check_cap(services, size)
        transfer = transfers.new(services, image_id, TransferKind.STAGE, part='staged', reserved=size or 0)
        return transfers.record(services, tx, transfer, image, Status.UPLOADING), transfer

    image, transfer = services.db.run(begin)
    _undone_on_failure(services, transfer, lambda: _receive_staged(services, transfer, image, body, size))


def known_size(content_length: int | None, announced_size: int | None) -> int | None:
    """The bytes to expect; 0 counts as unknown. Raises SizeMismatch when a request contradicts itself."""
    if announced_size and content_length and announced_size != content_length:
        raise errors.SizeMismatch(found=content_length, expected=announced_size)
    return announced_size or content_length or None


def _check_cap(services: 'Services', size: int | None) -> None:
    if size is not None and size > services.conf.image_size_cap:
        raise errors.SizeCapExceeded(limit=services.conf.image_size_cap)


def _target(services: 'Services', store: str | None) -> str:
    """The store that takes the data; without several stores the header is ignored."""
    if store is None or not services.stores.multi:
        store = services.stores.default
    if store not in services.stores:
        raise errors.UnknownStore(store=store)
    if services.stores[store].read_only:
        raise errors.StoreReadOnly(store=store)
    return store


def _new_upload(services: 'Services', image_id: str, store: str, size: int | None) -> Transfer:
    part = STRAIGHT if services.intake.straight(store, size) else STAGED
    return transfers.new(services, image_id, TransferKind.UPLOAD, part=part, store=store, reserved=size or 0)


def _undone_on_failure(services: 'Services', transfer: Transfer, receive: object) -> None:
    try:
        receive()
    except errors.TransferLost as error:
        found = transfers.lost(services, transfer)
        transfers.withdraw(services, transfer, found)
        raise found from error
    except BaseException as error:
        transfers.withdraw(services, transfer, error)
        raise


def _receive(
    services: 'Services', transfer: Transfer, image: Image, body: 'Reader', size: int | None
) -> None:
    keeper = transfers.Keeper(services, transfer, image)
    inspect = image.container_format == 'bare'
    reader = Announced(body, size)
    options = {'limit': services.conf.image_size_cap, 'progress': keeper, 'inspect': inspect}
    if staged(transfer):
        received = services.intake.to_staging(transfer.object_name, reader, **options)
    else:
        received = services.intake.to_store(
            transfer.object_name, reader, store_id=transfer.store, size=size, **options
        )
    virtual_size = services.intake.judge(
        received, disk_format=image.disk_format, container_format=image.container_format
    )
    if staged(transfer):
        keeper.renew()  # a sweeper that took this for dead has removed the file
        url = services.intake.hand_over(transfer.object_name, transfer.store, keeper.moving)
        received = dataclasses.replace(received, url=url)
    services.db.run(lambda tx: _activate(services, tx, keeper.transfer, image, received, virtual_size))
    if staged(transfer):
        services.intake.discard_staged(transfer.object_name)


def _activate(
    services: 'Services',
    tx: 'Transaction',
    transfer: Transfer,
    started: Image,
    received: 'Received',
    virtual_size: int | None,
) -> None:
    """The commit of an upload. Raises TransferLost, ImageNotFound."""
    tx.transfers.finish(transfer, size=received.size, digests=received.digests)
    tx.transfers.delete(transfer.id)
    image = tx.images.find(transfer.image_id)
    algorithm = services.conf.hashing_algorithm
    active = image.to(
        Status.ACTIVE,
        size=received.size,
        virtual_size=virtual_size,
        checksum=received.digests['md5'],
        os_hash_algo=algorithm,
        os_hash_value=received.digests[algorithm],
    )
    services.quota.release_transfer(tx, transfer, started.owner)
    services.quota.count(tx, image.owner, received.size)
    _keep_record(tx, transfer, active, received)
    saved = tx.images.save(active, expected=image)
    tx.notify(Event.IMAGE_UPLOAD, _import_payload(saved))
    tx.notify(Event.IMAGE_ACTIVATE, image_payload(saved))
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))


def _keep_record(tx: 'Transaction', transfer: Transfer, image: Image, received: 'Received') -> None:
    representation = Representation(
        id=uuidutils.generate_uuid(),
        image_id=image.id,
        primary=True,
        disk_format=image.disk_format,
        container_format=image.container_format,
        size=received.size,
        virtual_size=image.virtual_size,
        digests=received.digests,
    )
    tx.locations.add_representation(representation)
    tx.locations.add(
        Location(
            id=uuidutils.generate_uuid(),
            image_id=image.id,
            representation_id=representation.id,
            store=transfer.store,
            state=LocationState.ACTIVE,
            object_name=transfer.object_name,
            epoch=transfer.epoch,
            url=received.url,
            size=received.size,
        )
    )


def _receive_staged(
    services: 'Services', transfer: Transfer, image: Image, body: 'Reader', size: int | None
) -> None:
    keeper = transfers.Keeper(services, transfer, image)
    received = services.intake.to_staging(
        transfer.object_name, Announced(body, size), limit=services.conf.image_size_cap, progress=keeper
    )
    services.db.run(lambda tx: _settle(services, tx, keeper.transfer, received))


def _settle(services: 'Services', tx: 'Transaction', transfer: Transfer, received: 'Received') -> None:
    """The commit of a staging: digests, verdict and identity of the file are on record."""
    tx.transfers.finish(
        transfer,
        size=received.size,
        digests=received.digests,
        verdict=received.verdict.as_json(),
        identity=received.identity,
        reserved=received.size,
    )
    image = tx.images.find(transfer.image_id)
    services.quota.release_staging(tx, transfer.reserved - received.size)
    saved = tx.images.save(dataclasses.replace(image, size=received.size), expected=image)
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))


def _import_payload(image: Image, store: str | None = None) -> dict[str, object]:
    extra: dict[str, object] = {'os_glance_importing_to_stores': [], 'os_glance_failed_import': []}
    if store is not None:
        extra['backend'] = store
    return image_payload(image, extra=extra)


class Announced:
    """The request's data, which has the announced number of bytes or fails with SizeMismatch."""

    def __init__(self, body: 'Reader', size: int | None) -> None:
        self._body = body
        self._size = size
        self._seen = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(size)
        self._seen += len(piece)
        if self._size is None:
            return piece
        if self._seen > self._size:
            raise errors.SizeMismatch(found=f'more than {self._size}', expected=self._size)
        if not piece and self._seen < self._size:
            raise errors.SizeMismatch(found=self._seen, expected=self._size)
        return piece

    def close(self) -> None:
        self._body.close()
