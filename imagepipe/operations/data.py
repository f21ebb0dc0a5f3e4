"""Receiving an image's data: PUT file and PUT stage, as recorded transfers."""

import dataclasses
from collections.abc import Callable, Mapping
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
from imagepipe.operations.terms import Terms
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.sources.intake import Received
    from imagepipe.stores.streams import Reader

__all__ = ['CHUNK', 'Download', 'download', 'stage', 'upload']


@dataclasses.dataclass(frozen=True)
class _Arrival:
    """Data on its way in: its bytes, how many were announced, and the terms on which it is taken."""

    body: 'Reader'
    size: int | None
    terms: Terms


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
    StoreReadOnly, what Terms.read raises, UploadingCountExceeded, SizeMismatch, SizeCapExceeded,
    QuotaExceeded, StagingFull, DataTruncated, SignatureInvalid, Format..., ImageGone, TransferLost
    and what stores raise. Except for the first ones, which change nothing, the image is queued again
    and no byte is left.
    """
    size = known_size(content_length, announced_size)

    def acceptable(tx: 'Transaction') -> Image:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.UPLOAD_IMAGE, image)
        image.to(Status.SAVING)
        if image.missing_formats:
            raise errors.FormatsNotSet(names=', '.join(image.missing_formats))
        _check_cap(services, size)
        _target(services, store)
        return image

    terms = Terms.read(services, context, services.db.read(acceptable))

    def begin(tx: 'Transaction') -> tuple[Image, Transfer]:
        image = acceptable(tx)
        terms.check(image)
        transfer = _new_upload(services, image, _target(services, store), size)
        saved = transfers.record(services, tx, transfer, image, terms.limits)
        tx.notify(Event.IMAGE_PREPARE, _import_payload(saved, store))
        return saved, transfer

    image, transfer = services.db.run(begin)
    arrival = _Arrival(body, size, terms)
    keeper = transfers.Keeper(services, transfer, terms.limits)
    _undone_on_failure(services, keeper, lambda: _receive(services, keeper, image, arrival))


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

    Raises StagingDisabled, StagedQuotaExceeded, and what upload() raises of requests and data.
    """
    if Method.GLANCE_DIRECT not in services.conf.enabled_import_methods:
        raise errors.StagingDisabled()
    size = known_size(content_length, announced_size)

    def acceptable(tx: 'Transaction') -> Image:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.MODIFY_IMAGE, image)
        image.to(Status.UPLOADING)
        _check_cap(services, size)
        return image

    terms = Terms.staging(services, services.db.read(acceptable))

    def begin(tx: 'Transaction') -> Transfer:
        image = acceptable(tx)
        transfer = _new_staging(services, image, size)
        transfers.record(services, tx, transfer, image, terms.limits)
        return transfer

    transfer = services.db.run(begin)
    arrival = _Arrival(body, size, terms)
    keeper = transfers.Keeper(services, transfer, terms.limits)
    _undone_on_failure(services, keeper, lambda: _receive_staged(services, keeper, arrival))


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


def _new_upload(services: 'Services', image: Image, store: str, size: int | None) -> Transfer:
    part = STRAIGHT if services.intake.straight(store, size) else STAGED
    return transfers.new(services, image, TransferKind.UPLOAD, part=part, store=store, reserved=size or 0)


def _new_staging(services: 'Services', image: Image, size: int | None) -> Transfer:
    store = services.stores.staging
    through = store is not None and not services.intake.straight(store.id, size)
    return transfers.new(
        services,
        image,
        TransferKind.STAGE,
        part=STAGED if through else 'staged',
        store=None if store is None else store.id,
        reserved=size or 0,
    )


def _undone_on_failure(services: 'Services', keeper: transfers.Keeper, receive: Callable[[], None]) -> None:
    transfer = keeper.transfer
    try:
        with keeper.kept():
            receive()
    except errors.TransferLost as error:
        found = transfers.lost(services, transfer)
        transfers.withdraw(services, transfer, found)
        raise found from error
    except BaseException as error:
        transfers.withdraw(services, transfer, error)
        raise


def _receive(services: 'Services', keeper: transfers.Keeper, image: Image, arrival: '_Arrival') -> None:
    transfer = keeper.transfer
    options = {
        'size': arrival.size,
        'limit': services.conf.image_size_cap,
        'progress': keeper,
        'inspect': image.container_format == 'bare',
        'also': arrival.terms.algorithms,
    }
    received = _taken_in(services, transfer, arrival.body, options)
    arrival.terms.verify(services, received.digests)
    virtual_size = services.intake.judge(
        received, disk_format=image.disk_format, container_format=image.container_format
    )
    if staged(transfer):
        received = _handed_over(services, keeper, received)
    services.db.run(lambda tx: _activate(services, tx, keeper.transfer, received, virtual_size))
    if staged(transfer):
        services.intake.discard_staged(transfer.object_name)


def _taken_in(
    services: 'Services', transfer: Transfer, body: 'Reader', options: Mapping[str, object]
) -> 'Received':
    if staged(transfer):
        return services.intake.to_staging(transfer.object_name, body, **options)
    return services.intake.to_store(transfer.object_name, body, store_id=transfer.store, **options)


def _handed_over(services: 'Services', keeper: transfers.Keeper, received: 'Received') -> 'Received':
    keeper.renew()  # a sweeper that took this for dead has removed the file
    url = services.intake.hand_over(received.name, keeper.transfer.store, keeper.moving)
    return dataclasses.replace(received, url=url, identity=None)


def _activate(
    services: 'Services',
    tx: 'Transaction',
    transfer: Transfer,
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
    saved = tx.images.save(active, expected=image)
    services.quota.moved(tx, image, saved)
    services.quota.release_transfer(tx, transfer)
    services.quota.count(tx, image.owner, received.size)
    _keep_record(tx, transfer, active, received)
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


def _receive_staged(services: 'Services', keeper: transfers.Keeper, arrival: '_Arrival') -> None:
    transfer = keeper.transfer
    options = {
        'size': arrival.size,
        'limit': services.conf.image_size_cap,
        'progress': keeper,
        'inspect': True,
        'also': arrival.terms.algorithms,
    }
    received = _taken_in(services, transfer, arrival.body, options)
    on_its_way = transfer.store is not None and staged(transfer)
    if on_its_way:
        received = _handed_over(services, keeper, received)
    services.db.run(lambda tx: _settle(services, tx, keeper.transfer, received))
    if on_its_way:
        services.intake.discard_staged(transfer.object_name)


def _settle(services: 'Services', tx: 'Transaction', transfer: Transfer, received: 'Received') -> None:
    """The commit of a staging: digests, verdict and identity of the file are on record."""
    tx.transfers.finish(
        transfer,
        size=received.size,
        digests=received.digests,
        verdict=received.verdict.as_json(),
        identity=received.identity,
        url=received.url,
        reserved=received.size,
    )
    image = tx.images.find(transfer.image_id)
    saved = tx.images.save(dataclasses.replace(image, size=received.size), expected=image)
    services.quota.release_transfer(tx, transfer, transfer.reserved - received.size)
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))


def _import_payload(image: Image, store: str | None = None) -> dict[str, object]:
    extra: dict[str, object] = {'os_glance_importing_to_stores': [], 'os_glance_failed_import': []}
    if store is not None:
        extra['backend'] = store
    return image_payload(image, extra=extra)
