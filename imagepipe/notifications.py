"""Sending what the outbox holds: at least once each, and nobody waits for the broker."""

import contextlib
import logging
import socket
import threading
import time
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
#: The longest pause before a broker that is away is tried again.
MAX_PROBE = 15.0
#: So many refusals in a row, and it is the broker that is away and not a letter that it does not like.
AWAY = 3
_PAGE = 50
#: The part of the time for which letters are lent that is used for sending; one more is then at hand.
_SHARE = 3
#: Drivers of oslo.messaging that send to a broker.
_SENDING = frozenset({'messaging', 'messagingv2'})
#: Seconds in which one that closes a connection at once has done so.
_CLOSING = 0.2
#: Where a broker listens whose URL does not say so.
_PORTS = {'rabbit': 5672, 'kafka': 9092}


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


def is_reachable(conf: cfg.ConfigOpts, *, timeout: float) -> bool:
    """Whether a host of the configured broker takes connections; each has so many seconds for that.

    True without a broker, False where the URL names none that can be used. One that keeps connections
    and says nothing shows when something is sent.
    """
    try:
        oslo_messaging.get_notification_transport(conf)  # connects to nobody, and declares the options
    except (oslo_messaging.DriverLoadFailure, oslo_messaging.InvalidTransportURL):
        return False
    options = conf.oslo_messaging_notifications
    if not _SENDING.intersection(options.driver):
        return True
    url = oslo_messaging.TransportURL.parse(conf, options.transport_url)
    addresses = [(host.hostname, host.port or _PORTS.get(url.transport)) for host in url.hosts]
    known = [(name, port) for name, port in addresses if name and port]
    return not known or any(_connects(address, timeout) for address in known)


def _connects(address: tuple[str, int], timeout: float) -> bool:
    """A proxy before a broker that is away takes them too, and closes them at once."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout) as connection:
        connection.settimeout(_CLOSING)
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return True  # it waits for the client to begin
    return False


class Patience:
    """A notifier that is waited for `timeout` seconds: a broker's client may wait for minutes.

    What hangs goes on hanging in a thread of its own, and meanwhile nothing else is tried: if it
    arrives after all, it arrives twice.
    """

    def __init__(self, notify: Notifier, *, timeout: float) -> None:
        self._notify = notify
        self._timeout = timeout
        self._at_work: threading.Thread | None = None

    def __call__(self, letter: Letter) -> None:
        """Deliver the letter. Raises TimeoutError, and what the notifier raises."""
        if self._at_work is not None and self._at_work.is_alive():
            raise TimeoutError('an earlier notification was not answered yet')
        refusals: list[Exception] = []

        def deliver() -> None:
            try:
                self._notify(letter)
            except Exception as error:  # noqa: BLE001  handed on below
                refusals.append(error)

        self._at_work = threading.Thread(target=deliver, name='delivery', daemon=True)
        self._at_work.start()
        self._at_work.join(self._timeout)
        if self._at_work.is_alive():
            raise TimeoutError(f'no answer within {self._timeout} seconds')
        if refusals:
            raise refusals[0]


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
        #: Refusals in a row, and until when a broker that is away is left alone.
        self._refused = 0
        self._left_alone = 0.0

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
        """Deliver one page of what is due; how many letters were looked at.

        With the broker away one letter is tried, and what else was at hand is given back as it is. So is what
        a slow broker has not taken long before it would be lent to another sender. When the broker is back,
        whatever it refused meanwhile is due within seconds.
        """
        if time.monotonic() < self._left_alone:
            return 0
        until = time.monotonic() + self._lease / _SHARE
        away = self._refused >= AWAY
        letters = self._db.run(
            lambda tx: tx.outbox.take(self._sender, lease=self._lease, limit=1 if away else _PAGE, probe=away)
        )
        sent: list[int] = []
        for position, letter in enumerate(letters):
            late = self._done.is_set() or time.monotonic() > until
            if position and (late or self._refused >= AWAY):
                left = [letter.id for letter in letters[position:]]
                self._db.run(lambda tx, left=left: tx.outbox.give_back(left))
                break
            if self._try(letter):
                sent.append(letter.id)
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
            probed = self._refused >= AWAY
            self._refused += 1
            if self._refused >= AWAY:
                pause = min(MAX_PROBE, self._retry_wait * 2 ** min(self._refused - AWAY, 10))
                self._left_alone = time.monotonic() + pause
                wait = pause if probed else wait  # which says nothing of the letter
            LOG.warning(
                'Notification %s %s was not taken (%s); again in %.0f s',
                letter.id,
                letter.event_type,
                type(error).__name__,
                wait,
            )
            self._db.run(lambda tx: tx.outbox.failed(letter.id, wait=wait))
            return False
        away, self._refused = self._refused >= AWAY, 0
        if away:
            LOG.info('The broker takes notifications again')
            self._db.run(lambda tx: tx.outbox.hasten())
        return True
