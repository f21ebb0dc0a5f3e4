"""Imports: accepted, watched, cancelled by whoever may."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import (
    AS_SOURCE,
    Claim,
    Import,
    ImportQuery,
    ImportState,
    Method,
    Plan,
    Step,
    Target,
)
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.location import Location
from imagepipe.operations import acceptance, copies, delegation, injection, targets
from imagepipe.operations.terms import Terms
from imagepipe.policies import images as image_rules
from imagepipe.policies import imports as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

#: The status an image must have for each method (reference, section 9.1).
NEEDED = {
    Method.GLANCE_DIRECT: Status.UPLOADING,
    Method.WEB_DOWNLOAD: Status.QUEUED,
    Method.GLANCE_DOWNLOAD: Status.QUEUED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """An import with its steps and locations, as far as the caller may see it.

    waits_for_host: nobody has it, and only workers of this host can run it.
    """

    import_: Import
    steps: tuple[Step, ...]
    locations: tuple[Location, ...]
    source_visible: bool
    waits_for_host: str | None = None


def methods(services: 'Services') -> list[str]:
    """The import methods that are enabled and that can work as this service is configured."""
    known = {method.value for method in Method}
    if services.secrets is None:
        known.discard(Method.WEB_DOWNLOAD)  # its URL could not be kept
    if services.identity is None:
        known.discard(Method.GLANCE_DOWNLOAD)  # its user's rights could not be kept
    return [name for name in services.conf.enabled_import_methods if name in known]


def offered(services: 'Services') -> list[str]:
    """The import methods that clients are told of: none while, for minutes, none has worked."""
    return methods(services) if services.availability.imports_work() else []


def start(
    services: 'Services', context: RequestContext, image_id: str, request: ImportRequest
) -> Import | None:
    """Accept an import: everything it needs is recorded when this returns. None: nothing is to be done.

    Raises ImageNotFound, ImportMethodDisabled, ImportWrongStatus, FormatsNotSetForImport,
    PolicyForbids, ImportInProgress, UnknownImportStore, StoresConflict, SourceInvalid,
    SourceRefused, RemoteImageInvalid, ExpectedRequired, QuotaExceeded, StagedQuotaExceeded,
    UploadingCountExceeded, what Terms.read and copies.start() raise; of Keystone DelegationRefused,
    NotAuthenticated, IdentityUnavailable.
    """
    if request.method not in methods(services):
        raise errors.ImportMethodDisabled(method=request.method)
    if request.method == Method.COPY_IMAGE:
        return copies.start(services, context, image_id, request)

    def acceptable(tx: 'Transaction') -> Image:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, image_rules.MODIFY_IMAGE, image)
        check_image(tx, image, request.method)
        return image

    image = services.db.snapshot(acceptable)
    plan = dataclasses.replace(
        make_plan(services, image, request), **injection.frozen(services, context, request.method)
    )
    if request.method == Method.WEB_DOWNLOAD:
        _check_source(services, request)
    elif request.remote is not None:
        request.remote.check()
    terms = Terms.read(services, context, image)
    plan = terms.frozen(plan)

    def change(tx: 'Transaction', trust_id: str | None = None) -> Import:
        image = acceptable(tx)
        terms.check(image)
        if request.method == Method.GLANCE_DIRECT:
            tx.transfers.hold(image.id)
        importing = tx.images.save(image.to(Status.IMPORTING), expected=image)
        services.quota.moved(tx, image, importing, plan.limits)
        record = _record(services, context, tx, image, request, plan, trust_id)
        tx.notify(Event.IMAGE_UPDATE, image_payload(importing))
        return acceptance.accept(tx, record)

    if request.remote is None:
        return acceptance.posted(services, services.db.run(change))
    with delegation.delegated(services, context) as trust_id:
        record = services.db.run(lambda tx: change(tx, trust_id))
    return acceptance.posted(services, record)


def make_plan(services: 'Services', image: Image, request: ImportRequest) -> Plan:
    """Freeze configuration and request into the plan that the flow will follow."""
    conf = services.conf
    flow = conf.import_flow
    if request.method in flow.expected_required and not set(request.expected) - {'size'}:
        raise errors.ExpectedRequired(method=request.method, algorithms=', '.join(_wanted_digests(conf)))
    digests = dict.fromkeys([*_wanted_digests(conf), *(set(request.expected) - {'size'})])
    remote = request.remote is not None
    return Plan(
        disk_format=AS_SOURCE if remote else image.disk_format,
        container_format=AS_SOURCE if remote else image.container_format,
        targets=_targets(services, image, request),
        must_succeed=request.must_succeed,
        digests=tuple(digests),
        os_hash_algo=conf.hashing_algorithm,
        expected=dict(request.expected),
        decompress=request.method in flow.decompress_methods
        and (remote or image.disk_format in flow.decompress_formats),
        size_cap=conf.image_size_cap,
        max_virtual_size=conf.image_format.max_virtual_size,
        fetch_attempts=flow.fetch_attempts,
        store_attempts=flow.store_attempts,
        restage_attempts=flow.restage_attempts,
        backoff=flow.backoff,
        step_events=flow.step_events,
        keep_failed=conf.staging.keep_failed,
        convert_formats=tuple(flow.convert_formats),
        property_prefixes=tuple(conf.glance_download_properties.extra_properties),
        property_quota=conf.image_property_quota,
    )


def _wanted_digests(conf: object) -> list[str]:
    return ['md5', conf.hashing_algorithm, *conf.import_flow.digests]


def _targets(services: 'Services', image: Image, request: ImportRequest) -> tuple[Target, ...]:
    flow = services.conf.import_flow
    as_it_comes = image.disk_format if request.remote is None else AS_SOURCE
    converted = request.method in flow.convert_methods and (
        request.remote is not None  # the flow decides, when the source has said what it is
        or (image.disk_format in flow.convert_formats and image.container_format == 'bare')
    )
    representations: dict[str, str] = {}
    found = []
    for store in targets.choose_stores(services, request):
        wanted = flow.target_formats.get(store, as_it_comes) if converted else as_it_comes
        representation = representations.setdefault(wanted, uuidutils.generate_uuid())
        found.append(
            Target(
                store=store,
                disk_format=wanted,
                representation_id=representation,
                location_id=uuidutils.generate_uuid(),
            )
        )
    return tuple(found)


def check_image(tx: 'Transaction', image: Image, method: str) -> None:
    """Whether the image, as it is, can be imported. Raises what start() raises of it."""
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
    trust_id: str | None,
) -> Import:
    staged = None
    if request.method == Method.GLANCE_DIRECT:
        staged = tx.transfers.staged(image.id)
        if staged is None:
            raise errors.UploadInProgress(image_id=image.id)
        plan = dataclasses.replace(plan, transfer_id=staged.id, staged_store=staged.store)
    return acceptance.new(
        services,
        context,
        image,
        Method(request.method),
        plan,
        source_url=services.secrets.encrypt(request.uri) if request.uri else None,
        source_shown=services.fetcher.shown(request.uri) if request.uri else None,
        source_image=request.remote,
        trust_id=trust_id,
        staged_host=staged.host if staged else None,
        reserved=services.quota.reserve_import(tx, image.owner, staged.size if staged else None, plan),
        task_input=request.task_input,
        retry_of=request.retry_of,
        **acceptance.burden(services, staged.size if staged else plan.expected.get('size')),
    )


def get(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """One import. Raises ImportNotFound."""

    def look(tx: 'Transaction') -> ImportRecord:
        return records(services, context, tx, [visible(services, context, tx, import_id)])[0]

    return services.db.snapshot(look)


def accepted(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """The import that the caller has just asked for: no right but that is needed to be told of it."""
    return services.db.snapshot(lambda tx: records(services, context, tx, [tx.imports.get(import_id)])[0])


def of_image(
    services: 'Services', context: RequestContext, image_id: str, query: ImportQuery
) -> list[ImportRecord]:
    """A page of the imports of an image that the caller sees, newest first. Raises InvalidMarker."""

    def look(tx: 'Transaction') -> list[ImportRecord]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.GET_IMPORT, image)
        found = tx.imports.search(dataclasses.replace(query, image_id=image_id)) if query.limit else []
        return records(services, context, tx, found)

    return services.db.snapshot(look)


def search(services: 'Services', context: RequestContext, query: ImportQuery) -> list[ImportRecord]:
    """The imports of the caller's project; an administrator's: of all."""
    services.policy.authorize(context, rules.GET_IMPORTS, {'project_id': context.project_id})
    if not context.is_admin and context.project_id is None:
        return []
    if not context.is_admin:
        query = dataclasses.replace(query, owner=context.project_id)

    def look(tx: 'Transaction') -> list[ImportRecord]:
        return records(services, context, tx, tx.imports.search(query))

    return services.db.snapshot(look)


def cancel(services: 'Services', context: RequestContext, import_id: str) -> ImportRecord:
    """Decide that the import is reverted. Raises ImportNotCancellable past its commit point."""

    def change(tx: 'Transaction') -> ImportRecord:
        record = permitted(services, context, tx, import_id, rules.CANCEL_IMPORT)
        if not tx.imports.revert(record.id, ImportState.CANCELLED, errors.ImportCancelled()):
            raise errors.ImportNotCancellable(import_id=record.id, state=record.state.value)
        return records(services, context, tx, [tx.imports.get(record.id)])[0]

    return services.db.run(change)


def release(services: 'Services', context: RequestContext, import_id: str) -> tuple[str, ImportRecord]:
    """Take the import away from the worker that has claimed it, and say who that was; no attempt is counted.

    The worker can write nothing any more and stops the import as soon as it asks. Raises
    ImportNotFound, ImportNotClaimed.
    """

    def change(tx: 'Transaction') -> tuple[str, ImportRecord]:
        record = tx.imports.get(import_id)
        unclaimed = errors.ImportNotClaimed(import_id=record.id, state=record.state.value)
        if record.claim_owner is None:
            raise unclaimed
        claim = Claim(
            import_id=record.id, image_id=record.image_id, owner=record.claim_owner, epoch=record.epoch
        )
        if not tx.imports.release(claim):  # its worker has let it go a moment ago
            raise unclaimed
        return record.claim_owner, records(services, context, tx, [tx.imports.get(import_id)])[0]

    return services.db.run(change)


def visible(services: 'Services', context: RequestContext, tx: 'Transaction', import_id: str) -> Import:
    """The import, for readers of its project, and for whoever sees its image. Raises ImportNotFound."""
    record = tx.imports.get(import_id)
    if owns(context, record) and services.policy.allows(context, rules.GET_IMPORT, target(record)):
        return record
    try:
        image = tx.images.get(context, record.image_id)
        services.policy.authorize_image(context, rules.GET_IMPORT, image)
    except errors.ImageNotFound as error:
        raise errors.ImportNotFound(import_id=import_id) from error
    return record


def permitted(
    services: 'Services', context: RequestContext, tx: 'Transaction', import_id: str, rule: str
) -> Import:
    """The import, for whoever may do this to it. Raises ImportNotFound; PolicyForbids to who only sees it."""
    record = tx.imports.get(import_id)
    if not (owns(context, record) and services.policy.allows(context, rule, target(record))):
        visible(services, context, tx, import_id)
        services.policy.authorize(context, rule, target(record))
    return record


def owns(context: RequestContext, record: Import) -> bool:
    """Whether it is an import of the caller's project, or the caller an administrator."""
    return context.is_admin or (record.owner is not None and record.owner == context.project_id)


def sees_source(services: 'Services', context: RequestContext, record: Import) -> bool:
    """Whether the caller may see what the import reads."""
    return services.policy.allows(context, rules.GET_IMPORT_SOURCE, target(record))


def target(record: Import) -> dict[str, object]:
    """What rules about an import are asked of."""
    return {'project_id': record.owner, 'owner': record.owner, 'image_id': record.image_id}


def records(
    services: 'Services', context: RequestContext, tx: 'Transaction', found: Sequence[Import]
) -> list[ImportRecord]:
    """Imports with their steps and locations, in two statements; in three if one may wait for a host."""
    ids = [record.id for record in found]
    of_steps = tx.steps.of_imports(ids) if ids else {}
    of_locations = tx.locations.of_imports(ids) if ids else {}
    staged = [record.id for record in found if record.live and record.staged_host is not None]
    hosts = tx.bindings.of(staged) if staged else {}
    return [
        ImportRecord(
            import_=record,
            steps=tuple(of_steps[record.id]),
            locations=tuple(of_locations[record.id]),
            source_visible=sees_source(services, context, record),
            waits_for_host=hosts.get(record.id),
        )
        for record in found
    ]
