"""The SQL jobboard: live imports are the jobs, and the import's row is the claim.

A TaskFlow jobboard plugin (entry point `imagepipe-sql`). There is no table of postings: an
import is posted by the transaction that accepts it, so none can be lost, doubled or stale.
"""

import datetime
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping

from oslo_utils import timeutils
from taskflow import exceptions, states
from taskflow.jobs import base

from imagepipe import errors
from imagepipe.db import engines
from imagepipe.db.database import REFUSALS, Database
from imagepipe.db.transaction import Transaction
from imagepipe.domain.event import Event, task_payload
from imagepipe.domain.import_ import Claim, Import, ImportState, StepState, Waiting
from imagepipe.flows import registry
from imagepipe.jobs.admission import Admission

LOG = logging.getLogger(__name__)

#: How many unheld imports one look fetches.
PAGE = 50


class ImportJob(base.Job):
    """One import as a job."""

    def __init__(
        self,
        board: 'SQLJobBoard',
        import_id: str,
        flow_version: int,
        *,
        small: bool = False,
        weight: int = 0,
        given_up: bool = False,
    ) -> None:
        super().__init__(board, f'import:{import_id}', uuid=import_id)
        self.flow_version = flow_version
        self.small = small
        self.weight = weight
        self.given_up = given_up
        #: Whether the run had to stop in the middle of a step: that counts as if its worker had died.
        self.interrupted = False
        #: Whether undoing it has ended so many workers that it is not tried again.
        self.worn_out = False
        #: Set by claim().
        self.claim: Claim | None = None
        self.record: Import | None = None

    priority = base.JobPriority.NORMAL

    @property
    def created_on(self) -> datetime.datetime | None:
        """When the import was accepted."""
        return self._record().created_at

    @property
    def last_modified(self) -> datetime.datetime | None:
        """When its record last changed."""
        return self._record().updated_at

    @property
    def state(self) -> str:
        """TaskFlow's word for where the import stands."""
        try:
            if not self._record().live:
                return states.COMPLETE
        except errors.ImportNotFound:
            return states.COMPLETE
        return states.CLAIMED if self.board.find_owner(self) else states.UNCLAIMED

    def _record(self) -> Import:
        return self.board.read(lambda tx: tx.imports.get(self.uuid))

    def expires_in(self) -> float:
        """Not kept on the job: the claim's lease is renewed by the keeper."""
        return -1

    def extend_expiry(self, expiry: float) -> bool:
        """Renew the claim; False when it was lost."""
        held = self.board.write(lambda tx: tx.imports.renew([self.claim], expiry))
        return self.uuid in held


class SQLJobBoard(base.NotifyingJobBoard):
    """conf: `lease` seconds (30), `max_attempts` (3), `unknown_flow_after` seconds (never), and `connection`
    unless `db` is given.
    """

    def __init__(
        self,
        name: str,
        conf: Mapping[str, object],
        persistence: object = None,
        *,
        db: Database | None = None,
        admission: Admission | None = None,
    ) -> None:
        super().__init__(name, conf)
        self._db = db
        self._admission = admission or Admission()
        self._owned = db is None
        self._lease = float(conf.get('lease', 30.0))
        self._max_attempts = int(conf.get('max_attempts', 3))
        self._unknown_after = float(conf.get('unknown_flow_after', math.inf))
        self._never = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a database to ask."""
        return self._db is not None

    def connect(self) -> None:
        """Make the database's engine; it connects when it is first used."""
        if self._db is None:
            url = self._conf['connection']
            self._db = Database(engines.create(url), engines.create(url, reading=True))

    def close(self) -> None:
        """Let go of a database that this board made itself."""
        if self._owned and self._db is not None:
            self._db.close()
            self._db = None

    def register_entity(self, entity: object) -> None:
        """Workers are recorded by the keeper."""

    def read(self, operation: Callable[[Transaction], object]) -> object:
        """Run an operation; a database that is away is a JobFailure, which conductors wait out."""
        return self._translated(self._db.read, operation)

    def write(self, operation: Callable[[Transaction], object]) -> object:
        """As read(), for an operation that writes."""
        return self._translated(self._db.run, operation)

    def _translated(self, call: Callable[..., object], operation: Callable[[Transaction], object]) -> object:
        try:
            return call(operation)
        except (errors.DatabaseUnavailable, *REFUSALS):
            # Anything else would end the loop of the conductor, and nobody would know before its imports end.
            exceptions.raise_with_cause(exceptions.JobFailure, 'The SQL jobboard cannot be used')

    # Jobs.

    def post(self, name: str, book: object = None, details: object = None, priority: object = None) -> None:
        """Imports are posted by being accepted."""
        raise exceptions.JobFailure('An import is posted by the transaction that accepts it')

    def iterjobs(self, only_unclaimed: bool = False, ensure_fresh: bool = False) -> Iterator[ImportJob]:
        """Live imports that nobody holds, in turn; those of a newer flow version are left alone."""
        small_only = self._admission.look()
        found = self.read(
            lambda tx: tx.imports.claimable(
                PAGE,
                registry.FACTORIES,
                host=self._admission.host,
                small_only=small_only,
                unknown_after=self._unknown_after,
            )
        )
        # A run that has lost its claim is done before the same worker begins another of its import.
        at_work = self._admission.at_work()
        return iter([self._job(waiting) for waiting in found if waiting.id not in at_work])

    def _job(self, waiting: Waiting) -> ImportJob:
        return ImportJob(
            self,
            waiting.id,
            waiting.flow_version,
            small=waiting.small,
            weight=waiting.weight,
            given_up=waiting.given_up,
        )

    def wait(self, timeout: float | None = None) -> Iterator[ImportJob]:
        """Wait until there is a job. Raises taskflow's NotFound after `timeout` seconds."""
        watch = timeutils.StopWatch(duration=timeout).start()
        while not watch.expired():
            found = list(self.iterjobs())
            if found:
                return iter(found)
            self._never.wait(0.1)
        raise exceptions.NotFound('No job arrived in time')

    @property
    def job_count(self) -> int:
        """How many imports have no end yet."""
        return self.read(lambda tx: tx.imports.count_live())

    def find_owner(self, job: ImportJob) -> str | None:
        """Who holds the import."""
        return self.read(lambda tx: tx.imports.owner_of(job.uuid))

    @base.check_who
    def claim(self, job: ImportJob, who: str) -> None:
        """Take the import. Raises UnclaimableJob, NotFound."""
        if not (registry.knows(job.flow_version) or job.given_up):
            raise exceptions.UnclaimableJob(f'{job} needs a newer worker')
        try:
            taken = self.write(lambda tx: self._take(tx, job, who))
        except (KeyError, TypeError, ValueError) as error:  # a record that no release has written
            LOG.error('The record of import %s cannot be read, and others go on: %r', job.uuid, error)
            raise exceptions.UnclaimableJob(f'{job} cannot be read') from error
        if taken is None:
            raise exceptions.UnclaimableJob(f'{job} is held by another worker, has ended or must wait')
        job.claim, job.record = taken

    def _take(self, tx: Transaction, job: ImportJob, who: str) -> tuple[Claim, Import] | None:
        import_id = job.uuid
        if not self._admission.admits(tx, small=job.small, weight=job.weight):
            return None
        taken = tx.imports.claim(import_id, who, self._lease)
        if taken is None:
            return None
        claim, crashed = taken
        if crashed:
            tx.steps.crashed(import_id)
        exhausted = tx.steps.exhausted(import_id, self._max_attempts)
        if exhausted is not None:
            # A committed import stays committed, and one that is reverted is so already.
            reverts = tx.imports.revert(
                import_id,
                ImportState.FAILED,
                step=exhausted.name,
                error=errors.ImportAttemptsExhausted(step=exhausted.name, attempts=exhausted.crashes),
            )
            job.worn_out = not reverts and exhausted.state is StepState.REVERTING
        if claim.epoch > 1:
            tx.steps.resumed(import_id, who)
        if tx.imports.to(import_id, [ImportState.ACCEPTED], ImportState.RUNNING):
            tx.notify(Event.TASK_PROCESSING, task_payload(tx.imports.get(import_id)))
        return claim, tx.imports.get(import_id)

    @base.check_who
    def consume(self, job: ImportJob, who: str) -> None:
        """The import has ended; its row was released with its end."""
        self.notifier.notify(base.REMOVAL, {'job': job})

    @base.check_who
    def abandon(self, job: ImportJob, who: str) -> None:
        """Give the import back for anybody to take. Raises JobFailure when it was lost."""

        def give_back(tx: Transaction) -> bool:
            return (tx.imports.expire if job.interrupted else tx.imports.release)(job.claim)

        if not self.write(give_back):
            raise exceptions.JobFailure(f'{job} is not held by {who} any more')

    @base.check_who
    def trash(self, job: ImportJob, who: str) -> None:
        """No import is thrown away: it is given back."""
        self.abandon(job, who)
