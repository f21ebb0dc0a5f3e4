"""When a step is tried again: declared here, and only for what can pass by itself."""

from collections.abc import Callable

from taskflow import retry
from taskflow.types import failure

from imagepipe import errors
from imagepipe.flows.run import Run

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
        again = (
            len(history) < self._attempts
            and not run.must_stop()
            and all(found.check(*TRANSIENT) for found in failed)
        )
        return retry.RETRY if again else retry.REVERT


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
            return retry.RETRY
        decide(run, failed)
        return retry.REVERT_ALL
