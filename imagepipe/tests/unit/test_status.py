"""imagepipe-status upgrade check: what it says of a host that is ready, and of one that is not."""

import contextlib
import io
import json
import os
import pathlib

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.cmd import status
from imagepipe.db import engines
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture, write_config
from imagepipe.tests.fixtures.tools import need

CHECKS = {
    'database': 'Database revision',
    'policy': 'Policy file is not JSON',
    'rules': 'Policy files and property protections',
    'stores': 'Stores',
    'staging': 'Staging directory',
    'qemu-img': 'qemu-img and its sandbox',
    'keys': 'Key file',
    'trusts': 'Trusts',
}
GOOD, WARNING, FAILURE = 0, 1, 2


class Case(testtools.TestCase):
    database_kind = 'sqlite'

    def host(self, **overrides):
        """The configuration file of a host that is ready but for these options."""
        overrides = {name.replace('__', '.'): value for name, value in overrides.items()}
        self.cloud = self.useFixture(ServicesFixture(self, kind=self.database_kind, overrides=overrides))
        os.makedirs(self.cloud.path('staging'), exist_ok=True)
        return self.cloud.config_file()

    def check(self, config, *, json_=True):
        """Exit status, and the result and details of each check."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = status.main(['--config-file', str(config), 'upgrade', 'check', *(['--json'] * json_)])
        if not json_:
            return code, out.getvalue()
        found = {item['check']: item for item in json.loads(out.getvalue())['checks']}
        self.assertEqual(set(CHECKS.values()), found.keys())
        return code, {
            short: (found[name]['result'], found[name]['details']) for short, name in CHECKS.items()
        }

    def assert_only(self, name, level, words, config):
        """One check says this, with these words; the others are content."""
        code, found = self.check(config)
        self.assertEqual({**dict.fromkeys(CHECKS, GOOD), name: level},
                         {short: result for short, (result, _) in found.items()})  # fmt: skip
        self.assertEqual(level, code)
        self.assertIn(words, found[name][1])


class HelpTest(testtools.TestCase):
    def test_it_names_the_commands(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertRaises(SystemExit, status.main, ['--help'])
        self.assertIn('\ncommands:\n', out.getvalue())
        self.assertNotIn('\n:', out.getvalue())
        self.assertIn('ready for this release', out.getvalue())


class ReadyTest(testscenarios.WithScenarios, Case):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        need(self, 'qemu-img')

    def test_a_host_that_is_ready(self) -> None:
        code, found = self.check(self.host(conversion__sandbox='off'))
        self.assertEqual((GOOD, dict.fromkeys(CHECKS, GOOD)), (code, {k: v[0] for k, v in found.items()}))
        code, table = self.check(self.cloud.config_file(), json_=False)
        self.assertEqual((GOOD, len(CHECKS)), (code, table.count('Result: Success')))

    def test_a_database_of_another_release(self) -> None:
        config = self.host(conversion__sandbox='off')
        engine = engines.create(self.cloud.database_url)
        self.addCleanup(engine.dispose)
        for revision, told in (('0001', 'imagepipe-manage db sync'), ('9999', 'a newer release')):
            with engine.begin() as connection:
                update = sa.text('UPDATE imagepipe_alembic_version SET version_num = :revision')
                connection.execute(update, {'revision': revision})
            self.assert_only('database', FAILURE, told, config)


class TroubleTest(Case):
    def setUp(self) -> None:
        super().setUp()
        need(self, 'qemu-img')

    def ready(self, **overrides):
        return self.host(**{'conversion__sandbox': 'off', **overrides})

    def changed(self, **options):
        """The host's configuration with these options changed; what is said last holds."""
        path = pathlib.Path(self.cloud.path('etc', 'changed.conf'))
        write_config(str(path), {name.replace('__', '.'): value for name, value in options.items()})
        path.write_text(pathlib.Path(self.cloud.config_file()).read_text() + path.read_text())
        return path

    def test_a_policy_file_of_json(self) -> None:
        self.ready()
        policy = pathlib.Path(self.cloud.path('etc', 'old.json'))
        policy.write_text('{"get_image": ""}')
        self.assert_only('policy', FAILURE, 'YAML', self.changed(oslo_policy__policy_file=policy))

    def test_policy_files_and_protections_that_cannot_work(self) -> None:
        self.ready()
        rules = pathlib.Path(self.cloud.path('etc', 'rules.yaml'))
        rules.write_text('"get_image: "@"\n')
        self.assert_only('rules', FAILURE, 'policy file', self.changed(oslo_policy__policy_file=rules))
        config = self.changed(property_protection_file='/no/such/file')
        self.assert_only('rules', FAILURE, 'property_protection_file', config)

    def test_a_store_that_does_not_exist(self) -> None:
        self.ready()
        config = self.changed(glance_store__default_backend='odd')
        self.assert_only('stores', FAILURE, "default_backend 'odd' is not one of enabled_backends", config)

    def test_a_store_that_the_services_have_yet_to_make(self) -> None:
        self.ready()
        new = pathlib.Path(self.cloud.path('new', 'images'))
        code, found = self.check(self.changed(cheap__filesystem_store_datadir=new))
        self.assertEqual((GOOD, GOOD), (code, found['stores'][0]))
        self.assertIn('The services make the directories of: cheap.', found['stores'][1])
        self.assertFalse(new.parent.exists(), 'a check leaves nothing behind, and not as another user')

    def test_a_store_that_cannot_be_used_now(self) -> None:
        self.ready()
        blocked = pathlib.Path(self.cloud.path('blocked'))
        blocked.write_text('a file where a directory should be')
        config = self.changed(cheap__filesystem_store_datadir=blocked / 'images')
        self.assert_only('stores', WARNING, 'cheap', config)

    def test_staging_that_is_not_there(self) -> None:
        self.ready()
        missing = self.cloud.path('missing')
        config = self.changed(staging__path=missing)
        self.assert_only('staging', FAILURE, f'{missing} does not exist', config)
        self.assertFalse(os.path.exists(missing))

    def test_staging_that_cannot_be_written(self) -> None:
        self.ready()
        config = self.changed(staging__path='/proc/self')
        self.assert_only('staging', FAILURE, '/proc/self', config)

    def test_no_qemu_img(self) -> None:
        self.ready()
        self.assert_only(
            'qemu-img', WARNING, 'qemu-utils', self.changed(conversion__qemu_img='no-such-program')
        )
        converting = self.changed(
            conversion__qemu_img='no-such-program', import_flow__target_formats='fast:raw'
        )
        self.assert_only('qemu-img', FAILURE, 'qemu-utils', converting)

    def test_keys(self) -> None:
        self.ready()
        self.assert_only('keys', WARNING, 'web-download', self.changed(secrets__key_file=''))
        keys = pathlib.Path(self.cloud.path('etc', 'odd'))
        keys.write_text('no key\n')
        keys.chmod(0o600)
        self.assert_only('keys', FAILURE, 'not a Fernet key', self.changed(secrets__key_file=keys))
        keys.chmod(0o644)
        self.assert_only('keys', FAILURE, 'every user', self.changed(secrets__key_file=keys))

    def test_trusts(self) -> None:
        enabled = {'enabled_import_methods': '[glance-download]'}
        words = 'cannot be used'
        self.assert_only('trusts', WARNING, words, self.host(**enabled))
        keystone = {
            'api__auth_strategy': 'keystone', 'keystone_authtoken__auth_url': 'http://keystone.invalid/v3',
        }  # fmt: skip
        application = {
            'keystone_authtoken__auth_type': 'v3applicationcredential',
            'keystone_authtoken__application_credential_id': 'x',
            'keystone_authtoken__application_credential_secret': 'y',
        }
        self.assert_only('trusts', WARNING, words, self.host(**enabled, **keystone, **application))
        password = {'keystone_authtoken__auth_type': 'password', 'keystone_authtoken__username': 'imagepipe'}
        code, found = self.check(self.host(**enabled, **keystone, **password))
        self.assertEqual((GOOD, GOOD), (code, found['trusts'][0]))

    def test_no_configuration(self) -> None:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            code = status.main(['--config-file', '/no/such/file', 'upgrade', 'check'])
        self.assertEqual(FAILURE, code)
        self.assertIn('/no/such/file', err.getvalue())
        self.assertEqual(1, err.getvalue().count('\n'))

    def test_a_database_that_cannot_be_reached(self) -> None:
        self.ready()
        url = 'mysql+pymysql://nobody:planted@127.0.0.1:1/none'
        code, found = self.check(self.changed(database__connection=url))
        self.assertEqual((FAILURE, FAILURE), (code, found['database'][0]))
        self.assertIn('imagepipe.database.unusable', found['database'][1])
        self.assertNotIn('planted', found['database'][1])
