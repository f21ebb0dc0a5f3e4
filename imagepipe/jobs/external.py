"""External jobboards: TaskFlow's own on Redis and on ZooKeeper, which wake workers up.

A posting names an import and says nothing else: the import's row is the only authority. Of TaskFlow's
boards only posting, looking and taking away are used; their order, their claims and the expiry of
those decide nothing here.
"""

import contextlib
import dataclasses
import importlib
import itertools
from collections.abc import Iterator
from typing import ClassVar, Protocol

from oslo_utils import uuidutils
from taskflow import exceptions
from taskflow.jobs import base

from imagepipe import errors

#: How many postings one look takes in: asking for the state of each is a request.
PAGE = 50


class BoardUnavailable(Exception):
    """The external board cannot be used at the moment."""


@dataclasses.dataclass(frozen=True)
class Posting:
    """What stands on the board. import_id: None where it cannot be read."""

    id: str
    import_id: str | None
    job: base.Job


class Driver(Protocol):
    """One of TaskFlow's boards with its client: what differs between them."""

    #: What the client raises and TaskFlow lets through.
    failures: ClassVar[tuple[type[Exception], ...]]
    board: base.JobBoard

    def connect(self) -> None:
        """Connect, within the timeout."""

    def close(self) -> None:
        """Let go, whatever is connected."""

    def wait(self, seconds: float) -> Iterator[base.Job]:
        """The jobs, once there are some. Raises NotFound when there are none."""

    def claim(self, job: base.Job, who: str) -> None:
        """Take a job, for a moment."""

    def tidy(self) -> None:
        """Remove what TaskFlow does not read and leaves there."""

    def clear(self) -> None:
        """Remove everything."""


#: The module of each driver, and the library that it needs.
_DRIVERS = {
    'redis': ('redis_driver', 'redis'),
    'rediss': ('redis_driver', 'redis'),
    'zookeeper': ('zookeeper_driver', 'kazoo'),
}


class ExternalBoard:
    """One process's connection to a board, for one thread; nothing is connected before connect().

    Each method raises BoardUnavailable; what is connected then has to be closed. timeout: seconds that
    the server has to answer. look: seconds between two looks where it has to be asked.
    """

    def __init__(self, url: str, *, namespace: str, timeout: float, look: float) -> None:
        """Raises ConfigurationInvalid for a URL that names no board of ours."""
        scheme, _, rest = url.partition('://')
        if scheme not in _DRIVERS or not rest:
            raise errors.ConfigurationInvalid(
                reason=f'[jobboard] connection must begin with one of {", ".join(_DRIVERS)} and ://'
            )
        module, library = _DRIVERS[scheme]
        try:
            self._drivers = importlib.import_module(f'imagepipe.jobs.{module}')
        except ImportError as error:
            raise errors.ConfigurationInvalid(
                reason=f"[jobboard] connection needs the library '{library}'"
            ) from error
        self._url = url
        self._options = {'namespace': namespace, 'timeout': timeout, 'look': look}
        self._driver: Driver | None = None
        try:
            self._drivers.check(url)
        except (ValueError, TypeError):  # it would show a part of the password
            raise errors.ConfigurationInvalid(
                reason='[jobboard] connection cannot be read; characters of a password that mean something '
                'in a URL are written as %XX, such as %2F for a slash'
            ) from None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as its client knows."""
        return self._driver is not None and self._driver.board.connected

    def connect(self) -> None:
        """Connect, unless that was done."""
        if self._driver is not None:
            return
        self._driver = self._drivers.Driver(self._url, **self._options)
        with self._translated():
            self._driver.connect()

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._driver is not None:
            with contextlib.suppress(BoardUnavailable), self._translated():
                self._driver.close()
        self._driver = None

    def post(self, import_id: str) -> None:
        """Say that an import waits."""
        with self._used() as driver:
            driver.board.post('import', details={'import': import_id})

    def wait(self, seconds: float) -> list[Posting]:
        """The postings, once there are some, or none after so many seconds."""
        with self._used() as driver, contextlib.suppress(exceptions.NotFound):
            try:
                return [_posting(job) for job in itertools.islice(driver.wait(seconds), PAGE)]
            except (ValueError, KeyError):
                return []  # a posting that could not be decoded; TaskFlow has removed it
            except exceptions.JobFailure as error:
                if not isinstance(error.cause, ValueError):
                    raise
            except (TypeError, AttributeError) as error:
                # Decoded and stumbled over, and so each time: the relay posts anew what waits.
                driver.clear()
                raise BoardUnavailable('it held what cannot be read, and was emptied') from error
        return []

    def postings(self) -> list[Posting]:
        """What stands there now, as far as it can be read; the rest is removed."""
        with self._used() as driver:
            driver.tidy()
        return self.wait(0.0)

    def discard(self, posting: Posting) -> None:
        """Take a posting away; that another process does so is fine."""
        with self._used() as driver:
            # A name that claims again would prolong, on Redis, what it claimed before.
            who = uuidutils.generate_uuid()
            try:
                driver.claim(posting.job, who)
                driver.board.consume(posting.job, who)
            except (exceptions.UnclaimableJob, exceptions.NotFound):
                return

    @contextlib.contextmanager
    def _used(self) -> Iterator[Driver]:
        if not self.connected:
            raise BoardUnavailable('there is no connection')
        with self._translated():
            yield self._driver

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raises BoardUnavailable for whatever the board, its client or the network has."""
        try:
            yield
        except (exceptions.TaskFlowException, OSError, *self._drivers.Driver.failures) as error:
            reason = getattr(error, 'cause', None) or error
            raise BoardUnavailable(f'{type(reason).__name__}: {reason}') from error


def _posting(job: base.Job) -> Posting:
    details = job.details
    named = details.get('import') if isinstance(details, dict) else None
    return Posting(id=str(job.uuid), import_id=named if uuidutils.is_uuid_like(named) else None, job=job)
