"""What runs in the chaos suite: API processes and conductors, each behind wires of its own.

The test itself reaches database, stores and broker directly: it sees them while the processes do not.
"""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Mapping

import fixtures
import psutil
import sqlalchemy as sa
import testtools

from imagepipe.db.schema import imports
from imagepipe.domain.import_ import Import, ImportState
from imagepipe.tests.chaos.plan import APIS, CONDUCTORS
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.commands import PROJECT
from imagepipe.tests.fixtures.http_server import HttpServer
from imagepipe.tests.fixtures.jobboards import BoardFixture
from imagepipe.tests.fixtures.servers import free_port, leash
from imagepipe.tests.fixtures.services import ServicesFixture, write_config
from imagepipe.tests.fixtures.swift_server import SwiftServer
from imagepipe.tests.fixtures.wires import Wires

LEASE = 4.0
BROKER = ('127.0.0.1', 5672)
_DISK = '384m'
_NOTHING: Mapping[str, object] = types.MappingProxyType({})
#: Leases and limits are short, so that everything that waits for them can be waited for.
_SETTINGS: Mapping[str, object] = {
    'enabled_backends': 'fast:file,cheap:file,far:swift',
    'far.swift_store_user': 'service:glance',
    'far.swift_store_key': 'not-a-secret',
    'far.swift_store_container': 'images',
    'far.swift_store_retry_get_count': 0,
    'import_flow.target_formats': 'cheap:qcow2',
    'web_download.read_timeout': 3,
    'web_download.max_reconnects': 2,
    'web_download.reconnect_delay': 0.2,
    'transfers.lease_seconds': 5,
    'transfers.client_timeout': 4,
    'transfers.delete_seconds': 2,
    'conductor.lease': LEASE,
    'conductor.poll': 0.5,
    'conductor.imports_per_worker': 8,
    'conductor.max_attempts': 6,
    'conductor.stuck_after': 20,
    'conductor.sweep_interval': 2.0,
    'conductor.store_sweep_interval': 3.0,
    'notifications.retry_wait': 1.0,
    'notifications.timeout': 4.0,
    'oslo_messaging_notifications.driver': 'messagingv2',
    # Counters with a limit are reserved from by another statement than those without.
    'user_image_quota': 100000,
    'user_storage_quota': '1TB',
    'user_staging_quota': '1TB',
    'api.workers': 1,
}


class Member:
    """One API or conductor with its children, in a process group of its own: a host, as far as it matters."""

    def __init__(self, name: str, argv: list[str], directory: pathlib.Path) -> None:
        self.name = name
        self.log = directory / f'{name}.log'
        self._argv = argv
        self._directory = directory
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it. The thread that does must outlive it: its children die with it."""
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get('PYTHONPATH')]))
        with self.log.open('ab') as log:
            self._process = subprocess.Popen(
                [*leash(), *self._argv],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._directory,
                env=os.environ | {'PYTHONPATH': path},
                start_new_session=True,
            )

    def revive(self) -> None:
        """Start it again if it is dead; what is left of its group dies first."""
        if self._process.poll() is not None:
            self.kill()
            self.start()

    def signal(self, number: int) -> None:
        """Send a signal to every process of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def signal_parent(self, number: int) -> None:
        """Send a signal to the process that the others are children of."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """The host dies: no process of it runs a line more."""
        self.signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """End it as an operator would, and what is left of it by force."""
        if self._process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal_parent(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self.kill()

    def workers(self) -> list[psutil.Process]:
        """Its worker processes; none when it is dead."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children()
        return []

    def tools(self) -> list[psutil.Process]:
        """Whatever its workers have started, and what that has."""
        found = []
        for worker in self.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += worker.children(recursive=True)
        return found


class Disk(fixtures.Fixture):
    """A small file system of its own: `path`; fill() leaves next to nothing of it."""

    def __init__(self, test: testtools.TestCase) -> None:
        super().__init__()
        self._test = test

    def _setUp(self) -> None:
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        tools.need(self._test, 'mount', 'umount')
        command = ['mount', '-t', 'tmpfs', '-o', f'size={_DISK}', 'tmpfs', self.path]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            tools.missing(self._test, 'the right to mount a tmpfs')
        self.addCleanup(subprocess.run, ['umount', '--lazy', self.path], check=True)
        self._ballast = self.path / 'ballast'

    def fill(self, spare: int) -> None:
        """Take all room but some bytes, whatever others take meanwhile."""
        with self._ballast.open('wb') as file:
            while not self._take(file.fileno(), spare):
                continue

    def _take(self, file: int, spare: int) -> bool:
        found = os.statvfs(self.path)
        try:
            os.posix_fallocate(file, 0, max(1, found.f_bavail * found.f_frsize - spare))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return found.f_bavail == 0
        return True

    def clear(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


class Cluster(fixtures.Fixture):
    """Two APIs and three conductors over one database, three stores and a broker.

    topic: of the notifications on the broker. members: by name; `parts`: the services that the test uses.
    address: where they meet database, broker, stores and sources; hosts: what a member's command begins
    with, by name, where it is not to run here. overrides: of the configuration.
    """

    def __init__(
        self,
        test: testtools.TestCase,
        *,
        board: str,
        database: str,
        topic: str,
        address: str = '127.0.0.1',
        hosts: Mapping[str, list[str]] = _NOTHING,
        overrides: Mapping[str, object] = _NOTHING,
    ) -> None:
        super().__init__()
        self._address = address
        self._hosts = hosts
        self._overrides = overrides
        self._test = test
        self._board = board
        self.database = database
        self._topic = topic
        self.members: dict[str, Member] = {}

    def _setUp(self) -> None:
        self.began = time.monotonic()
        self.disk = self.useFixture(Disk(self._test))
        self.source = self.useFixture(HttpServer(address=self._address))
        self.swift = self.useFixture(SwiftServer())
        self.wires = self.useFixture(Wires())
        self.board = self.useFixture(BoardFixture(self._test, self._board))
        self.closed_port = free_port()
        self.parts = self.useFixture(
            ServicesFixture(
                self._test, kind=self.database, stores=('fast', 'cheap'), overrides=self._settings()
            )
        )
        self.services = self.parts.services
        self.db = self.services.db
        self._broker = self._wire('broker', BROKER)
        self._ports = {name: free_port() for name in APIS}
        for name in (*APIS, *CONDUCTORS):
            self.members[name] = self._member(name)
        self.addCleanup(self._stop)

    def start(self, *names: str) -> None:
        """Start these members, or all."""
        for name in names or self.members:
            self.members[name].start()

    def _stop(self) -> None:
        for member in self.members.values():
            member.stop()

    # Configuration.

    def _settings(self) -> dict[str, object]:
        store = self._wire('store', ('127.0.0.1', int(self.swift.url.rpartition(':')[2])))
        return {
            **_SETTINGS,
            'staging.path': self.disk.path / 'staging',
            'fast.filesystem_store_datadir': self.disk.path / 'fast',
            'cheap.filesystem_store_datadir': self.disk.path / 'cheap',
            'far.swift_store_auth_address': f'http://{self._address}:{store}/v3',
            'far.swift_store_endpoint': f'http://{self._address}:{store}/v1/account',
            'import_filtering_opts.allowed_networks': f'{self._address}/32',
            'import_filtering_opts.allowed_ports': f'{self.source.port},{self.closed_port}',
            'oslo_messaging_notifications.topics': self._topic,
            **self.board.overrides(),
            **self._overrides,
        }

    def _wire(self, name: str, target: tuple[str, int]) -> int:
        return self.wires.lay(name, target, address=self._address)

    def _member(self, name: str) -> Member:
        path = self._config(name)
        module = 'imagepipe.cmd.api' if name in APIS else 'imagepipe.cmd.conductor'
        command = [sys.executable, '-m', module, '--config-file', str(path)]
        return Member(name, [*self._hosts.get(name, []), *command], path.parent)

    def _config(self, name: str) -> pathlib.Path:
        """The common configuration, with what is the member's own behind it: the last word counts."""
        url = sa.make_url(self.parts.database_url)
        wire = self._wire(f'database of {name}', (url.host, url.port))
        own: dict[str, object] = {
            'database.connection': url.set(host=self._address, port=wire).render_as_string(
                hide_password=False
            ),
            'oslo_messaging_notifications.transport_url': f'rabbit://guest:guest@{self._address}:{self._broker}/',
        }
        if name in APIS:
            own |= {'api.bind_host': '127.0.0.1', 'api.bind_port': self._ports[name]}
        directory = pathlib.Path(self.parts.path('members'))
        directory.mkdir(exist_ok=True)
        path = directory / f'{name}.conf'
        write_config(str(path), own)
        path.write_text(pathlib.Path(self.parts.config_file()).read_text() + path.read_text())
        return path

    # What can be seen.

    def url(self, name: str) -> str:
        """Where an API process listens, when it does."""
        return f'http://127.0.0.1:{self._ports[name]}'

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def import_(self, import_id: str) -> Import:
        """An import, whatever the members think of it."""
        return self.db.read(lambda tx: tx.imports.get(import_id))

    def state_of(self, import_id: str) -> ImportState:
        """Where an import stands."""
        ((state,),) = self.rows(sa.select(imports.c.state).where(imports.c.id == import_id))
        return ImportState(state)

    def rows(self, query: sa.Select) -> list[sa.Row]:
        """What the database says."""
        with self.db.engine.connect() as connection:
            return list(connection.execute(query))

    def log_lines(self) -> Iterator[tuple[str, str]]:
        """Every line that a member has written, with its name; a member's lines are in order."""
        for member in self.members.values():
            if member.log.exists():
                with member.log.open(errors='replace') as file:
                    yield from ((member.name, line.rstrip('\n')) for line in file)
