"""A run: one worker's execution of one import, as its steps see it.

The steps talk to the run, the keeper thread (jobs/keeping.py) talks to the run, and nobody
else has to know about threads: it is all in here.
"""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from oslo_context import context

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain import names
from imagepipe.domain.import_ import Claim, Import, ImportState, Plan
from imagepipe.domain.remote import RemoteImage

LOG = logging.getLogger(__name__)

#: The longest pause before a step is tried again, in seconds.
MAX_BACK_OFF = 300.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """Bytes done, and to do where known."""

    done: int
    total: int | None


class Run:
    """Claim, plan, progress and cancellation of one import in this process."""

    def __init__(self, record: Import, claim: Claim, db: object, *, tracing: object = None) -> None:
        self.record = record
        #: What continues the request's trace; None where tracing is off.
        self.tracing = tracing
        self.remote = record.source_image
        self.claim = claim
        #: The fenced database: what it runs changes nothing once the claim is lost.
        self.db = db
        self.state = record.state
        #: It must not go on, and no more of it is recorded: the claim is another's, or nobody can tell.
        self.lost = threading.Event()
        #: Whether that is because the database was away.
        self.adrift = False
        self.cancelled = threading.Event()
        #: Its end is being written: losing the claim now means nothing.
        self.ended = False
        self._lock = threading.Lock()
        self.taken = time.monotonic()
        self._active: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._progress: dict[str, Progress] = {}
        self._unwritten: set[str] = set()
        self._errors: dict[str, errors.ImagepipeError] = {}
        self._discards: dict[str, Callable[[], None]] = {}

    # For the steps.

    @property
    def plan(self) -> Plan | None:
        """The import's plan, completed by what a source in another region said of itself."""
        return None if self.record.plan is None else self.record.plan.of(self.remote)

    @property
    def host(self) -> str:
        """The host that this runs on."""
        return self.claim.owner.partition(':')[0]

    def described(self, remote: RemoteImage) -> None:
        """The source has said what it is, and that was recorded."""
        self.remote = remote

    def object_name(self, part: str, *, epoch: int | None = None) -> str:
        """The name under which this claim keeps `part`; the claim's epoch was committed before."""
        return names.object_name(self.claim.image_id, self.claim.import_id, epoch or self.claim.epoch, part)

    def object_names(self, part: str) -> list[str]:
        """The names that every claim up to this one may have written `part` to."""
        return [self.object_name(part, epoch=epoch) for epoch in range(1, self.claim.epoch + 1)]

    def check(self) -> None:
        """Raise ClaimLost or ImportCancelled if this run must stop."""
        if self.lost.is_set():
            raise errors.ClaimLost(import_id=self.claim.import_id)
        if self.cancelled.is_set():
            raise errors.ImportCancelled()

    @contextlib.contextmanager
    def let_go(self) -> Iterator[None]:
        """The run must not go on once the claim is lost within, or the database cannot be used."""
        try:
            yield
        except (errors.ClaimLost, errors.DatabaseUnavailable) as error:
            # Other steps are told only that it must stop.
            self.adrift = self.adrift or isinstance(error, errors.DatabaseUnavailable)
            self.lost.set()
            raise

    def is_ours(self) -> bool:
        """Whether the claim is held at this moment; not for all that the database can say, if it is away."""
        with contextlib.suppress(errors.ClaimLost, errors.DatabaseUnavailable), self.let_go():
            self.db.run(lambda _tx: None)
        return not self.lost.is_set()

    def must_stop(self) -> bool:
        """Whether check() would raise."""
        return self.lost.is_set() or self.cancelled.is_set()

    def pause(self, seconds: float) -> None:
        """Wait in a step's own thread; ends early, raising, when the run must stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.cancelled.wait(min(left, 0.2))
            self.check()

    def back_off(self, attempt: int) -> None:
        """Wait before the attempt of this number, longer before each further one; raises as pause()."""
        self.pause(self.back_off_before(attempt))

    def back_off_before(self, attempt: int) -> float:
        """Seconds between the attempt of this number and the one before."""
        return min(MAX_BACK_OFF, self.plan.backoff * 2 ** (attempt - 2)) if attempt > 1 else 0.0

    @contextlib.contextmanager
    def working(self, step: str) -> Iterator[None]:
        """This thread works at the step, or undoes it.

        Its record does not say so: it has one before its turn comes, and from whoever began it.
        """
        with self._lock:
            self._active[step] = self._since[step] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._active.pop(step, None)
                self._since.pop(step, None)

    def sign(self, step: str) -> None:
        """The step is alive."""
        with self._lock:
            if step in self._active:
                self._active[step] = time.monotonic()

    def progress(self, step: str, done: int, total: int | None = None) -> None:
        """The step has moved this many bytes; raises if the run must stop.

        Cheap: written to the database by the keeper, about once a second.
        """
        self.check()
        with self._lock:
            self._progress[step] = Progress(done, total)
            self._unwritten.add(step)
        self.sign(step)

    def discards(self, step: str, remove: Callable[[], None]) -> None:
        """What removes the objects of this very epoch, should the claim be lost in this step."""
        with self._lock:
            self._discards[step] = remove

    def failed(self, step: str, error: errors.ImagepipeError) -> None:
        """The step has failed; the error is recorded with its state."""
        with self._lock:
            self._errors.pop(step, None)  # the latest stands last
            self._errors[step] = error

    # For persistence, keeper and conductor.

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """Log lines of this thread carry the request id of the import, and the import's id."""
        before = context.get_current()
        RequestContext(
            request_id=self.record.request_id,
            project_id=self.record.owner,
            resource_uuid=self.claim.import_id,
            overwrite=True,
        )
        try:
            yield
        finally:
            if before is not None:
                before.update_store()
            else:
                context._request_store.__dict__.pop('context', None)

    def entered(self, step: str) -> None:
        """The step's start was recorded."""
        with self._lock:
            self._progress.pop(step, None)
            self._errors.pop(step, None)

    def recording(self, step: str) -> Callable[[], None]:
        """The step's success is about to be recorded: from now on its results may be the import's.

        Whoever is frozen, or loses the database, before it has an answer does not know whether they
        are, and removes nothing. Returns what is to be called when the record was refused for certain.
        """
        with self._lock:
            remove = self._discards.pop(step, None)

        def refused() -> None:
            if remove is not None:
                self.discards(step, remove)

        return refused

    def left(self, step: str) -> None:
        """The step's end was recorded: its results are the import's, whoever runs it."""
        with self._lock:
            self._unwritten.discard(step)
            self._discards.pop(step, None)

    def last_progress(self, step: str) -> tuple[int, int | None] | None:
        """What the step last said."""
        with self._lock:
            found = self._progress.get(step)
        return None if found is None else (found.done, found.total)

    def error_of(self, step: str) -> errors.ImagepipeError | None:
        """The error that the step failed with in this process."""
        with self._lock:
            return self._errors.get(step)

    def last_error(self, classes: Collection[str] = ()) -> tuple[str, errors.ImagepipeError] | None:
        """The latest error of any step, and the step; of these classes (module.name) if some are given."""
        with self._lock:
            found = list(reversed(self._errors.items()))
        wanted = (each for each in found if not classes or _class_name(each[1]) in classes)
        return next(wanted, None)

    def take_progress(self) -> Mapping[str, tuple[int, int | None]]:
        """Progress that was not written yet."""
        with self._lock:
            taken = {
                step: (self._progress[step].done, self._progress[step].total) for step in self._unwritten
            }
            self._unwritten.clear()
        return taken

    def stuck(self, after: float) -> str | None:
        """A step that has given no sign for so many seconds."""
        limit = time.monotonic() - after
        with self._lock:
            return next((step for step, signed in self._active.items() if signed < limit), None)

    def at_work(self) -> list[tuple[str, float, float]]:
        """The steps that run: for how many seconds, and for how many without a sign."""
        now = time.monotonic()
        with self._lock:
            return [(step, now - self._since[step], now - signed) for step, signed in self._active.items()]

    def moved(self, state: ImportState) -> None:
        """The import's state as the database has it now."""
        self.state = state
        if state is ImportState.REVERTING:
            self.cancelled.set()

    def discard_unrecorded(self, step: str | None = None) -> None:
        """The claim was lost: remove what steps at work wrote under this epoch, and no more.

        Of one step, or of all. What a step recorded before belongs to the import's next runner.
        A step that is still at work does it again at its end: it may write until then.
        """
        with self._lock:
            chosen = [step] if step is not None else list(self._discards)
            removals = [self._discards[name] for name in chosen if name in self._discards]
        for remove in removals:
            try:
                remove()
            except errors.ImagepipeError as error:
                LOG.warning(
                    'Import %s was lost, and what this worker wrote is left to the sweeper: %s',
                    self.claim.import_id,
                    error,
                )


def _class_name(error: errors.ImagepipeError) -> str:
    return f'{type(error).__module__}.{type(error).__qualname__}'
