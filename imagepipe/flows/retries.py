"""When a step is tried again: declared here, and only for what can pass by itself."""

import logging
from collections.abc import Callable

from taskflow import retry
from taskflow.types import failure

from imagepipe import errors
from imagepipe.flows.run import Run

LOG = logging.getLogger(__name__)

#: Errors after which the same step may succeed by itself.
TRANSIENT = tuple(error for error in errors.REGISTRY.values() if error.transient)


def last_failures(history: retry.History) -> list[failure.Failure]:
    """The failures of the latest attempt."""
    return list(history[-1][1].values()) if len(history) else []


class Attempts(retry.Retry):
    """Up to `attempts` tries of what it wraps, for transient errors; then the outer retry decides.

    Provides the number of the attempt, from 1.
    """

    def __init__(self, name: str, *, attempts: int, provides: str) -> None:
        super().__init__(name=name, provides=provides)
        self._attempts = attempts

    def execute(self, history: retry.History, run: Run) -> int:
        """The number of this attempt."""
        return len(history) + 1

    def on_failure(self, history: retry.History, run: Run) -> str:
        """RETRY while the error is transient and tries are left; REVERT defers to the outer retry."""
        failed = last_failures(history)
        passes = all(found.check(*TRANSIENT) for found in failed)
        again = len(history) < self._attempts and not run.must_stop() and passes
        if not run.must_stop():
            self._log(run, len(history), failed, again=again, passes=passes)
        return retry.RETRY if again else retry.REVERT

    def _log(
        self, run: Run, attempt: int, failed: list[failure.Failure], *, again: bool, passes: bool
    ) -> None:
        step = self.name.removeprefix('retry:')
        error = run.error_of(step)
        if again:
            then = f'again in {run.back_off_before(attempt + 1):.1f} s'
        else:
            then = 'no attempt is left' if passes else 'it is not tried again'
        LOG.warning(
            'Step %s of import %s failed in attempt %s of %s with %s: %s; %s',
            step,
            run.claim.import_id,
            attempt,
            self._attempts,
            *(('?', failed[0].exception_str) if error is None else (error.code, error.message)),
            then,
        )


class Restage(retry.Retry):
    """The outer retry: a lost staging area is answered by staging again, all else by reverting all.

    It records the decision to revert by the compare-and-set that cancel and delete use too.
    """

    def __init__(self, name: str, *, attempts: int, rereadable: bool) -> None:
        super().__init__(name=name)
        self._attempts = attempts if rereadable else 1

    def execute(self, history: retry.History, run: Run, decide: Callable[..., None]) -> int:
        """The number of this attempt."""
        return len(history) + 1

    def on_failure(self, history: retry.History, run: Run, decide: Callable[..., None]) -> str:
        """RETRY a lost staging area; else record the failure and REVERT_ALL."""
        failed = last_failures(history)
        lost = any(found.check(errors.StagingLost) for found in failed)
        if lost and len(history) < self._attempts and not run.must_stop():
            LOG.warning('What import %s had staged is lost; it starts over', run.claim.import_id)
            return retry.RETRY
        decide(run, failed)
        return retry.REVERT_ALL
