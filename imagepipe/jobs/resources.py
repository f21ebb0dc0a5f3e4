"""What the steps of a run are given: resources by name, made of the services' values."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from taskflow.types import failure

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.transfer import Transfer
from imagepipe.flows.judging import Judge
from imagepipe.flows.run import Run
from imagepipe.jobs import ending
from imagepipe.jobs.rooms import Rooms

if TYPE_CHECKING:
    from imagepipe.services import Services


def build(services: 'Services', wake_sender: Callable[[], None]) -> Mapping[str, object]:
    """The resources of every run in this process; `run` itself comes with each engine."""
    rooms = Rooms(services.quota)

    def commit(tx: Transaction, run: Run, results: Sequence[Mapping[str, object]]) -> dict[str, object]:
        return ending.commit(tx, run, results, rooms)

    def source(run: Run, *, offset: int = 0, validator: str | None = None) -> object:
        url = services.secrets.decrypt(run.record.source_url)
        return services.fetcher.open(
            url, offset=offset, validator=validator, cancelled=run.must_stop, limit=run.plan.size_cap
        )

    return {
        'intake': services.intake,
        'stores': services.stores,
        'judge': Judge(services.inspection_rules),
        'qemu_img': services.qemu_img,
        'unpack': services.unpack,
        'rooms': rooms,
        'source': source,
        'commit': commit,
        'decide': decide,
        'wake_sender': wake_sender,
        'clear_staging': lambda run: clear_staging(services, run),
    }


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


def clear_staging(services: 'Services', run: Run) -> None:
    """Remove everything that the import, or the client for it, staged. Raises StagingUnavailable."""
    staging = services.staging
    for name in list(staging.names(f'{run.claim.image_id}.{run.claim.import_id}.')):
        staging.discard(name)
    upload = run.db.read(lambda tx: _upload(tx, run))
    if upload is not None:
        staging.discard(upload.object_name)


def _upload(tx: Transaction, run: Run) -> Transfer | None:
    """What the client staged for the import; a plan that cannot be read does not hide it."""
    if run.plan is None:
        return tx.transfers.staged(run.claim.image_id)
    return tx.transfers.get(run.plan.transfer_id) if run.plan.transfer_id is not None else None
