"""Sending what the outbox holds: at least once each, and nobody waits for the broker."""

import logging
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

import oslo_messaging
from oslo_config import cfg

from imagepipe import errors
from imagepipe.db.outbox import Letter

if TYPE_CHECKING:
    from imagepipe.db.database import Database

LOG = logging.getLogger(__name__)

#: The longest pause before a notification is tried again, in seconds.
MAX_WAIT = 300.0
_PAGE = 50


class Notifier(Protocol):
    """What delivers one notification, or raises."""

    def __call__(self, letter: Letter) -> None: ...


class MessagingNotifier:
    """oslo.messaging, with bounded retries: its own default is to retry for ever."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._notifier: oslo_messaging.Notifier | None = None
        self._refusals: list[Exception] = []

    def __call__(self, letter: Letter) -> None:
        """Hand the letter to the configured drivers. Raises what the broker's client raised."""
        notifier = self._made()
        self._refusals.clear()
        send = {'ERROR': notifier.error}.get(letter.priority, notifier.info)
        send({}, letter.event_type, letter.payload)
        if self._refusals:
            raise self._refusals[0]

    def _made(self) -> oslo_messaging.Notifier:
        if self._notifier is None:
            oslo_messaging.set_transport_defaults(control_exchange='glance')
            transport = oslo_messaging.get_notification_transport(self._conf)
            self._listen(transport)
            self._notifier = oslo_messaging.Notifier(
                transport, publisher_id=self._conf.default_publisher_id, retry=1
            )
        return self._notifier

    def _listen(self, transport: oslo_messaging.Transport) -> None:
        """oslo.messaging's driver logs a refusal and returns as if all were well: note it on its way."""
        deliver = transport._send_notification

        def send(*args: object, **kwargs: object) -> None:
            try:
                deliver(*args, **kwargs)
            except Exception as error:
                self._refusals.append(error)
                raise

        transport._send_notification = send


def is_disabled(event_type: str, disabled: Collection[str]) -> bool:
    """Whether the operator wants no such events: by exact name, or the part before the first dot."""
    return event_type in disabled or event_type.split('.', 1)[0] in disabled


class Sender(threading.Thread):
    """One thread that delivers what is due; wake() makes it look at once."""

    def __init__(
        self,
        db: 'Database',
        notify: Notifier,
        *,
        name: str,
        interval: float,
        lease: float,
        retry_wait: float,
        disabled: Collection[str] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name='sender', daemon=True)
        self._db = db
        self._notify = notify
        self._sender = name
        self._interval = interval
        self._lease = lease
        self._retry_wait = retry_wait
        self._disabled = frozenset(disabled)
        self._beat = beat
        self._wake = threading.Event()
        self._done = threading.Event()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the letter at hand."""
        self._done.set()
        self._wake.set()
        self.join(self._lease)

    def run(self) -> None:
        """Deliver until stopped."""
        while not self._done.is_set():
            self._wake.wait(self._interval)
            self._wake.clear()
            try:
                while self.deliver() and not self._done.is_set():
                    self._beat()
            except errors.DatabaseUnavailable as error:
                LOG.warning('Notifications wait for the database: %s', error)
            except Exception:
                LOG.exception('Delivering notifications failed; it goes on')

    def deliver(self) -> int:
        """Deliver one page of what is due; how many letters were looked at."""
        letters = self._db.run(lambda tx: tx.outbox.take(self._sender, lease=self._lease, limit=_PAGE))
        sent = [letter.id for letter in letters if self._try(letter)]
        if sent:
            self._db.run(lambda tx: tx.outbox.sent(sent))
        return len(letters)

    def _try(self, letter: Letter) -> bool:
        if is_disabled(letter.event_type, self._disabled):
            return True
        try:
            self._notify(letter)
        except Exception as error:  # noqa: BLE001  an edge: any client of any broker raises here
            wait = min(MAX_WAIT, self._retry_wait * 2 ** min(letter.attempts, 10))
            LOG.warning(
                'Notification %s %s was not taken (%s); again in %.0f s',
                letter.id,
                letter.event_type,
                type(error).__name__,
                wait,
            )
            self._db.run(lambda tx: tx.outbox.failed(letter.id, wait=wait))
            return False
        return True
