"""notify: the events that activate wrote are on their way."""

from collections.abc import Callable

from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step


class Notify(Step):
    """Wake the sender; it delivers from the outbox, and no step waits for a broker."""

    cancellable = False

    def work(self, run: Run, wake_sender: Callable[[], None]) -> None:
        wake_sender()
