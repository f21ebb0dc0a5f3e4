"""imagepipe-manage db load_metadefs, export_metadefs and unload_metadefs, as an operator calls them."""

import json
import pathlib

import fixtures
import testscenarios
import testtools

from imagepipe.cmd import metadef_files
from imagepipe.context import system
from imagepipe.tests.fixtures import commands
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.unit.test_manage import called

STRING = {'title': 'T', 'type': 'string'}
#: Every construct that a file may have.
WHOLE = {
    'namespace': 'OS::Test::Whole',
    'display_name': 'Größe',
    'description': 'Everything',
    'visibility': 'public',
    'protected': True,
    'owner': 'somebody',
    'resource_type_associations': [
        {'name': 'OS::Nova::Server', 'prefix': 'hw:', 'properties_target': 'image'},
        {'name': 'OS::Glance::Image'},
    ],
    'properties': {
        'zeta': {
            'title': 'Zeta', 'description': 'First', 'type': 'integer', 'default': 5, 'minimum': 1.5,
            'maximum': 10, 'operators': ['<or>', '<in>'], 'readonly': True, 'confidential': True,
        },
        'alpha': {
            'title': 'Alpha', 'type': 'array', 'items': {'type': 'string', 'enum': ['a', 'b']},
            'minItems': 0, 'maxItems': 2, 'uniqueItems': True, 'additionalItems': False, 'default': ['a'],
        },
        'text': {'title': 'Text', 'type': 'string', 'pattern': '^[a-z]+$', 'minLength': 1, 'maxLength': 9,
                 'enum': ['x', 'y'], 'default': None, 'required': ['x']},
    },
    'objects': [
        {'name': 'box', 'description': 'A box', 'required': ['z'], 'properties': {'z': STRING, 'a': STRING}},
        {'name': 'bare', 'properties': {}},
    ],
    'tags': [{'name': 'one'}, {'name': 'two'}],
}  # fmt: skip
OLD = {
    'namespace': 'M',
    'display_name': 'old',
    'description': 'old',
    'resource_type_associations': [{'name': 'R1', 'prefix': 'a:'}, {'name': 'R2'}],
    'properties': {'p1': {'title': 'old', 'type': 'string'}, 'p2': {'title': 'old', 'type': 'string'}},
    'objects': [{'name': 'o1', 'description': 'old'}, {'name': 'o2'}],
    'tags': [{'name': 't1'}, {'name': 't2'}],
}
NEW = {
    'namespace': 'M',
    'display_name': 'new',
    'visibility': 'public',
    'resource_type_associations': [{'name': 'R1', 'prefix': 'b:'}, {'name': 'R3'}],
    'properties': {'p1': {'title': 'new', 'type': 'string'}, 'p3': {'title': 'new', 'type': 'string'}},
    'objects': [{'name': 'o1', 'description': 'new'}, {'name': 'o3'}],
    'tags': [{'name': 't1'}, {'name': 't3'}],
}


class FilesCase(testtools.TestCase):
    database_kind = 'sqlite'

    def setUp(self):
        super().setUp()
        self.parts = self.useFixture(ServicesFixture(self, kind=self.database_kind))
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def file(self, content, name='a.json'):
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def run_command(self, name, *words, expect=0):
        status, out, err = called(self.parts.config_file(), 'db', f'{name}_metadefs', *map(str, words))
        self.assertEqual((expect, expect), (status, int(bool(err))), f'{out}\n{err}')
        return err if expect else out

    def load(self, *words, **more):
        return self.run_command('load', '--path', self.directory, *words, **more)

    def stored(self, name):
        """What is in a namespace."""

        def look(tx):
            found = tx.metadefs.get(system(), name)
            return found, tx.metadefs.contents(found)

        return self.parts.services.db.snapshot(look)

    def count(self):
        return len(self.parts.services.db.read(lambda tx: tx.metadefs.all()))


class LoadAndExportTest(testscenarios.WithScenarios, FilesCase):
    scenarios = DATABASES

    def test_what_is_loaded_is_exported_and_loaded_again(self):
        self.file(WHOLE)
        self.file({'namespace': 'OS::Test::Empty'}, 'b.json')
        self.file('no JSON', 'README')
        self.file('no JSON', '.c.json')
        self.assertIn(f'OS::Test::Whole ({self.directory}/a.json): loaded\n', self.load())
        found, _ = self.stored('OS::Test::Empty')
        self.assertEqual(('private', 'admin', False), (found.visibility, found.owner, found.protected))
        exported = self.directory / 'exported'
        exported.mkdir()
        self.run_command('export', '--path', exported)
        whole = json.loads((exported / 'OS::Test::Whole.json').read_text())
        self.assertEqual(WHOLE, whole)
        self.assertEqual(list(WHOLE['properties']), list(whole['properties']))
        before = self.stored('OS::Test::Whole')[1]
        self.assertEqual('Deleted: 2 namespaces.\n', self.run_command('unload'))
        self.assertEqual(0, self.count())
        types = self.parts.services.db.read(lambda tx: tx.metadefs.resource_types.all())
        self.assertEqual([], types)
        self.run_command('load', '--path', exported)
        after = self.stored('OS::Test::Whole')[1]
        for kind in ('associations', 'properties', 'objects', 'tags'):
            self.assertEqual(
                [each.name for each in getattr(before, kind)], [each.name for each in getattr(after, kind)]
            )
        again = self.directory / 'again'
        again.mkdir()
        self.run_command('export', '--path', again)
        for path in exported.iterdir():
            self.assertEqual(path.read_bytes(), (again / path.name).read_bytes())


class OneDatabaseTest(FilesCase):
    #: A file's content, and what is said of it.
    BAD = (
        ('', 'it is not JSON (Expecting value: line 1 column 1'),
        ('{"namespace": "x",}', 'line 1 column 19'),
        ('[]', 'an object is expected'),
        ('{"namespace": "x", "a": NaN}', 'NaN is not a number'),
        ('{"namespace": "x", "a": 1e999}', 'a number is too large'),
        ('[' * 500 + ']' * 500, 'nested too deeply'),
        ({}, "'namespace' is a required property"),
        ({'namespace': 'a/b'}, 'has no /'),
        ({'namespace': 'x' * 81}, 'too long'),
        ({'namespace': 'x', 'propertys': {}}, 'propertys'),
        ({'namespace': 'x', 'properties': {'p': {'type': 'string'}}}, "properties.p: 'title' is a required"),
        ({'namespace': 'x', 'properties': {'p': {**STRING, 'type': 'text'}}}, 'properties.p.type'),
        ({'namespace': 'x', 'objects': [{'name': 'o'}, {}]}, 'objects.1'),
        ({'namespace': 'x', 'tags': [{'name': 't'}] * 2}, "'t' is given more than once"),
        ({'namespace': 'x', 'visibility': 'shared'}, 'visibility'),
    )

    def test_ways_to_merge(self):
        ways = {
            (): ('left as it is', 'old', 'old', 'p1:old p2:old', 'R1:a: R2:None', 'o1:old o2:None', 't2 t1'),
            ('--merge',): (
                'merged', 'old', 'old', 'p1:old p2:old p3:new', 'R1:a: R2:None R3:None',
                'o1:old o2:None o3:None', 't3 t2 t1',
            ),
            ('--merge', '--prefer_new'): (
                'merged', 'new', None, 'p1:new p2:old p3:new', 'R1:b: R2:None R3:None',
                'o1:new o2:None o3:None', 't3 t2 t1',
            ),
            ('--merge', '--overwrite'): (
                'overwritten', 'new', None, 'p1:new p3:new', 'R1:b: R3:None', 'o1:new o3:None', 't3 t1',
            ),
        }  # fmt: skip
        for words, (said, name, description, *rest) in ways.items():
            self.run_command('unload')
            self.file(OLD)
            self.load()
            self.file(NEW)
            self.assertIn(said, self.load(*words))
            found, contents = self.stored('M')
            self.assertEqual((name, description), (found.display_name, found.description), words)
            self.assertEqual('public' if name == 'new' else 'private', found.visibility)
            shown = [
                ' '.join(f'{each.name}:{each.definition["title"]}' for each in contents.properties),
                ' '.join(f'{each.name}:{each.prefix}' for each in contents.associations),
                ' '.join(f'{each.name}:{each.description}' for each in contents.objects),
                ' '.join(each.name for each in contents.tags),
            ]
            self.assertEqual(rest, shown, words)

    def test_a_bad_file_is_named_and_nothing_is_loaded(self):
        self.file(WHOLE)
        for content, words in self.BAD:
            path = self.file(content, 'b.json')
            said = self.load(expect=1)
            self.assertIn(f'imagepipe-manage: {path}: ', said)
            self.assertIn(words, said)
            self.assertIn('(imagepipe.metadef.file_invalid)', said)
            self.assertEqual(0, self.count())

    def test_every_bad_file_is_named(self):
        bad = [self.file('', name) for name in ('b.json', 'c.json')]
        said = self.load(expect=1)
        self.assertEqual(2, said.count('\n'))
        for path in bad:
            self.assertIn(str(path), said)

    def test_bytes_and_paths_that_cannot_be_read(self):
        self.file('').write_bytes(b'{"namespace": "\xff"}')
        self.assertIn('it is not UTF-8', self.load(expect=1))
        self.file('').write_bytes(b'\xef\xbb\xbf{"namespace": "x"}')
        self.load()
        nowhere = self.directory / 'nowhere'
        self.assertIn('No such file', self.run_command('load', '--path', nowhere, expect=1))
        self.assertIn('not a directory', self.run_command('export', '--path', nowhere, expect=1))
        nowhere.mkdir()
        self.assertIn('there is no file *.json', self.run_command('load', '--path', nowhere, expect=1))
        (nowhere / 'x.json').mkdir()
        self.assertIn('Is a directory', self.run_command('export', '--path', nowhere, expect=1))

    def test_a_merge_is_asked_for_once(self):
        self.file(WHOLE)
        for words in (['--overwrite'], ['--prefer_new'], ['--merge', '--overwrite', '--prefer_new']):
            self.assertIn('--merge', self.load(*words, expect=1))

    def test_glance_writes_null_for_what_is_not_set(self):
        self.file(
            {
                'namespace': 'x',
                'display_name': None,
                'objects': [{'name': 'o', 'description': None, 'required': None}],
                'resource_type_associations': [{'name': 'R', 'prefix': None, 'properties_target': None}],
                'properties': {'p': {**STRING, 'description': None, 'default': None}},
            }
        )
        self.load()
        properties = self.stored('x')[1].properties
        self.assertEqual({**STRING, 'default': None}, properties[0].definition)

    def test_names_of_files(self):
        for namespace, expected in (
            ('OS::A', 'OS::A.json'),
            ('.hidden', '%2Ehidden.json'),
            ('a/b c', 'a%2Fb%20c.json'),
        ):
            self.assertEqual(expected, metadef_files.file_name(namespace))
        long = [metadef_files.file_name('\U0001f600' * 79 + last) for last in 'ab']
        self.assertNotEqual(*long)
        for name in long:
            self.assertLess(len(name), 255)


class ShippedTest(testtools.TestCase):
    def test_what_is_shipped_can_be_loaded_from_the_default_path(self):
        shipped = commands.PROJECT / 'etc' / 'imagepipe' / 'metadefs'
        parts = self.useFixture(ServicesFixture(self, overrides={'metadata_source_path': shipped}))
        status, out, err = called(parts.config_file(), 'db', 'load_metadefs')
        self.assertEqual((0, ''), (status, err))
        self.assertIn('OS::Glance::Signatures', out)
        status, out, err = called(parts.config_file(), 'db', 'load_metadefs')
        self.assertEqual(len(list(shipped.iterdir())), out.count('there already, left as it is'))
