"""Both services: under uWSGI, over MariaDB, behind the same Keystone, configured alike."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping

import fixtures
import psutil
import requests
import sqlalchemy as sa

from benchmarks.api import load
from benchmarks.measuring import Nobody, cpu
from imagepipe.tests.fixtures import commands, filling, glance, keystone, made_up
from imagepipe.tests.fixtures.databases import DatabaseFixture
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until

PROCESSES, THREADS = 2, 4
MEMBER_PASSWORD = 'the-password-of-the-member'
#: Other services of a cloud of the usual size: their endpoints are in every token.
_CATALOG = (
    'compute', 'network', 'volumev3', 'object-store', 'orchestration', 'placement', 'dns', 'key-manager',
    'load-balancer', 'metric', 'alarming', 'image', 'container-infra', 'shared-file-system',
)  # fmt: skip


class Identity(fixtures.Fixture):
    """A Keystone with a catalog, a member of project `ours`, and an administrator: `tokens` by caller."""

    def _setUp(self) -> None:
        self._keystone = self.useFixture(keystone.KeystoneFixture(Nobody('nothing')))
        self._fill_catalog()
        member = self._keystone.user('member', project='ours', roles=['member'], password=MEMBER_PASSWORD)
        admin = self._keystone.token('admin', keystone.PASSWORD, 'admin')
        self.tokens = {'member': member, 'admin': admin}
        self.options = {
            name: value for name, value in self._keystone.options().items() if name != 'api.auth_strategy'
        }

    def owner(self, name: str) -> str:
        """The project id of an owner of made-up images."""
        return self._keystone.project('ours') if name == 'ours' else f'{int(name):032x}'

    def _fill_catalog(self) -> None:
        for number, kind in enumerate(_CATALOG):
            service = self._post('services', {'service': {'type': kind, 'name': kind}})['service']['id']
            for interface in ('public', 'internal', 'admin'):
                endpoint = {
                    'service_id': service,
                    'interface': interface,
                    'region_id': 'RegionOne',
                    'url': f'https://{interface}.cloud.example.org:{8000 + number}/v2/%(project_id)s',
                }
                self._post('endpoints', {'endpoint': endpoint})

    def _post(self, path: str, body: Mapping[str, object]) -> dict:
        headers = {'X-Auth-Token': self._keystone.admin_token}
        response = requests.post(f'{self._keystone.url}/{path}', json=body, headers=headers, timeout=60)
        response.raise_for_status()
        return response.json()


class Site(fixtures.Fixture):
    """One service; `socket` is where it listens, `pids` are its workers'."""

    name = ''
    module = ''

    def __init__(self, identity: Identity, count: int) -> None:
        super().__init__()
        self.identity = identity
        self.count = count

    def _setUp(self) -> None:
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.socket = self.directory / 'http.sock'
        self.environment, self.venv = self._prepare()
        self._serve()

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in psutil.Process(self._process.pid).children()]

    def cpu(self) -> float:
        """Seconds of CPU of the workers until now."""
        return sum(cpu(pid) for pid in self.pids)

    def resident(self) -> float:
        """MiB of memory of the largest worker."""
        return max(psutil.Process(pid).memory_info().rss for pid in self.pids) / (1 << 20)

    def call(self, method: str, path: str, caller: str, body: object = None) -> load.Answer:
        """One request."""
        token = self.identity.tokens[caller]
        return load.send(str(self.socket), load.request(method, path, token, body))

    def _prepare(self) -> tuple[Mapping[str, str], pathlib.Path | str]:
        """Database and configuration: the process's environment, and its Python's."""
        raise NotImplementedError

    def _serve(self) -> None:
        command = [
            commands.BIN / 'uwsgi', '--http-socket', self.socket, '--master', '--die-on-term', '--need-app',
            '--lazy-apps', '--no-orphans', '--enable-threads', '--single-interpreter', '--thunder-lock',
            '--disable-logging', '--buffer-size', '65535', '--processes', PROCESSES, '--threads', THREADS,
            '--virtualenv', self.venv, '--module', f'{self.module}:application',
        ]  # fmt: skip
        self.log = self.directory / 'uwsgi.log'
        with self.log.open('ab') as output:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment}, cwd=self.directory,
            )  # fmt: skip
        self.addCleanup(self._stop)
        wait_until(self._answers, f'{self.name} answers')

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f'{self.name} has ended:\n{self.log.read_text(errors="replace")[-4000:]}')
        with contextlib.suppress(OSError):
            return self.call('GET', '/v2/images?limit=1', 'member').status == 200
        return False

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)


class Imagepipe(Site):
    """This project, from this virtual environment."""

    name = 'imagepipe'
    module = 'imagepipe.wsgi.api'

    def _prepare(self) -> tuple[Mapping[str, str], pathlib.Path | str]:
        overrides = {
            'log_file': self.directory / 'imagepipe.log',
            'api.auth_strategy': 'keystone',
            **self.identity.options,
        }
        parts = self.useFixture(
            ServicesFixture(Nobody('nothing'), kind='mariadb', stores=('fast',), overrides=overrides)
        )
        self.database_url = parts.database_url
        filling.fill_imagepipe(parts.database_url, made_up.make(self.count), self.identity.owner)
        environment = {
            'OS_IMAGEPIPE_CONFIG_DIR': parts.path('etc'),
            'PYTHONPATH': str(commands.PROJECT),
        }
        return environment, sys.prefix


class Glance(Site):
    """Glance 33, from its own virtual environment."""

    name = 'Glance'
    module = glance.MODULE

    def _prepare(self) -> tuple[Mapping[str, str], pathlib.Path | str]:
        environment = glance.GlanceEnvironment(Nobody('nothing'))
        environment.make()
        database = self.useFixture(DatabaseFixture(Nobody('nothing'), 'mariadb', create_schema=False))
        url = sa.make_url(database.url).update_query_dict({'charset': 'utf8mb4'})
        text = url.render_as_string(hide_password=False)
        config = glance.write_config(
            environment,
            self.directory / 'etc',
            text,
            {'paste_deploy.flavor': 'keystone', **self.identity.options},
        )
        environment.sync(config)
        filling.fill_glance(text, made_up.make(self.count), self.identity.owner)
        return {'OS_GLANCE_CONFIG_DIR': str(config.parent), 'PYTHONPATH': ''}, environment.venv


class Bare(Site):
    """The least that the same answers can cost, over the database of an imagepipe."""

    name = 'limit'
    module = 'benchmarks.api.bare'

    def __init__(self, imagepipe: Imagepipe) -> None:
        super().__init__(imagepipe.identity, imagepipe.count)
        self._url = imagepipe.database_url

    def _prepare(self) -> tuple[Mapping[str, str], pathlib.Path | str]:
        environment = {
            'BARE_DATABASE': self._url,
            'BARE_PROJECT': self.identity.owner('ours'),
            'PYTHONPATH': str(commands.PROJECT),
        }
        return environment, sys.prefix
