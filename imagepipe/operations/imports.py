"""Imports: accepted, watched, cancelled by whoever may."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils
from osprofiler import profiler

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import steps
from imagepipe.domain.event import Event, image_payload, task_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import Import, ImportQuery, ImportState, Method, Plan, Step, Target
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.location import Location, LocationState
from imagepipe.policies import images as image_rules
from imagepipe.policies import imports as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

#: The status an image must have for each method (reference, section 9.1).
NEEDED = {Method.GLANCE_DIRECT: Status.UPLOADING, Method.WEB_DOWNLOAD: Status.QUEUED}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """An import with its steps and locations, as far as the caller may see it."""

    import_: Import
    steps: tuple[Step, ...]
    locations: tuple[Location, ...]
    source_visible: bool


def methods(services: 'Services') -> list[str]:
    """The import methods that are enabled and that can work here."""
    known = {method.value for method in Method}
    if services.secrets is None:
        known.discard(Method.WEB_DOWNLOAD)  # its URL could not be kept
    return [name for name in services.conf.enabled_import_methods if name in known]


def start(services: 'Services', context: RequestContext, image_id: str, request: ImportRequest) -> Import:
    """Accept an import: everything it needs is recorded when this returns.

    Raises ImageNotFound, ImportMethodDisabled, ImportWrongStatus, FormatsNotSetForImport,
    PolicyForbids, ImportInProgress, UnknownImportStore, StoresConflict, SourceInvalid,
    SourceRefused, ExpectedRequired, QuotaExceeded.
    """
    if request.method not in methods(services):
        raise errors.ImportMethodDisabled(method=request.method)

    def acceptable(tx: 'Transaction') -> Image:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, image_rules.MODIFY_IMAGE, image)
        _check_image(tx, image, request.method)
        return image

    image = services.db.read(acceptable)
    plan = make_plan(services, image, request)
    if request.method == Method.WEB_DOWNLOAD:
        _check_source(services, request)

    def change(tx: 'Transaction') -> Import:
        image = acceptable(tx)
        importing = image.to(Status.IMPORTING)
        record, frozen = _record(services, context, tx, image, request, plan)
        tx.images.save(importing, expected=image)
        record = tx.imports.add(record)
        tx.steps.plan(record.id, steps.names(frozen))
        for target in frozen.targets:
            tx.locations.add(_pending(record, target))
        tx.notify(Event.IMAGE_UPDATE, image_payload(importing))
        tx.notify(Event.TASK_CREATE, task_payload(record))
        return record

    return services.db.run(change)


def make_plan(services: 'Services', image: Image, request: ImportRequest) -> Plan:
    """Freeze configuration and request into the plan that the flow will follow."""
    conf = services.conf
    flow = conf.import_flow
    if request.method in flow.expected_required and not set(request.expected) - {'size'}:
        raise errors.ExpectedRequired(method=request.method, algorithms=', '.join(_wanted_digests(conf)))
    digests = dict.fromkeys([*_wanted_digests(conf), *(set(request.expected) - {'size'})])
    return Plan(
        disk_format=image.disk_format,
        container_format=image.container_format,
        targets=_targets(services, image, request),
        must_succeed=request.must_succeed,
        digests=tuple(digests),
        os_hash_algo=conf.hashing_algorithm,
        expected=dict(request.expected),
        decompress=request.method in flow.decompress_methods and image.disk_format in flow.decompress_formats,
        size_cap=conf.image_size_cap,
        max_virtual_size=conf.image_format.max_virtual_size,
        fetch_attempts=flow.fetch_attempts,
        store_attempts=flow.store_attempts,
        restage_attempts=flow.restage_attempts,
        backoff=flow.backoff,
        step_events=flow.step_events,
    )


def _wanted_digests(conf: object) -> list[str]:
    return ['md5', conf.hashing_algorithm, *conf.import_flow.digests]


def _targets(services: 'Services', image: Image, request: ImportRequest) -> tuple[Target, ...]:
    flow = services.conf.import_flow
    converted = (
        request.method in flow.convert_methods
        and image.disk_format in flow.convert_formats
        and image.container_format == 'bare'
    )
    representations: dict[str, str] = {}
    targets = []
    for store in choose_stores(services, request):
        wanted = flow.target_formats.get(store, image.disk_format) if converted else image.disk_format
        representation = representations.setdefault(wanted, uuidutils.generate_uuid())
        targets.append(
            Target(
                store=store,
                disk_format=wanted,
                representation_id=representation,
                location_id=uuidutils.generate_uuid(),
            )
        )
    return tuple(targets)


def choose_stores(services: 'Services', request: ImportRequest) -> Sequence[str]:
    """The stores an import writes to (reference, section 9.2)."""
    stores = services.stores
    if not stores.multi:
        if not request.must_succeed:
            raise errors.InvalidBody(reason="'all_stores_must_succeed' needs several stores")
        return (stores.default,)
    ways = [
        name
        for name, given in (
            ("'all_stores'", request.all_stores),
            ("'stores'", request.stores is not None),
            # openstacksdk names its one store both ways.
            (
                'X-Image-Meta-Store',
                request.store_header is not None and request.stores != (request.store_header,),
            ),
        )
        if given
    ]
    if len(ways) > 1:
        raise errors.StoresConflict(first=ways[0], second=ways[1])
    if request.all_stores:
        return [store_id for store_id, store in stores.items() if not store.read_only]
    chosen = request.stores or (request.store_header or stores.default,)
    for store_id in chosen:
        if store_id not in stores or stores[store_id].read_only:
            raise errors.UnknownImportStore(store=store_id)
    return chosen


def _check_image(tx: 'Transaction', image: Image, method: str) -> None:
    live = tx.imports.live_of(image.id)
    if live is not None:
        raise errors.ImportInProgress(image_id=image.id, import_id=live.id)
    needed = NEEDED[Method(method)]
    if image.status is not needed:
        raise errors.ImportWrongStatus(status=image.status.value, method=method, needed=needed.value)
    if image.missing_formats:
        raise errors.FormatsNotSetForImport(names=', '.join(image.missing_formats))


def _check_source(services: 'Services', request: ImportRequest) -> None:
    if not request.uri:
        raise errors.SourceInvalid(reason="the method web-download needs a 'uri'")
    services.fetcher.check(request.uri)


def _record(
    services: 'Services',
    context: RequestContext,
    tx: 'Transaction',
    image: Image,
    request: ImportRequest,
    plan: Plan,
) -> tuple[Import, Plan]:
    staged = None
    if request.method == Method.GLANCE_DIRECT:
        staged = tx.transfers.staged(image.id)
        if staged is None:
            raise errors.UploadInProgress(image_id=image.id)
        plan = dataclasses.replace(plan, transfer_id=staged.id)
    reserved = services.quota.reserve_import(tx, image.owner, staged.size if staged else None, plan)
    record = Import(
        id=uuidutils.generate_uuid(),
        image_id=image.id,
        owner=image.owner,
        user_id=context.user_id,
        request_id=context.request_id,
        method=request.method,
        state=ImportState.ACCEPTED,
        plan=plan,
        logbook_id=uuidutils.generate_uuid(),
        flow_id=uuidutils.generate_uuid(),
        source_url=services.secrets.encrypt(request.uri) if request.uri else None,
        source_shown=services.fetcher.shown(request.uri) if request.uri else None,
        reserved=reserved,
        result={'stores': {target.store: {'status': 'pending'} for target in plan.targets}},
        trace=_trace(),
    )
    return record, plan


def _pending(record: Import, target: Target) -> Location:
    return Location(
        id=target.location_id,
        image_id=record.image_id,
        representation_id=target.representation_id,
        import_id=record.id,
        store=target.store,
        state=LocationState.PENDING,
    )


def _trace() -> dict[str, str] | None:
    """Where the import's own trace points hang in the request's trace."""
    current = profiler.get()
    return None if current is None else {'base_id': current.get_base_id(), 'parent_id': current.get_id()}


def get(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """One import. Raises ImportNotFound."""

    def look(tx: 'Transaction') -> ImportRecord:
        return _records(services, context, tx, [_visible(services, context, tx, import_id)])[0]

    return services.db.read(look)


def of_image(services: 'Services', context: RequestContext, image_id: str) -> list[ImportRecord]:
    """Every import of an image that the caller sees, newest first."""

    def look(tx: 'Transaction') -> list[ImportRecord]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.GET_IMPORT, image)
        return _records(services, context, tx, tx.imports.of_image(image_id))

    return services.db.read(look)


def search(services: 'Services', context: RequestContext, query: ImportQuery) -> list[ImportRecord]:
    """The imports of the caller's project; an administrator's: of all."""
    if not context.is_admin:
        query = dataclasses.replace(query, owner=context.project_id)
    services.policy.authorize(context, rules.GET_IMPORTS, {'project_id': context.project_id})

    def look(tx: 'Transaction') -> list[ImportRecord]:
        return _records(services, context, tx, tx.imports.search(query))

    return services.db.read(look)


def cancel(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """Decide that the import is reverted. Raises ImportNotCancellable past its commit point."""

    def change(tx: 'Transaction') -> ImportRecord:
        record = _visible(services, context, tx, import_id)
        services.policy.authorize(context, rules.CANCEL_IMPORT, _target(record))
        if not tx.imports.revert(record.id, ImportState.CANCELLED, errors.ImportCancelled()):
            raise errors.ImportNotCancellable(import_id=record.id, state=record.state.value)
        return _records(services, context, tx, [tx.imports.get(record.id)])[0]

    return services.db.run(change)


def _visible(services: 'Services', context: RequestContext, tx: 'Transaction', import_id: str) -> Import:
    """The import, for its project, and for whoever sees its image."""
    record = tx.imports.get(import_id)
    if _own(context, record):
        return record
    try:
        image = tx.images.get(context, record.image_id)
        services.policy.authorize_image(context, rules.GET_IMPORT, image)
    except errors.ImageNotFound as error:
        raise errors.ImportNotFound(import_id=import_id) from error
    return record


def _own(context: RequestContext, record: Import) -> bool:
    return context.is_admin or (record.owner is not None and record.owner == context.project_id)


def _target(record: Import) -> dict[str, object]:
    return {'project_id': record.owner, 'owner': record.owner, 'image_id': record.image_id}


def _records(
    services: 'Services', context: RequestContext, tx: 'Transaction', found: Sequence[Import]
) -> list[ImportRecord]:
    ids = [record.id for record in found]
    of_steps = tx.steps.of_imports(ids) if ids else {}
    of_locations = tx.locations.of_imports(ids) if ids else {}
    return [
        ImportRecord(
            import_=record,
            steps=tuple(of_steps[record.id]),
            locations=tuple(of_locations[record.id]),
            source_visible=services.policy.allows(context, rules.GET_IMPORT_SOURCE, _target(record)),
        )
        for record in found
    ]
