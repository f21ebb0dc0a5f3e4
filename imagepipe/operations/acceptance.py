"""Accepting an import, of whatever kind: the record is complete before anybody is told."""

from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from imagepipe.context import RequestContext
from imagepipe.domain import steps
from imagepipe.domain.event import Event, task_payload
from imagepipe.domain.image import Image
from imagepipe.domain.import_ import FLOWS, FROM_STORE, GUARDED, Import, ImportState, Method, Plan
from imagepipe.domain.location import Location, LocationState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def new(
    services: 'Services',
    context: RequestContext,
    image: Image,
    method: Method,
    plan: Plan,
    **fields: object,
) -> Import:
    """The record of an import by this plan, not yet in the database."""
    return Import(
        id=uuidutils.generate_uuid(),
        image_id=image.id,
        owner=image.owner,
        user_id=context.user_id,
        request_id=context.request_id,
        method=method,
        state=ImportState.ACCEPTED,
        plan=plan,
        flow_version=FLOWS[_recipe(method, plan)],
        logbook_id=uuidutils.generate_uuid(),
        flow_id=uuidutils.generate_uuid(),
        result={'stores': {target.store: {'status': 'pending'} for target in plan.targets}},
        trace=services.tracing and services.tracing.here(),
        **fields,
    )


def _recipe(method: Method, plan: Plan) -> str:
    if plan.staged_store is not None:
        return FROM_STORE
    return GUARDED if plan.guarded and method in (Method.GLANCE_DIRECT, Method.WEB_DOWNLOAD) else method


def burden(services: 'Services', size: int | None) -> dict[str, object]:
    """The fields of an import whose data has this size; None: nobody knows yet, so it may be a big one."""
    small = size is not None and size <= services.conf.import_flow.small
    return {'weight': size or 0, 'small': small}


def accept(tx: 'Transaction', record: Import, **location: object) -> Import:
    """Record it with its steps and its locations, which have these fields too. Raises ImportInProgress."""
    record = tx.imports.add(record)
    tx.steps.plan(record.id, steps.names(record.plan, record.flow_version))
    for target in record.plan.targets:
        tx.locations.add(
            Location(
                id=target.location_id,
                image_id=record.image_id,
                representation_id=target.representation_id,
                import_id=record.id,
                store=target.store,
                state=LocationState.PENDING,
                **location,
            )
        )
    tx.notify(Event.TASK_CREATE, task_payload(record))
    return record


def posted(services: 'Services', record: Import | None) -> Import | None:
    """The record, told to the external jobboard if there is one: after the commit, and nobody waits."""
    if services.poster is not None and record is not None:
        services.poster.post(record.id)
    return record
