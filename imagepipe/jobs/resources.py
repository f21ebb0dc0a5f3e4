"""What the steps of a run are given: resources by name, made of the services' values."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from taskflow.types import failure

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import ImportState, Method
from imagepipe.domain.remote import Description
from imagepipe.domain.transfer import Transfer
from imagepipe.flows.judging import Judge
from imagepipe.flows.run import Run
from imagepipe.jobs import commits, ending
from imagepipe.jobs.rooms import Rooms

if TYPE_CHECKING:
    from imagepipe.services import Services
    from imagepipe.sources.regions import ImageService


#: What is made true at the commit point, where it is not the commit of an image that got its data.
_COMMITS = {Method.COPY_IMAGE: commits.copied, Method.LOCATION_IMPORT: commits.located}


def build(services: 'Services', wake_sender: Callable[[], None]) -> Mapping[str, object]:
    """The resources of every run in this process; `run` itself comes with each engine."""
    rooms = Rooms(services.quota, host=services.staging.host)

    def commit(tx: Transaction, run: Run, results: Sequence[Mapping[str, object]]) -> dict[str, object]:
        return _COMMITS.get(run.record.method, ending.commit)(tx, run, results, rooms)

    def image_service(run: Run) -> 'ImageService':
        if services.regions is None:
            raise errors.IdentityUnavailable()
        source = run.remote
        return services.regions.service(run.record.trust_id, region=source.region, interface=source.interface)

    def source(run: Run, *, offset: int = 0, validator: str | None = None) -> object:
        if run.plan.staged_store is not None:
            return _staged_object(services, run)
        if run.remote is not None:
            return image_service(run).open(
                run.remote.image_id,
                offset=offset,
                unchanging=run.remote.found.unchanging,
                cancelled=run.must_stop,
                limit=run.plan.size_cap,
            )
        url = services.secrets.decrypt(run.record.source_url)
        return services.fetcher.open(
            url, offset=offset, validator=validator, cancelled=run.must_stop, limit=run.plan.size_cap
        )

    def describe(run: Run) -> Description:
        document = image_service(run).describe(run.remote.image_id, cancelled=run.must_stop)
        found = Description.read(document, run.plan.property_prefixes)
        _check_formats(services.conf.image_format, found)
        return found

    return {
        'intake': services.intake,
        'stores': services.stores,
        'judge': Judge(services.inspection_rules),
        'qemu_img': services.qemu_img,
        'unpack': services.unpack,
        'rooms': rooms,
        'signatures': services.signatures,
        'source': source,
        'describe': describe,
        'commit': commit,
        'decide': decide,
        'wake_sender': wake_sender,
        'clear_staging': lambda run: clear_staging(services, run),
    }


def _staged_object(services: 'Services', run: Run) -> object:
    """What the client has staged in a store. Raises StagingLost, and what the store raises."""
    upload = run.db.read(lambda tx: tx.transfers.get(run.plan.transfer_id))
    lost = errors.StagingLost(image_id=run.claim.image_id)
    if upload is None:
        raise lost
    return services.intake.staged_object(
        upload.url,
        store_id=upload.store,
        size=upload.size,
        md5=upload.digests['md5'],
        lost=lost,
        cancelled=run.must_stop,
    )


def _check_formats(known: object, found: Description) -> None:
    """The formats are those that images may have here. Raises RemoteImageUnusable."""
    for name, values in (('disk_format', known.disk_formats), ('container_format', known.container_formats)):
        if getattr(found, name) not in values:
            raise errors.RemoteImageUnusable(reason=f'no image here may have its {name}')


def decide(run: Run, failed: Sequence[failure.Failure]) -> None:
    """The outer retry reverts: record it by the compare-and-set that cancel uses too.

    Raises ImportNotCancellable when the import is committed: then nothing may be reverted.
    """
    # Other steps may have failed at the same time with what would have been tried again.
    classes = {next(iter(found)) for found in failed}
    step, error = run.last_error(classes) or (None, _remembered(failed))

    def change(tx: Transaction) -> ImportState:
        if not isinstance(error, errors.ImportCancelled):
            failed_in = step or tx.steps.failed(run.claim.import_id, error.code)
            tx.imports.revert(run.claim.import_id, ImportState.FAILED, error, step=failed_in)
        return tx.imports.get(run.claim.import_id).state

    with run.let_go():
        state = run.db.run(change)
    run.moved(state)
    if state is ImportState.COMMITTED:
        raise errors.ImportNotCancellable(import_id=run.claim.import_id, state=state.value)


def _remembered(failed: Sequence[failure.Failure]) -> errors.ImagepipeError:
    """The error of a step that failed in another process, as far as TaskFlow kept it."""
    known = {f'{error.__module__}.{error.__qualname__}': error for error in errors.REGISTRY.values()}
    for found in failed:
        for name in found:  # the class itself first, then what it is derived from
            if name in known:
                return errors.Recorded(code=known[name].code, message=found.exception_str)
    return errors.ImagepipeError()


def clear_staging(services: 'Services', run: Run) -> bool:
    """Remove everything that the import staged, and what the client did unless it is kept.

    False when the client's data is on another host, whose sweeper removes it. Raises StagingUnavailable.
    """
    staging = services.staging
    for name in list(staging.names(f'{run.claim.image_id}.{run.claim.import_id}.')):
        staging.discard(name)
    upload = None if _keeps_upload(run) else run.db.read(lambda tx: _upload(tx, run))
    if upload is None:
        return True
    services.intake.discard(upload.object_name, store_id=upload.store, staged=True)
    return upload.reachable_from(services.host)


def _keeps_upload(run: Run) -> bool:
    if run.plan is None or not run.plan.keep_failed:
        return False
    return run.db.run(lambda tx: ending.keeps_upload(tx, tx.imports.get(run.claim.import_id)))


def _upload(tx: Transaction, run: Run) -> Transfer | None:
    """What the client staged for the import; a plan that cannot be read does not hide it."""
    if run.plan is None:
        return tx.transfers.staged(run.claim.image_id)
    return tx.transfers.get(run.plan.transfer_id) if run.plan.transfer_id is not None else None
