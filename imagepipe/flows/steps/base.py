"""The base of every step: what TaskFlow does not do for a step is done here, once."""

import contextlib
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from typing import ClassVar

from taskflow import task

from imagepipe import errors
from imagepipe.domain.import_ import ImportState
from imagepipe.flows.run import Run

LOG = logging.getLogger(__name__)


class Step(task.Task):
    """A verb of a flow. Subclasses write `work` and, where they leave something, `undo`.

    Both take `run`; `work` takes data of other steps, and both take resources, by the names of
    their arguments. `rebind` maps an argument to another symbol. What `work` returns is plain
    JSON. `undo` is total, may run twice, and after a death in the middle of `work`.
    """

    #: Whether cancellation is heeded before the step starts; not past the commit point.
    cancellable: ClassVar[bool] = True

    def __init__(
        self, name: str, *, provides: str | None = None, rebind: Mapping[str, str] | None = None
    ) -> None:
        rebind = dict(rebind or {})
        super().__init__(
            name=name,
            provides=provides,
            requires=[argument for argument in _arguments(self.work) if argument not in rebind],
            rebind=rebind,
            revert_requires=_arguments(self.undo),
            revert_rebind={'run': 'run'},
            auto_extract=False,
        )

    def work(self, run: Run) -> object:
        """Do it. May run again after any part of it was done, maybe while a zombie still works."""
        raise NotImplementedError

    def undo(self, run: Run) -> None:
        """Remove what `work` may have left, of every epoch."""

    def execute(self, run: Run, **kwargs: object) -> object:
        """Run `work` under a trace point; its error is recorded with the step."""
        with run.logged(), run.working(self.name), self._traced(run, 'execute'):
            try:
                with run.let_go():
                    if self.cancellable:
                        run.check()
                    return self._strict(self.work(run=run, **kwargs))
            except errors.ImagepipeError as error:
                # One that stops with its run has not failed: whoever runs the import next runs it again.
                if not run.lost.is_set():
                    run.failed(self.name, error)
                # TaskFlow records causes with their arguments, which need not be JSON.
                raise error from None
            except Exception:
                if not run.is_ours():
                    # Whoever has the import now may have removed what this worker still read.
                    raise errors.ClaimLost(import_id=run.claim.import_id) from None
                LOG.exception('Step %s of import %s met a defect', self.name, run.claim.import_id)
                defect = errors.ImagepipeError()
                run.failed(self.name, defect)
                raise defect from None
            finally:
                if run.lost.is_set():
                    run.discard_unrecorded(self.name)

    def revert(self, run: Run, **kwargs: object) -> None:
        """Run `undo`; it never raises: what it could not remove is the sweeper's."""
        kwargs.pop('result', None)
        kwargs.pop('flow_failures', None)
        if run.state is ImportState.COMMITTED or run.lost.is_set():
            return
        with run.logged(), run.working(self.name), self._traced(run, 'revert'):
            try:
                self.undo(run=run, **kwargs)
            except Exception as error:  # noqa: BLE001  an edge: a revert that raises strands all before it
                LOG.warning(
                    'Undoing step %s of import %s left something for the sweeper: %r',
                    self.name,
                    run.claim.import_id,
                    error,
                )

    def _strict(self, result: object) -> object:
        """Every database takes strict JSON; SQLite would take more and hide the defect."""
        try:
            return json.loads(json.dumps(result, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise errors.StepResultInvalid(step=self.name) from error

    def _traced(self, run: Run, does: str) -> contextlib.AbstractContextManager[None]:
        """A trace point in the trace of the request, if that had one."""
        if run.tracing is None:
            return contextlib.nullcontext()
        return run.tracing.continued(
            run.record.trace,
            'step',
            step=self.name,
            does=does,
            import_id=run.claim.import_id,
            worker=run.claim.owner,
        )


def _arguments(function: Callable[..., object]) -> list[str]:
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
