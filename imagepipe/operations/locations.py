"""Locations of images: added by URL, listed, taken out of a store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import Import, Method, Plan, Target
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.usage import Resource
from imagepipe.domain.validation import LocationRequest
from imagepipe.operations import acceptance, deletion, pending_deletes, places, removals
from imagepipe.operations.terms import Terms
from imagepipe.policies import locations as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.stores.store import Store


def add(services: 'Services', context: RequestContext, image_id: str, request: LocationRequest) -> Import:
    """Accept that the image's data is at a URL. The rest is an import like any other.

    Raises ImageNotFound, LocationWrongStatus, PolicyForbids, FormatsNotSetForImport, InvalidBody,
    ImportInProgress, QuotaExceeded, UploadingCountExceeded, and what places.find() and Terms.read raise.
    """

    def acceptable(tx: 'Transaction') -> Image:
        image = tx.images.get(context, image_id)
        if image.status is not Status.QUEUED:
            raise errors.LocationWrongStatus(status=image.status.value, needed=Status.QUEUED.value)
        services.policy.authorize_image(context, rules.ADD_IMAGE_LOCATION, image)
        return image

    terms = Terms.read(services, context, services.db.read(acceptable))
    store = places.find(services, context, request.url)
    expected = request.expected

    def change(tx: 'Transaction') -> Import:
        image = acceptable(tx)
        terms.check(image)
        if image.missing_formats:
            raise errors.FormatsNotSetForImport(names=', '.join(image.missing_formats))
        plan = terms.frozen(_plan(services, image, store, request, expected))
        services.quota.check_left(tx, image.owner, plan.limits, Resource.SIZE)
        record = acceptance.new(
            services,
            context,
            image,
            Method.LOCATION_IMPORT,
            plan,
            # Where services keep data is told to nobody; a user's own URL he knows, but for its query.
            source_shown=services.fetcher.shown(request.url) if store.read_only else None,
            # Nothing is copied. What is not read either is little work, whatever its size.
            small=not plan.secure_hash,
        )
        importing = tx.images.save(image.to(Status.IMPORTING), expected=image)
        services.quota.moved(tx, image, importing, plan.limits)
        tx.notify(Event.IMAGE_UPDATE, image_payload(importing))
        return acceptance.accept(tx, record, url=request.url, metadata={'store': store.id})

    return acceptance.posted(services, services.db.run(change))


def _plan(
    services: 'Services', image: Image, store: 'Store', request: LocationRequest, expected: dict[str, str]
) -> Plan:
    conf = services.conf
    algorithm = request.os_hash_algo or conf.hashing_algorithm
    target = Target(
        store=store.id,
        disk_format=image.disk_format,
        representation_id=uuidutils.generate_uuid(),
        location_id=uuidutils.generate_uuid(),
    )
    return Plan(
        disk_format=image.disk_format,
        container_format=image.container_format,
        targets=(target,),
        must_succeed=True,
        digests=tuple(dict.fromkeys(('md5', algorithm))),
        os_hash_algo=algorithm,
        expected=expected,
        size_cap=conf.image_size_cap,
        fetch_attempts=conf.http_retries,
        backoff=conf.import_flow.backoff,
        step_events=conf.import_flow.step_events,
        secure_hash=conf.do_secure_hash,
    )


def of_image(services: 'Services', context: RequestContext, image_id: str) -> Sequence[Location]:
    """Where the image's data is, best first. Raises ImageNotFound, PolicyForbids.

    Whoever may not download a deactivated image must not find its data either.
    """

    def look(tx: 'Transaction') -> Sequence[Location]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.FETCH_IMAGE_LOCATION, image)
        if image.status is Status.DEACTIVATED and not context.is_admin:
            return []
        return services.stores.best_first(tx.locations.of_primary(image_id))

    return services.db.snapshot(look)


def delete_from_store(services: 'Services', context: RequestContext, store: str, image_id: str) -> None:
    """Take the image out of one store: condemned, deleted, forgotten, as when an image is deleted.

    Raises StoresNotEnabled, StoreNotConfigured, ImageNotFound, PolicyForbids, ImageBeingDeleted,
    LocationWrongStatus, LastLocation, NotInStore, StoreInUse, StoreKeeps.
    """
    if not services.stores.multi:
        raise errors.StoresNotEnabled()
    if store not in services.stores:
        raise errors.StoreNotConfigured(store=store)

    def change(tx: 'Transaction') -> Sequence[Location]:
        image = tx.images.get(context, image_id)
        for rule in (rules.GET_IMAGE_LOCATION, rules.DELETE_IMAGE_LOCATION):
            services.policy.authorize_image(context, rule, image)
        image.check_uncondemned()
        if image.status is not Status.ACTIVE:
            raise errors.LocationWrongStatus(status=image.status.value, needed=Status.ACTIVE.value)
        found = _in_store(tx, image, store)
        condemn(tx, image, found)
        return found

    conclude(services, image_id, services.db.run(change))


def _in_store(tx: 'Transaction', image: Image, store: str) -> list[Location]:
    """What the image has in a store, in any format, if it can do without."""
    found = [each for each in tx.locations.of_image(image.id, [LocationState.ACTIVE]) if each.store == store]
    held = [location.store for location in tx.locations.of_primary(image.id)]
    # The order of section 10.3: an image in one store only is told so, whichever store is named.
    if set(held) <= {store} or (len(held) == 1 and not found):
        raise errors.LastLocation(image_id=image.id)
    if not found:
        raise errors.NotInStore(image_id=image.id, store=store)
    return found


def condemn(tx: 'Transaction', image: Image, locations: Sequence[Location]) -> None:
    """The locations are on their way out, and two requests never take the last two at once."""
    saved = tx.images.save(image, expected=image)
    pending_deletes.condemn(tx, locations)
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))


def conclude(
    services: 'Services', image_id: str, condemned: Sequence[Location], *, instead: Sequence[Location] = ()
) -> None:
    """Delete the bytes of condemned locations. Raises StoreInUse, StoreKeeps: then they are back.

    instead: what was recorded in their place, and then is not kept; its bytes are left alone.
    """
    removal = removals.remove_bytes(services, condemned)

    def change(tx: 'Transaction') -> None:
        for location in removal.gone:
            deletion.conclude(services, tx, location)
        deletion.restore(tx, image_id, removal)
        if removal.kept:
            _take_back(services, tx, image_id, instead)

    services.db.run(change)
    if removal.kept:
        raise removal.refusal(image_id)


def _take_back(services: 'Services', tx: 'Transaction', image_id: str, recorded: Sequence[Location]) -> None:
    """Forget locations that were recorded a moment ago, unless somebody has condemned them since."""
    freed = deletion.forget(tx, recorded, LocationState.ACTIVE)
    if freed:
        services.quota.release(tx, tx.images.find(image_id).owner, freed)
