"""Property protections over HTTP: the same protections in each of the three forms, and the same answers."""

import functools
import os
from typing import ClassVar

import fixtures
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain.import_ import FLOWS, GUARDED
from imagepipe.tests.fixtures.api import V20, V21, ApiFixture
from imagepipe.tests.fixtures.pipeline import PipelineFixture

ROLES = """
[^open_]
create = @
read = @
update = @
delete = @
[^fixed_]
create = member
read = @
update = admin
delete = !
[^secret_]
create = admin
read = ADMIN
update = admin
delete = admin
[^blind_]
create = member
read = !
update = !
delete = !
"""
POLICIES = """
[^open_]
create = @
read = @
update = @
delete = @
[^fixed_]
create = members
read = @
update = admins
delete = !
[^secret_]
create = admins
read = admins
update = admins
delete = admins
[^blind_]
create = members
read = !
update = !
delete = !
"""
NAMED = '"members": "role:member"\n"admins": "role:admin"\n'
PATTERNS = """
"create_image_property": "!"
"read_image_property": "!"
"update_image_property": "!"
"delete_image_property": "!"
"create_image_property:^(open)_": "@"
"read_image_property:^(open|fixed)_": "@"
"update_image_property:^(open)_": "@"
"delete_image_property:^(open)_": "@"
"create_image_property:^(fixed|blind)_": "role:member"
"update_image_property:^(fixed)_": "role:admin"
"create_image_property:^secret_": "role:admin"
"read_image_property:^secret_": "role:admin"
"update_image_property:^secret_": "role:admin"
"delete_image_property:^secret_": "role:admin"
"""


class ProtectionsCase(testtools.TestCase):
    rule_format = 'roles'
    file: str | None = None
    policy = ''
    overrides: ClassVar[dict[str, object]] = {}
    fixture = ApiFixture

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.policy_file = os.path.join(directory, 'policy.yaml')
        self.write(self.policy_file, self.policy)
        overrides = {'oslo_policy.policy_file': self.policy_file, **self.overrides}
        if self.file is not None:
            path = os.path.join(directory, 'protections.conf')
            self.write(path, self.file)
            overrides |= {
                'property_protection_file': path,
                'property_protection_rule_format': self.rule_format,
            }
        self.api = self.useFixture(self.fixture(self, overrides=overrides))

    def write(self, path, text):
        with open(path, 'w') as file:
            file.write(text)

    def assert_refused(self, error, response):
        self.assertEqual(error.status, response.status_int, response.text)
        self.assertEqual(error.code, response.json['error']['error_code'])

    def shown(self, image_id, as_):
        """The custom properties that somebody sees."""
        image = self.api.call('GET', f'/v2/images/{image_id}', as_=as_).json
        listed = self.api.call('GET', '/v2/images', as_=as_).json['images']
        self.assertEqual([image], [found for found in listed if found['id'] == image_id])
        return {name: value for name, value in image.items() if '_1' in name}

    def found(self, query, as_='ours'):
        return [image['id'] for image in self.api.call('GET', f'/v2/images?{query}', as_=as_).json['images']]


class FormsTest(testscenarios.WithScenarios, ProtectionsCase):
    scenarios = [
        ('a file of roles', {'file': ROLES}),
        ('a file of rules', {'file': POLICIES, 'rule_format': 'policies', 'policy': NAMED}),
        ('policy.yaml', {'policy': PATTERNS}),
    ]

    def create(self, as_='ours', **properties):
        return self.api.call('POST', '/v2/images', properties, as_=as_)

    def test_create(self):
        self.assertEqual(201, self.create(open_1='a', fixed_1='b', name='n').status_int)
        for name in ('secret_1', 'other_1'):
            self.assert_refused(errors.PropertyProtected, self.create(**{name: 'a', 'open_1': 'b'}))
        self.assert_refused(errors.PropertyProtected, self.create(as_='admin', other_1='a'))
        image = self.create(as_='admin', secret_1='a').json
        self.assertEqual('a', image['secret_1'])
        created = self.create(blind_1='a', open_1='b').json
        self.assertNotIn('blind_1', created)  # to create is not to read
        self.assertEqual('b', created['open_1'])

    def test_what_may_not_be_read_is_not_there(self):
        image_id = self.create(open_1='a', fixed_1='b', blind_1='c').json['id']
        self.api.patch(image_id, {'op': 'add', 'path': '/secret_1', 'value': 'd'}, as_='admin')
        self.assertEqual({'open_1': 'a', 'fixed_1': 'b'}, self.shown(image_id, 'ours'))
        self.assertEqual({'open_1': 'a', 'fixed_1': 'b'}, self.shown(image_id, 'reader'))
        admins = self.api.call('GET', f'/v2/images/{image_id}', as_='admin').json
        self.assertEqual('d', admins['secret_1'])
        self.assertNotIn('blind_1', admins)
        answer = self.api.patch(image_id, {'op': 'replace', 'path': '/open_1', 'value': 'z'}).json
        self.assertEqual({'open_1': 'z', 'fixed_1': 'b'}, {n: answer[n] for n in answer if '_1' in n})

    def test_a_filter_tells_as_little_as_an_image(self):
        image_id = self.create(open_1='a', blind_1='c').json['id']
        self.api.patch(image_id, {'op': 'add', 'path': '/secret_1', 'value': 'd'}, as_='admin')
        self.assertEqual([image_id], self.found('open_1=a'))
        self.assertEqual([], self.found('secret_1=d'))
        self.assertEqual([], self.found('blind_1=c'))
        self.assertEqual([], self.found('open_1=a&secret_1=d'))
        self.assertEqual([image_id], self.found('secret_1=d&visibility=all', as_='admin'))

    def test_patches(self):
        image_id = self.create(open_1='a', fixed_1='b').json['id']
        self.api.patch(image_id, {'op': 'add', 'path': '/secret_1', 'value': 'd'}, as_='admin')
        protected, missing = errors.PropertyProtected, errors.PropertyMissing
        for operation, error in (
            ({'op': 'replace', 'path': '/fixed_1', 'value': 'z'}, protected),
            ({'op': 'add', 'path': '/fixed_1', 'value': 'z'}, protected),
            ({'op': 'remove', 'path': '/fixed_1'}, protected),
            ({'op': 'add', 'path': '/secret_2', 'value': 'z'}, protected),
            ({'op': 'add', 'path': '/secret_1', 'value': 'z'}, protected),
            ({'op': 'replace', 'path': '/secret_1', 'value': 'z'}, missing),
            ({'op': 'remove', 'path': '/secret_1'}, missing),
            ({'op': 'remove', 'path': '/secret_3'}, missing),
            ({'op': 'add', 'path': '/other_1', 'value': 'z'}, protected),
        ):
            with self.subTest(operation=operation):
                other = {'op': 'add', 'path': '/open_2', 'value': 'never stored'}
                self.assert_refused(error, self.api.patch(image_id, other, operation))
        strict = self.api.patch(image_id, {'add': '/fixed_1', 'value': 'z'}, media=V20)
        self.assert_refused(errors.PropertyExists, strict)
        self.assertEqual({'open_1': 'a', 'fixed_1': 'b'}, self.shown(image_id, 'ours'))
        for operation in (
            {'op': 'replace', 'path': '/fixed_1', 'value': 'y'},
            {'op': 'replace', 'path': '/secret_1', 'value': 'y'},
            {'op': 'remove', 'path': '/secret_1'},
        ):
            response = self.api.patch(image_id, operation, as_='admin', media=V21)
            self.assertEqual(200, response.status_int, response.text)
        self.assertEqual({'open_1': 'a', 'fixed_1': 'y'}, self.shown(image_id, 'ours'))

    def test_base_properties_are_free(self):
        image_id = self.create(name='n').json['id']
        response = self.api.patch(image_id, {'op': 'replace', 'path': '/name', 'value': 'm'})
        self.assertEqual('m', response.json['name'])


class InjectionTest(ProtectionsCase):
    """Properties that the operator gives imported images; the rules of the importing user apply."""

    file = ROLES
    fixture = functools.partial(PipelineFixture, works=False)
    overrides: ClassVar[dict[str, object]] = {
        'inject_metadata_properties.inject': 'open_1:by import,fixed_1:f,fixed_2:g,secret_1:s,os_glance_x:y',
    }

    def test_an_import_writes_what_its_user_may_write(self):
        image_id = self.api.image(open_1='mine', fixed_1='mine')
        self.api.stage(image_id, b'data')
        import_id = self.api.start(image_id)
        # The first release would leave them out.
        record = self.api.services.db.read(lambda tx: tx.imports.get(import_id))
        self.assertEqual(FLOWS[GUARDED], record.flow_version)
        self.write(self.policy_file, '"create_image_property:2": "!"\n')  # too late: this was decided
        self.api.work()
        self.api.succeed(import_id)
        self.assertEqual(
            {'open_1': 'by import', 'fixed_1': 'mine', 'fixed_2': 'g'},
            {name: self.api.show(image_id).get(name) for name in ('open_1', 'fixed_1', 'fixed_2')},
        )
        admins = self.api.show(image_id, as_='admin')
        self.assertNotIn('secret_1', admins)
        self.assertNotIn('os_glance_x', admins)
        self.assertIn("leaves the property 'secret_1' out", self.api.log.output)

    def test_users_with_certain_roles_are_left_alone(self):
        image_id = self.api.image()
        self.api.stage(image_id, b'data')
        import_id = self.api.start(image_id, as_='admin')
        self.api.work()
        self.api.succeed(import_id)
        self.assertNotIn('open_1', self.api.show(image_id))

    def test_an_upload_gets_nothing(self):
        image_id = self.api.image()
        self.assertEqual(204, self.api.put(image_id, b'data').status_int)
        self.assertNotIn('open_1', self.api.show(image_id))
