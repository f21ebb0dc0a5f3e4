"""A dry run of the devstack plugin: devstack's functions record what the plugin asks of them."""

import pathlib

import fixtures
import testtools
from cryptography import fernet

from imagepipe.tests.fixtures import commands, options, tools

PLUGIN = commands.PROJECT / 'devstack'


class PluginTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        tools.need(self, 'bash')
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def phases(self, *names: str, expect: int = 0, **env: str) -> dict[str, list[str]]:
        """The calls of each phase, in order; 'settings' and 'services' are there always."""
        argv = ('bash', PLUGIN / 'dry-run.sh', self.root, *names)
        calls: dict[str, list[str]] = {}
        for line in commands.run(self, *argv, env=env, expect=expect).splitlines():
            if line.startswith('== services '):
                calls['services'] = line.removeprefix('== services ').split(',')
            elif line.startswith('== '):
                current = calls.setdefault(line.removeprefix('== '), [])
            else:
                current.append(line)
        return calls

    def chosen(self, calls: list[str], file: str = 'imagepipe.conf') -> dict[tuple[str, str], str]:
        """What was set in a configuration file, by (section, name)."""
        wanted = [call.split(' ', 4) for call in calls if call.startswith(f'iniset {file} ')]
        return {(section, name): value for _, _, section, name, value in wanted}

    def test_it_takes_the_place_of_glance(self) -> None:
        services = self.phases()['services']
        self.assertNotIn('g-api', services)
        self.assertIn('imagepipe-api', services)
        self.assertIn('imagepipe-conductor', services)

    def test_install(self) -> None:
        calls = self.phases('stack install')['stack install']
        self.assertIn(f'setup_develop {commands.PROJECT}', calls)
        self.assertIn('pip_install uwsgi', calls)

    def test_post_config_sets_options_that_exist(self) -> None:
        calls = self.phases('stack post-config')['stack post-config']
        chosen = self.chosen(calls)
        self.assertEqual('fast:file,cheap:file', chosen['DEFAULT', 'enabled_backends'])
        self.assertEqual('fast', chosen['glance_store', 'default_backend'])
        known = options.known()
        own = {('fast', 'filesystem_store_datadir'), ('cheap', 'filesystem_store_datadir')}
        self.assertEqual(set(), chosen.keys() - known.keys() - own)
        for option in chosen.keys() - own:
            known[option].type(chosen[option])

    def test_post_config_makes_a_key_once(self) -> None:
        self.phases('stack post-config')
        keys = self.root / 'etc' / 'secrets.keys'
        first = keys.read_text()
        fernet.Fernet(first.strip())
        self.assertEqual(0o600, keys.stat().st_mode & 0o777)
        self.phases('stack post-config')
        self.assertEqual(first, keys.read_text())

    def test_post_config_registers_the_service_and_syncs_the_database(self) -> None:
        calls = self.phases('stack post-config')['stack post-config']
        self.assertIn('create_service_user glance', calls)
        self.assertIn('get_or_create_service glance image Image service', calls)
        self.assertIn('get_or_create_endpoint image RegionOne http://192.0.2.1/image', calls)
        sync = f'imagepipe-manage --config-file {self.root}/etc/imagepipe.conf db sync'
        self.assertLess(calls.index('recreate_database imagepipe'), calls.index(sync))
        self.assertLess(
            max(i for i, call in enumerate(calls) if 'iniset imagepipe.conf' in call), calls.index(sync)
        )
        self.assertIn('db load_metadefs', calls[calls.index(sync) + 1])

    def test_the_api_runs_the_wsgi_module_behind_apache(self) -> None:
        calls = self.phases('stack post-config')['stack post-config']
        uwsgi = self.chosen(calls, 'imagepipe-uwsgi.ini')
        self.assertEqual('imagepipe.wsgi.api:application', uwsgi['uwsgi', 'module'])
        listens = uwsgi['uwsgi', 'http-socket']
        self.assertIn(f'"http://{listens}"', (self.root / 'imagepipe-api.conf').read_text())
        self.assertIn('enable_apache_site imagepipe-api', calls)

    def test_extra_starts_both_services_before_images_are_uploaded(self) -> None:
        calls = self.phases('stack extra')['stack extra']
        order = [
            call.split()[0:2]
            for call in calls
            if call.split()[0] in ('run_process', 'wait_for_service', 'upload_image')
        ]
        self.assertEqual(
            [
                ['run_process', 'imagepipe-api'],
                ['run_process', 'imagepipe-conductor'],
                ['wait_for_service', '60'],
                ['upload_image', 'http://192.0.2.2/a.qcow2'],
                ['upload_image', 'http://192.0.2.2/b.img'],
            ],
            order,
        )

    def test_an_api_that_does_not_start_ends_the_run(self) -> None:
        calls = self.phases('stack extra', expect=1, API_DOES_NOT_START='yes')['stack extra']
        self.assertEqual('die imagepipe-api did not start', calls[-1])

    def test_tempest_is_told_only_where_it_is(self) -> None:
        self.assertNotEqual([], self.phases('stack test-config')['stack test-config'])
        without = self.phases('stack test-config', ENABLED_SERVICES='key,mysql')
        self.assertEqual([], without['stack test-config'])

    def test_unstack_stops_what_extra_starts(self) -> None:
        calls = self.phases('stack extra', 'unstack')
        started = [call.split()[1] for call in calls['stack extra'] if call.startswith('run_process ')]
        stopped = [call.split()[1] for call in calls['unstack'] if call.startswith('stop_process ')]
        self.assertEqual(sorted(started), sorted(stopped))

    def test_clean_removes_what_was_made(self) -> None:
        calls = self.phases('clean')['clean']
        self.assertIn('disable_apache_site imagepipe-api', calls)
        self.assertIn(f'sudo rm -rf {self.root}/etc {self.root}/data/imagepipe', calls)

    def test_a_phase_of_others_does_nothing(self) -> None:
        self.assertEqual([], self.phases('stack pre-install')['stack pre-install'])
