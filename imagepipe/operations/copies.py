"""Copies of an image in more stores: asked for, and taken away."""

import dataclasses
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import Import, ImportState, Method, Plan, Target
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.representation import Representation
from imagepipe.operations import acceptance, targets
from imagepipe.policies import locations as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def start(
    services: 'Services', context: RequestContext, image_id: str, request: ImportRequest
) -> Import | None:
    """Accept a copy-image. None: the image is in every store already, so nothing is recorded.

    Raises ImageNotFound, ImportWrongStatus, PolicyForbids, ImageBeingDeleted, ImportEnding,
    ImportInProgress, CopyNeedsStores, UnknownImportStore, StoresConflict, AlreadyInStore,
    QuotaExceeded, UploadingCountExceeded, LimitsUnavailable.
    """

    def acceptable(tx: 'Transaction') -> tuple[Image, list[str]]:
        image = tx.images.get(context, image_id)
        authorize(services, context, tx, image)
        return image, _targets(services, tx, image, request)

    image, _ = services.db.snapshot(acceptable)
    limits = services.quota.limits(image.owner)

    def change(tx: 'Transaction') -> Import | None:
        image, stores = acceptable(tx)
        if not stores:
            return None
        tx.images.lock(image)  # a DELETE comes before, and then there is no image, or after
        plan = _plan(services, tx.locations.primary(image.id), image, stores, request)
        plan = dataclasses.replace(plan, limits=limits)
        reserved = services.quota.reserve_import(tx, image.owner, image.size, plan, copies=True)
        record = acceptance.new(
            services,
            context,
            image,
            Method.COPY_IMAGE,
            plan,
            reserved=reserved,
            retry_of=request.retry_of,
            **acceptance.burden(services, image.size),
        )
        return acceptance.accept(tx, record)

    return acceptance.posted(services, services.db.run(change))


def authorize(services: 'Services', context: RequestContext, tx: 'Transaction', image: Image) -> None:
    """Whether the image, as it is, can be copied by the caller. Raises what start() raises of it.

    In the order of section 9.2 of the reference: the status comes before the right.
    """
    if image.status is not Status.ACTIVE:
        raise errors.ImportWrongStatus(
            status=image.status.value, method=Method.COPY_IMAGE.value, needed=Status.ACTIVE.value
        )
    services.policy.authorize_image(context, rules.COPY_IMAGE, image)
    image.check_uncondemned()
    live = tx.imports.live_of(image.id)
    if live is not None and live.state is ImportState.COMMITTED:
        raise errors.ImportEnding(image_id=image.id, import_id=live.id)
    if live is not None:
        raise errors.ImportInProgress(image_id=image.id, import_id=live.id)


def _targets(services: 'Services', tx: 'Transaction', image: Image, request: ImportRequest) -> list[str]:
    """The stores to copy to; with all_stores those that are left."""
    if not services.stores.multi:
        raise errors.CopyNeedsStores()
    chosen = targets.choose_stores(services, request)
    held = {location.store for location in tx.locations.of_primary(image.id)}
    if not request.all_stores:
        for store in chosen:
            if store in held:
                raise errors.AlreadyInStore(image_id=image.id, store=store)
    return [store for store in chosen if store not in held]


def _plan(
    services: 'Services',
    primary: Representation,
    image: Image,
    stores: list[str],
    request: ImportRequest,
) -> Plan:
    """The primary representation as it is. One digest proves a copy, so the image's own is computed alone."""
    flow = services.conf.import_flow
    known = primary.digests
    algorithm = image.os_hash_algo if image.os_hash_algo in known else next(iter(known), '')
    proof = {algorithm: known[algorithm]} if algorithm else {}
    return Plan(
        disk_format=primary.disk_format,
        container_format=primary.container_format,
        targets=tuple(
            Target(
                store=store,
                disk_format=primary.disk_format,
                representation_id=primary.id,
                location_id=uuidutils.generate_uuid(),
            )
            for store in stores
        ),
        must_succeed=request.must_succeed,
        digests=tuple(proof),
        os_hash_algo=algorithm,
        expected={'size': primary.size, **proof},
        store_attempts=flow.store_attempts,
        backoff=flow.backoff,
        step_events=flow.step_events,
    )
