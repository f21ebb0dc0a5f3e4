"""activate: the commit point. One fenced transaction decides, and whoever wins it is final."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.import_ import ImportState, Plan
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class Activate(Step):
    """Decide over the stores' results and commit the import, its locations, image, quota and events.

    Run again on its own committed import, it returns the recorded result.
    """

    cancellable = False

    def __init__(self, name: str, *, plan: Plan, provides: str) -> None:
        stores = [target.store for target in plan.targets]
        super().__init__(
            name,
            provides=provides,
            rebind={f'result_{number}': f'result:{store}' for number, store in enumerate(stores)},
        )

    def work(
        self, run: Run, commit: Callable[..., dict[str, object]], **results: Mapping[str, object]
    ) -> dict[str, object]:
        ordered = [results[f'result_{number}'] for number in range(len(run.plan.targets))]

        def change(tx: 'Transaction') -> dict[str, object]:
            record = tx.imports.get(run.claim.import_id)
            if record.state is ImportState.COMMITTED:
                return dict(record.result)
            if record.state is not ImportState.RUNNING:
                raise errors.ImportCancelled()
            return commit(tx, run, decide(ordered, must_succeed=run.plan.must_succeed))

        result = run.db.run(change)
        run.moved(ImportState.COMMITTED)
        return result


def decide(results: Sequence[Mapping[str, object]], *, must_succeed: bool) -> Sequence[Mapping[str, object]]:
    """The results to commit with, or the error that reverts. Raises StoreFailed, AllStoresFailed."""
    failed = [result for result in results if result['status'] != 'ok']
    if failed and must_succeed:
        raise errors.StoreFailed(store=failed[0]['store'], reason=failed[0]['message'])
    if len(failed) == len(results):
        raise errors.AllStoresFailed(reasons=' '.join(result['message'] for result in failed))
    return results
