"""Stores out of configuration."""

import io
import os
from pathlib import Path

import fixtures
import testtools
from glance_store import location

from imagepipe import errors
from imagepipe.stores import loading
from imagepipe.stores.http import HTTPStore
from imagepipe.stores.memory import InMemoryStore
from imagepipe.stores.store import Stores
from imagepipe.tests.fixtures.stores import configuration, parsed


class LoadingTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = Path(self.useFixture(fixtures.TempDir()).path)

    def refused(self, part, enabled, default, **sections):
        conf = configuration(enabled, default, **sections)
        error = self.assertRaises(errors.ConfigurationInvalid, loading.load, conf)
        self.assertIn(part, str(error))

    def file(self, name='images', **options):
        return {'filesystem_store_datadir': self.root / name, **options}

    def test_several_stores(self):
        conf = configuration(
            {'fast': 'file', 'cheap': 'file', 'web': 'http'},
            'fast',
            fast=self.file('fast', store_description='quick and dear', weight=10),
            cheap=self.file('cheap'),
        )

        stores = loading.load(conf)

        self.assertEqual((3, 'fast', True), (len(stores), stores.default, stores.multi))
        self.assertEqual({'fast', 'cheap'}, set(stores.writable()))
        self.assertEqual(('quick and dear', 10), (stores['fast'].description, stores['fast'].weight))
        self.assertEqual(
            (None, 0, 'file'), (stores['cheap'].description, stores['cheap'].weight, stores['cheap'].type)
        )
        url = stores['fast'].put('a.b.1.data', io.BytesIO(b'x'), 1)
        self.assertEqual(f'file://{self.root}/fast/a.b.1.data', url)
        self.assertEqual([], list(stores['cheap'].names()))

    def test_what_the_detailed_list_shows(self):
        address = {
            'swift_store_auth_address': 'http://127.0.0.1:9',
            'swift_store_user': 'a:b',
            'swift_store_key': 'k',
        }
        conf = configuration(
            {'fast': 'file', 'obj': 'swift', 'web': 'http'},
            'fast',
            fast=self.file(),
            obj={**address, 'swift_store_large_object_size': 100},
        )

        stores = loading.load(conf)

        self.assertEqual(
            {'data_dir': f'{self.root}/images', 'chunk_size': 65536, 'thin_provisioning': False},
            stores['fast'].properties(),
        )
        self.assertEqual(
            {'container': 'glance', 'large_object_size': 102400000, 'large_object_chunk_size': 204800000},
            stores['obj'].properties(),
        )
        self.assertEqual({}, stores['web'].properties())

    def test_nothing_enters_the_registries_of_glance_store(self):
        before = (dict(location.SCHEME_TO_CLS_MAP), dict(location.SCHEME_TO_CLS_BACKEND_MAP))

        loading.load(configuration({'fast': 'file', 'web': 'http'}, 'fast', fast=self.file()))

        self.assertEqual(before, (location.SCHEME_TO_CLS_MAP, location.SCHEME_TO_CLS_BACKEND_MAP))

    def test_two_configurations_in_one_process(self):
        one = loading.load(configuration({'fast': 'file'}, 'fast', fast=self.file('one')))
        two = loading.load(configuration({'fast': 'file'}, 'fast', fast=self.file('two')))

        one['fast'].put('a.b.1.data', io.BytesIO(b'x'), 1)

        self.assertEqual([], list(two['fast'].names()))

    def test_the_same_configuration_twice(self):
        conf = configuration({'fast': 'file', 'web': 'http'}, 'fast', fast=self.file())

        for _ in range(2):
            stores = loading.load(conf)
            self.assertTrue(
                stores['fast'].put('a.b.1.data', io.BytesIO(b'x'), 1).startswith(f'file://{self.root}/images')
            )

    def test_options_shared_by_all_stores(self):
        conf = configuration(
            {'fast': 'file', 'cheap': 'file'},
            'fast',
            backend_defaults={
                'filesystem_store_file_perm': 640,
                'filesystem_store_datadir': self.root / 'shared',
            },
            cheap=self.file('cheap', filesystem_store_file_perm=600),
        )

        stores = loading.load(conf)

        modes = {}
        for store_id in stores:
            path = stores[store_id].put('a.b.1.data', io.BytesIO(b'x'), 1).removeprefix('file://')
            modes[os.path.dirname(path)] = os.stat(path).st_mode & 0o777
        self.assertEqual({f'{self.root}/shared': 0o640, f'{self.root}/cheap': 0o600}, modes)

    def test_several_directories(self):
        conf = configuration(
            {'fast': 'file'},
            'fast',
            fast={
                'filesystem_store_datadirs': f'{self.root}/a:1\nfilesystem_store_datadirs = {self.root}/b:2'
            },
        )

        datadirs = loading.load(conf)['fast'].datadirs

        self.assertEqual(
            [(self.root / 'b', 2), (self.root / 'a', 1)], [(each.path, each.priority) for each in datadirs]
        )

    def test_what_cannot_work_stops_the_start(self):
        file = self.file()
        self.refused('reserved', {'fast': 'file', 'os_glance_x': 'file'}, 'fast', fast=file)
        self.refused('default_backend', {'fast': 'file'}, 'slow', fast=file)
        self.refused('takes no data', {'web': 'http'}, 'web')
        self.refused("'floppy'", {'fast': 'floppy'}, 'fast')
        self.refused("'vmware'", {'fast': 'vmware'}, 'fast')
        self.refused('no_conf', {'fast': 'no_conf'}, 'fast')
        self.refused('octal', {'fast': 'file'}, 'fast', fast={**file, 'filesystem_store_file_perm': 888})
        self.refused('use one', {'fast': 'file'}, 'fast', fast={**file, 'filesystem_store_datadirs': '/x:1'})
        self.refused('path:priority', {'fast': 'file'}, 'fast', fast={'filesystem_store_datadirs': '/x:high'})
        self.refused('multi_tenant', {'obj': 'swift'}, 'obj', obj={'swift_store_multi_tenant': True})
        self.refused('auth_address', {'obj': 'swift'}, 'obj', obj={'swift_store_user': 'a:b'})

    def test_a_directory_that_cannot_be_made_is_an_outage_of_that_store(self):
        (self.root / 'blocked').write_bytes(b'')
        conf = configuration(
            {'fast': 'file', 'cheap': 'file'},
            'cheap',
            fast=self.file('blocked/images'),
            cheap=self.file('cheap'),
        )

        stores = loading.load(conf)

        stores['cheap'].check()
        self.assertRaises(errors.ImagepipeError, stores['fast'].check)

    def test_one_store_as_before_enabled_backends(self):
        stores = loading.load(parsed(f'[glance_store]\nfilesystem_store_datadir = {self.root}/images'))

        self.assertEqual((['file', 'http'], 'file', False), (list(stores), stores.default, stores.multi))
        url = stores['file'].put('a.b.1.data', io.BytesIO(b'x'), 1)
        self.assertEqual(f'file://{self.root}/images/a.b.1.data', url)

    def test_one_store_that_is_not_enabled(self):
        for options in (
            'default_store = swift\nstores = file,http',
            'default_store = vsphere\nstores = vmware',
        ):
            self.assertRaises(errors.ConfigurationInvalid, loading.load, parsed('[glance_store]\n' + options))

    def test_the_sample_has_the_options_of_the_drivers(self):
        listed = dict(loading.list_opts())

        for kind, name in (
            ('file', 'filesystem_store_datadir'),
            ('s3', 's3_store_bucket'),
            ('rbd', 'rbd_store_pool'),
        ):
            self.assertIn(name, [option.name for option in listed[kind]])


class UrlTest(testtools.TestCase):
    """Which store a URL belongs to."""

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path
        web = HTTPStore('web', None)
        self.stores = Stores(
            {'one': InMemoryStore('one'), 'two': InMemoryStore('two'), 'web': web}, default='one', multi=True
        )

    def found(self, url, wanted=None):
        store = self.stores.of_url(url, wanted)
        return store and store.id

    def test_by_its_beginning_or_as_the_client_says(self):
        for url, wanted, expected in (
            ('memory://two/x', None, 'two'),
            ('memory://one/x', 'two', 'two'),
            ('memory://elsewhere/x', None, None),
            ('memory://elsewhere/x', 'nowhere', None),
            ('https://example.org/x', None, 'web'),
            ('http://example.org/x', 'one', 'web'),
            ('rbd://a/b/c/d', None, None),
            ('no url', None, None),
        ):
            self.assertEqual(expected, self.found(url, wanted), url)

    def test_drivers_know_theirs(self):
        sections = {name: {'filesystem_store_datadir': f'{self.root}/{name}'} for name in ('fast', 'cheap')}
        stores = loading.load(configuration({'fast': 'file', 'cheap': 'file'}, 'fast', **sections))
        self.assertEqual('cheap', stores.of_url(f'file://{self.root}/cheap/x').id)
        self.assertIsNone(stores.of_url('file:///etc/passwd'))
