"""Running the standalone service: in the foreground, in the background, and ending it."""

import contextlib
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from oslo_config import cfg

from imagepipe import version
from imagepipe.cmd import api, processes, tables
from imagepipe.cmd.client import Client
from imagepipe.cmd.home import Home, Running
from imagepipe.db import engines, upkeep
from imagepipe.db.database import Database

HOST, PORT = '127.0.0.1', 9292
NO_KEYSTONE = 'No Keystone: every user and program of this machine may do everything with it.'

_STARTING = 90.0
_STOPPING = 60.0
_LOOK = 0.1
_TAIL = 15
#: Seconds, more than the clock has shown.
_EVER = 1e12


class ServiceError(Exception):
    """The service cannot start or stop; the sentence says why and what to do."""


def run(home: Home, *, host: str, port: int, say: Callable[[str], None]) -> int:
    """Run in this process until a signal; 1 when a part of it ended by itself.

    Raises ServiceError, InUseError, ConfigurationInvalid, DatabaseUnusable.
    """
    home.make()
    with home.lock():
        conf = home.configure(host=host, port=port or free_port(host))
        api.check(conf)
        check_port(conf.api.bind_host, conf.api.bind_port)
        upkeep.sync(conf.database.connection)
        url = _url(conf)
        parts = [_part(home, 'api'), _part(home, 'conductor')]
        service = processes.Processes(parts, cwd=home.path)
        service.stop_on_signal()

        def ready() -> None:
            home.tell_url(url)
            say(_banner(home, url, conf))

        with _readiness(conf, url) as is_ready:
            ended = service.run(ready=is_ready, on_ready=ready)
        if ended is None:
            say('imagepipe has stopped.')
            return 0
        say(_obituary(*ended))
        return 1


@contextlib.contextmanager
def _readiness(conf: cfg.ConfigOpts, url: str) -> Iterator[Callable[[], bool]]:
    """Whether the API answers and a worker that was not there before is at work."""
    client = Client(url, timeout=2.0)
    url = conf.database.connection
    db = Database(engines.create(url), engines.create(url, reading=True))

    def workers() -> set[str]:
        return set(db.read(lambda tx: tx.workers.alive(_EVER)))

    before = workers()
    try:
        yield lambda: bool(workers() - before) and client.healthy()
    finally:
        db.close()


def start(home: Home, *, host: str, port: int) -> Running:
    """The service of this directory, started in the background unless it runs. Raises ServiceError."""
    home.make()
    log = home.log('imagepipe-standalone')
    seen = log.stat().st_size if log.exists() else 0
    process = None
    if home.running() is None:
        argv = ['--data', str(home.path), '--host', host, '--port', str(port), 'run']
        process = processes.background(['imagepipe.cmd.standalone', *argv], cwd=home.path, log=log)
    until = time.monotonic() + _STARTING
    while time.monotonic() < until:
        running = home.running()
        if running is not None and running.url:
            return running
        if running is None and (process is None or process.poll() is not None):
            raise ServiceError(_said(log, seen) or f'The service did not start; see {log}.')
        time.sleep(_LOOK)
    raise ServiceError(f'The service gives no sign of life; its logs are in {home.logs}.')


def stop(home: Home) -> Running | None:
    """End the service of this directory; what ran, or None. Raises ServiceError."""
    running = home.running()
    if running is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + _STOPPING
    while home.running() is not None or not _is_gone(running.pid):
        if time.monotonic() > until:
            raise ServiceError(f'The service (process {running.pid}) does not stop; its logs: {home.logs}.')
        time.sleep(_LOOK)
    return running


def _is_gone(pid: int) -> bool:
    """Whether the process has ended, looked after or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with _bound(host, 0) as probe:
        return probe.getsockname()[1]


def check_port(host: str, port: int) -> None:
    """Raises ServiceError when somebody else listens there."""
    try:
        _bound(host, port).close()
    except OSError as error:
        raise ServiceError(
            f'Cannot listen on port {port} of {host}: {(error.strerror or str(error)).lower()}. '
            'Choose another one with --port, or any free one with --port 0.'
        ) from error


def is_free(host: str, port: int) -> bool:
    """Whether check_port() would pass."""
    try:
        check_port(host, port)
    except ServiceError:
        return False
    return True


def client_settings(url: str) -> str:
    """The environment of OpenStack's clients for this service."""
    return f'OS_AUTH_TYPE=none OS_ENDPOINT={url}'


def command(home: Home, name: str) -> str:
    """How a user says this to the service of this directory."""
    data = [] if home == Home.default() else ['--data', str(home.path)]
    return shlex.join([_called('imagepipe-standalone'), name, *data])


def manage(home: Home, words: str) -> str:
    """How a user calls imagepipe-manage for this directory."""
    return f'{shlex.join([_called("imagepipe-manage"), *home.arguments()])} {words}'


def beside(name: str, *words: str) -> str:
    """How a user calls a command of this virtual environment, whether it is there yet or not."""
    return shlex.join([str(Path(sys.executable).with_name(name)), *words])


def _called(name: str) -> str:
    """The command as the user can type it: by its path where it is not in PATH."""
    beside = Path(sys.executable).with_name(name)
    in_path = any(Path(folder) / name == beside for folder in os.get_exec_path())
    return name if in_path or not beside.exists() else str(beside)


def _part(home: Home, name: str) -> processes.Part:
    log = home.log(f'imagepipe-{name}')
    arguments = [*home.arguments(), '--log-file', str(log)]
    return processes.Part(f'imagepipe-{name}', f'imagepipe.cmd.{name}', arguments, log)


def _url(conf: cfg.ConfigOpts) -> str:
    host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(conf.api.bind_host, conf.api.bind_host)  # noqa: S104
    return f'http://{f"[{host}]" if ":" in host else host}:{conf.api.bind_port}'


def _banner(home: Home, url: str, conf: cfg.ConfigOpts) -> str:
    alone = conf.api.auth_strategy == 'none'
    rows = {'Data': home.path, 'Logs': home.logs}
    if alone:
        rows['Client'] = f'{client_settings(url)} openstack image list'
    rows['Stop'] = 'Ctrl-C' if sys.stdout.isatty() else command(home, 'stop')
    told = [f'imagepipe {version.RELEASE} is ready at {url}']
    told += [NO_KEYSTONE] if alone else []
    return '\n'.join([*told, tables.attributes(rows, indent='  ')])


def _obituary(part: processes.Part, status: int) -> str:
    return '\n'.join([
        f'{part.name} {processes.described(status)}, so imagepipe stops. '
        'Nothing is lost: imports go on when it starts again.',
        f'The end of {part.log}:',
        *(f'  {line}' for line in part.log.read_text(errors='replace').splitlines()[-_TAIL:]),
    ])  # fmt: skip


def _said(log: Path, seen: int) -> str:
    with log.open('rb') as file:
        file.seek(seen)
        return file.read().decode(errors='replace').strip().removeprefix('imagepipe-standalone: ')


def _bound(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind)
    try:
        # As the server does: a port is not taken because connections of an earlier service linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
    except OSError:
        probe.close()
        raise
    return probe
