"""The first minutes with imagepipe: start it, import an image step by step, say how to go on."""

import sys
import threading
from collections.abc import Mapping

from imagepipe import errors
from imagepipe.cmd import image_source, outcome, service
from imagepipe.cmd.client import Client, RefusalError, SilenceError
from imagepipe.cmd.display import Clock, Display, Row, Stopwatch, open_display, rows_of
from imagepipe.cmd.home import Home
from imagepipe.cmd.image_source import ImageSource
from imagepipe.cmd.import_record import ENDS
from imagepipe.cmd.speech import say

#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130
_LOOK = 0.15
_DRAW = 0.05


def run(
    home: Home, given: str | None, *, host: str, port: int | None, name: str | None, disk_format: str | None
) -> int:
    """Start the service unless it runs, import the image, show it; 0 when it is active.

    Raises ServiceError, SilenceError, MissingToolError, UnusableImageError.
    """
    source = image_source.choose(home, given, name=name, disk_format=disk_format)
    client = _service(home, host, port)
    say(f'\nThe image: {source.about}\n')
    try:
        image_id = client.create(
            {'name': source.name, 'disk_format': source.disk_format, 'container_format': 'bare'}
        )['id']
        record = _import(client, source, image_id)
    except RefusalError as refusal:
        say(outcome.refused(home, source, refusal))
        return 1
    except _WatchInterrupted as interrupted:
        say(outcome.interrupted(home, client.url, interrupted.import_id))
        return INTERRUPTED
    except SilenceError as silence:
        if home.running() is not None:
            raise
        raise service.ServiceError(
            f'The service has ended; {home.log("imagepipe-standalone")} says why. '
            'Nothing is lost: an import that was accepted goes on at the next start.'
        ) from silence
    if record['state'] != 'succeeded':
        client.delete(image_id)
        say(outcome.failed(home, source, record))
        return 1
    say(outcome.succeeded(home, client.url, client.image(image_id), record))
    return 0


def _service(home: Home, host: str, port: int | None) -> Client:
    """The API of this data directory, which is started where it does not run."""
    before = home.running()
    if before is None:
        say('Starting imagepipe ...')
    running = service.start(home, host=host, port=_port(host, port) if before is None else 0)
    if home.load().api.auth_strategy != 'none':
        raise errors.ConfigurationInvalid(
            reason='the quickstart has no token to show; it needs [api] auth_strategy = none.'
        )
    say(f'imagepipe runs {"already" if before else "now"} at {running.url}, in the background.')
    say(service.NO_KEYSTONE)
    return Client(running.url)


def _port(host: str, port: int | None) -> int:
    """The port asked for; without one the usual one, or where that is taken any free one."""
    if port is not None:
        return port
    if service.is_free(host, service.PORT):
        return service.PORT
    say(f'Port {service.PORT} is taken by another program; a free one is used.')
    return 0


class _WatchInterrupted(Exception):
    """Ctrl-C while an import was watched; it goes on."""

    def __init__(self, import_id: str) -> None:
        super().__init__(import_id)
        self.import_id = import_id


def _import(client: Client, source: ImageSource, image_id: str) -> Mapping[str, object]:
    """Hand the image over, and show its import to the end. An image that is not taken is deleted."""
    display = None
    try:
        uploaded: list[Row] = []
        if source.path is not None:
            display = open_display(sys.stdout)
            uploaded = [_upload(client, source, image_id, display)]
        import_id = client.start_import(image_id, _request(source))
        if display is None:
            display = open_display(sys.stdout)
        return _watch(client, import_id, display, uploaded)
    except (RefusalError, KeyboardInterrupt):
        client.delete(image_id)
        raise
    finally:
        if display is not None:
            display.close()


def _request(source: ImageSource) -> Mapping[str, object]:
    method = {'name': 'glance-direct'} if source.path else {'name': 'web-download', 'uri': source.url}
    return {'method': method, 'all_stores': True, 'all_stores_must_succeed': True}


def _upload(client: Client, source: ImageSource, image_id: str, display: Display) -> Row:
    watch = Stopwatch('upload', source.size)
    due = 0.0

    def sent(done: int) -> None:
        nonlocal due
        row = watch.row('running', done)
        if row.seconds >= due:
            due = row.seconds + _DRAW
            display.show([row])

    try:
        with source.path.open('rb') as file:
            client.stage(image_id, file, source.size, sent)
    except RefusalError as refusal:
        display.show([watch.row('failed', 0, refusal.code)])
        raise
    row = watch.row('done', source.size)
    display.show([row])
    return row


def _watch(client: Client, import_id: str, display: Display, uploaded: list[Row]) -> Mapping[str, object]:
    """Show the import until it has ended."""
    pause, clock = threading.Event(), Clock()
    try:
        while True:
            record = client.import_(import_id)
            display.show([*uploaded, *rows_of(record, clock.now(record))])
            if record['state'] in ENDS:
                return record
            pause.wait(_LOOK)
    except KeyboardInterrupt:
        raise _WatchInterrupted(import_id) from None
