"""imagepipe-manage protections: what the tool says is what the API does."""

import json
import os

import fixtures
import testtools

from imagepipe.tests.fixtures.services import write_config
from imagepipe.tests.unit.test_manage import called

FILE = """
[^license]
create = admin
read = @
update = service
delete = !
[.*]
create = member
read = member,reader
update = member
delete = member
"""
RULES = """
"update_image_property:^license": "service_roles:service"
"read_image_property:^secret": "role:admin"
"""
TABLE = """\
PATTERN      FROM                      CREATE  READ  UPDATE  DELETE
^license     property_protection_file  no      yes   yes     no
.*           property_protection_file  yes     yes   yes     yes
(any other)  property_protection_file  no      no    no      no
^license     policy file               -       -     yes     -
^secret      policy file               -       no    -       -
(any other)  policy file               yes     yes   yes     yes

The first pattern that is found in the name decides; where it says -, one below does. What either source \
denies is denied.
"""


class ShowTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.config = self.path('imagepipe.conf')
        write_config(self.config, {})

    def path(self, name, text=None):
        path = os.path.join(self.directory, name)
        if text is not None:
            with open(path, 'w') as file:
                file.write(text)
        return path

    def protect(self, file, rules):
        settings = {'oslo_policy.policy_file': self.path('policy.yaml', rules)}
        if file is not None:
            settings['property_protection_file'] = self.path('protections.conf', file)
        write_config(self.config, settings)

    def show(self, *words):
        status, out, err = called(self.config, 'protections', 'show', *words)
        self.assertEqual((0, ''), (status, err))
        return out

    def test_a_table_of_patterns(self):
        self.protect(FILE, RULES)
        self.assertEqual(TABLE, self.show('--role', 'Member,reader', '--service-role', 'service'))

    def test_properties_by_name(self):
        self.protect(FILE, RULES)
        out = self.show('--role', 'member', '--property', 'license_1', '--property', 'secret')
        self.assertEqual(
            'PROPERTY   CREATE  READ  UPDATE  DELETE\n'
            'license_1  no      yes   no      no\n'
            'secret     yes     no    yes     yes\n',
            out,
        )

    def test_json(self):
        self.protect(None, RULES)
        shown = json.loads(self.show('--role', 'admin', '--role', 'member', '--format', 'json'))
        self.assertEqual(['admin', 'member'], shown['roles'])
        self.assertEqual(
            [
                ('^license', None, None, False, None),
                ('^secret', None, True, None, None),
                (None, True, True, True, True),
            ],
            [tuple(row[n] for n in ('pattern', 'create', 'read', 'update', 'delete'))
             for row in shown['protections']],
        )  # fmt: skip

    def test_nothing_is_protected(self):
        self.assertIn('Nothing is protected', self.show('--role', 'member'))
        self.assertEqual([], json.loads(self.show('--format', 'json'))['protections'])

    def test_a_file_that_cannot_work(self):
        self.protect('[x]\ncreate = @\n', RULES)
        status, out, err = called(self.config, 'protections', 'show')
        self.assertEqual((1, ''), (status, out))
        self.assertIn('[x] read is missing (imagepipe.configuration.invalid)', err)
