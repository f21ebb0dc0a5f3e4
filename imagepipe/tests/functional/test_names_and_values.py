"""Names that differ in case and blanks only, and the longest values: whole over the API, on each database."""

import itertools
from collections.abc import Mapping
from urllib.parse import urlencode

import testscenarios
import testtools

from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.databases import DATABASES

NAMES = ('Foo', 'foo', 'foo ')
#: 64 KiB, which end differently, so that no shorter piece of them tells them apart.
LONG, LONGER = ('long' * 16383 + end for end in ('4444', '5555'))


class NamesAndValuesTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind))

    def show(self, image_id: str) -> Mapping[str, object]:
        return self.api.call('GET', f'/v2/images/{image_id}').json

    def list(self, **query: str) -> list[str]:
        """The names of the images, a page of one after the other."""
        found = []
        path = f'/v2/images?{urlencode({"limit": 1, **query})}'
        while path is not None:
            page = self.api.call('GET', path).json
            found += [image['name'] for image in page['images']]
            path = page.get('next')
        return found

    def test_three_names_are_three_images(self) -> None:
        for name in reversed(NAMES):
            self.assertEqual(name, self.show(self.api.create(name=name)['id'])['name'])
        for name in NAMES:
            self.assertEqual([name], self.list(name=name))
        self.assertEqual([], self.list(name='FOO'))
        self.assertEqual(['Foo', 'foo '], sorted(self.list(name='in:Foo,"foo "')))
        for direction, wanted in (('asc', NAMES), ('desc', NAMES[::-1])):
            self.assertEqual(list(wanted), self.list(sort=f'name:{direction}'))

    def test_a_name_is_changed_into_each_other(self) -> None:
        image_id = self.api.create(name='foo')['id']
        for old, new in itertools.pairwise((*NAMES, *NAMES)):
            change = {'op': 'replace', 'path': '/name', 'value': new}
            self.assertEqual(new, self.api.patch(image_id, change).json['name'])
            self.assertEqual(([], [new]), (self.list(name=old), self.list(name=new)))

    def test_three_properties_of_one_image(self) -> None:
        image_id = self.api.create(name='it', **{name: f'of {name}' for name in NAMES})['id']
        self.assertEqual({name: f'of {name}' for name in NAMES}, self.own(image_id))
        for name in NAMES:
            self.assertEqual(['it'], self.list(**{name: f'of {name}'}))
        self.assertEqual([], self.list(Foo='of foo'))

        self.api.patch(image_id, {'op': 'replace', 'path': '/foo', 'value': 'new'})
        self.api.patch(image_id, {'op': 'remove', 'path': '/Foo'})
        self.assertEqual({'foo': 'new', 'foo ': 'of foo '}, self.own(image_id))
        self.api.patch(image_id, {'op': 'add', 'path': '/Foo', 'value': 'again'})
        self.assertEqual({'Foo': 'again', 'foo': 'new', 'foo ': 'of foo '}, self.own(image_id))

    def own(self, image_id: str) -> Mapping[str, object]:
        """The properties whose names are at issue."""
        return {name: value for name, value in self.show(image_id).items() if name in NAMES}

    def test_values_of_a_property_that_differ_in_case_and_blanks(self) -> None:
        for value in NAMES:
            self.api.create(name=f'has {value}', key=value)
        for value in NAMES:
            self.assertEqual([f'has {value}'], self.list(key=value))

    def test_a_value_of_64_kib(self) -> None:
        self.assertEqual([1 << 16] * 2, [len(LONG), len(LONGER)])
        image_id = self.api.create(name='created', key=LONG)['id']
        other = self.api.create(name='patched', key='short')['id']
        answer = self.api.patch(other, {'op': 'replace', 'path': '/key', 'value': LONGER})
        self.assertEqual((200, LONGER), (answer.status_int, answer.json['key']))
        for each, value, name in ((image_id, LONG, 'created'), (other, LONGER, 'patched')):
            self.assertEqual(value, self.show(each)['key'])
            self.assertEqual([name], self.list(key=value))
        self.assertEqual([], self.list(key=LONG[:-1]))
        shown = self.api.call('GET', '/v2/images?sort=name:asc').json['images']
        self.assertEqual([LONG, LONGER], [image['key'] for image in shown])
        self.api.patch(image_id, {'op': 'replace', 'path': '/key', 'value': 'é' * (1 << 16)})
        self.assertEqual('é' * (1 << 16), self.show(image_id)['key'])
        self.api.patch(image_id, {'op': 'remove', 'path': '/key'})
        self.assertNotIn('key', self.show(image_id))
