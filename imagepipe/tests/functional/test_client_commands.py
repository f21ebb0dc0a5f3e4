"""Every command of the unmodified command line clients, as people give them, with a real Keystone.

Those that imagepipe.osc adds to the openstack client are among them.
"""

import functools
import importlib.metadata
import json
import pathlib

import fixtures
import testscenarios
import testtools

from imagepipe.tests.fixtures import commands, glance_commands, openstack_commands
from imagepipe.tests.fixtures.client_clouds import ClientsCase, databases
from imagepipe.tests.fixtures.command_rows import DATA, Given, Row
from imagepipe.tests.fixtures.shells import Shells
from imagepipe.tests.fixtures.workers import wait_until

load_tests = testscenarios.load_tests_apply_scenarios

TABLES = {'openstack': openstack_commands, 'glance': glance_commands}


def command_name(client, row):
    """Which of the client's commands a row is of."""
    if client == 'glance':
        return row.command.split()[0]
    return max((name for name in openstack_names() if f'{row.command} '.startswith(f'{name} ')), key=len)


@functools.cache
def openstack_names():
    found = importlib.metadata.entry_points(group='openstack.image.v2')
    return {entry.name.replace('_', ' ') for entry in found}


def glance_names(test):
    words = commands.run(test, commands.BIN / 'glance', 'bash-completion').split()
    return {word for word in words if not word.startswith('-')}


def rows():
    """Scenarios: a row of a table on a database, by a name that says which."""
    for client, table in TABLES.items():
        for number, row in enumerate(table.ROWS):
            name = f'{client} {command_name(client, row)} {number}'.replace(' ', '-')
            for kind in databases(number):
                yield f'{name},{kind}', {'database_kind': kind, 'client': client, 'row': row}


class CommandsTest(ClientsCase):
    scenarios = list(rows())
    client: str
    row: Row

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shells = Shells()
        cls.addClassCleanup(cls.shells.cleanUp)
        cls.shells.setUp()

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.given = Given(self.clouds, self.database_kind, self.directory)

    def test_command(self):
        row = self.row
        prints = (row.prints,) if isinstance(row.prints, str) else row.prints
        # What it names is there before the command.
        wanted = [self.given.fill(text) for text in (*prints, row.refused)]
        then = self.given.fill(row.then)
        status, printed = self.run_command(self.given.words(row.command))
        self.assertNotIn('Traceback', printed)
        for text in wanted:
            self.assertIn(text, printed)
        self.assertEqual(bool(row.refused), bool(status), printed)
        self.check(then)

    def run_command(self, words):
        env = self.clouds.environment(self.row.by, self.database_kind) | {'HOME': str(self.directory)}
        if self.client == 'glance' and words[0].startswith('cache-'):
            # It wants to be told which node.
            words = ['--os-image-url', self.cloud.url, *words]
        run = self.shells.run_installed if self.row.installed else self.shells.run
        done = run(self.client, words, env=env, cwd=self.directory)
        return done.status, ' '.join(done.printed.split())

    def check(self, then):
        if then == 'saved':
            self.assertEqual(DATA, (self.directory / 'saved').read_bytes())
        elif then:
            wait_until(lambda: self.is_true(*then.removeprefix('GET ').split(' ', 1)), then)

    def is_true(self, path, text):
        answer = self.cloud.call('GET', path, token=self.clouds.tokens['admin'])
        told = f'{answer.status_code} {json.dumps(answer.json())}'
        return text in told if not text.startswith('!') else text[1:] not in told


class TablesTest(testtools.TestCase):
    def test_every_command_has_a_row(self):
        for client, names in (('openstack', openstack_names()), ('glance', glance_names(self))):
            table = TABLES[client]
            named = {command_name(client, row) for row in table.ROWS}
            self.assertEqual(names, named | set(table.WITHOUT), client)
            self.assertEqual(set(), named & set(table.WITHOUT), client)
