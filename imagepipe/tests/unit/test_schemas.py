"""The schema of images: its document as clients read it, and what it lets in."""

import jsonschema
import testscenarios
import testtools

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.api.gate import Gate
from imagepipe.api.schemas.image import NEW_IMAGE, ImageSchema
from imagepipe.domain import properties

SCHEMA = ImageSchema(['raw', 'qcow2'], ['bare', 'ova'])
READ_ONLY = {
    'status',
    'checksum',
    'os_hash_algo',
    'os_hash_value',
    'size',
    'virtual_size',
    'created_at',
    'updated_at',
    'direct_url',
    'self',
    'file',
    'stores',
    'schema',
}


class DocumentTest(testtools.TestCase):
    def test_the_image_document(self):
        document = SCHEMA.document
        self.assertEqual({'name', 'properties', 'additionalProperties', 'links'}, set(document))
        self.assertEqual('image', document['name'])
        self.assertEqual({'type': 'string'}, document['additionalProperties'])
        self.assertEqual(
            READ_ONLY, {name for name, found in document['properties'].items() if found.get('readOnly')}
        )
        self.assertEqual([None, 'raw', 'qcow2'], document['properties']['disk_format']['enum'])
        self.assertEqual([None, 'bare', 'ova'], document['properties']['container_format']['enum'])
        for found in document['properties'].values():
            self.assertTrue(found['description'])

    def test_every_base_attribute_is_in_it(self):
        self.assertEqual(properties.BASE | {'stores'}, set(SCHEMA.document['properties']))

    def test_the_list_document(self):
        document = SCHEMA.list_document
        self.assertEqual({'name', 'properties', 'links'}, set(document))
        self.assertEqual({'images', 'first', 'next', 'schema'}, set(document['properties']))
        self.assertEqual(SCHEMA.document, document['properties']['images']['items'])
        self.assertEqual(['first', 'next', 'describedby'], [link['rel'] for link in document['links']])

    def test_both_are_schemas(self):
        for document in (SCHEMA.document, SCHEMA.list_document):
            jsonschema.Draft4Validator.check_schema(document)  # what the clients use
            jsonschema.Draft202012Validator.check_schema(document)


class CheckTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (repr(attributes)[:60], {'attributes': attributes, 'word': word})
        for attributes, word in (
            ({'id': 'x'}, 'id'),
            ({'id': '1' * 36}, 'id'),
            ({'name': 'x' * 256}, 'name'),
            ({'name': 1}, 'name'),
            ({'min_disk': None}, 'min_disk'),
            ({'min_disk': 1.5}, 'min_disk'),
            ({'min_ram': -1}, 'min_ram'),
            ({'min_ram': 2147483648}, 'min_ram'),
            ({'disk_format': ''}, 'disk_format'),
            ({'visibility': None}, 'visibility'),
            ({'protected': 'yes'}, 'protected'),
            ({'tags': 'x'}, 'tags'),
            ({'tags': [1]}, 'tags'),
            ({'tags': ['x' * 256]}, 'tags'),
            ({'name': 'x' * 5000}, 'is too long'),
            ({'custom': None}, 'custom'),
            ({'custom': 1}, 'custom'),
            ({'custom': {}}, 'custom'),
            ({'size': 'x'}, 'size'),
            ({'id': '11111111-1111-1111-1111-111111111111\n'}, 'id'),
            ({'custom': ['x' * 5000]}, '...'),
        )
    ]

    def test_what_does_not_fit_is_named(self):
        error = self.assertRaises(errors.InvalidBody, Gate(options.new()).check, NEW_IMAGE, self.attributes)
        self.assertIn(self.word, str(error))
        self.assertLess(len(str(error)), 400)


class FitTest(testtools.TestCase):
    def test_what_fits(self):
        Gate(options.new()).check(
            NEW_IMAGE,
            {
                'id': 'ABCDEFab-0000-0000-0000-000000000000',
                'name': None,
                'min_disk': 2147483647,
                'min_ram': 1.0,
                'disk_format': None,
                'container_format': 'bare',
                'tags': ['', '\U00010000'],
                'owner': None,
                'custom': '',
                '': 'x' * 70000,
                'é': '\uffff',
            },
        )


class TextsTest(testtools.TestCase):
    def test_names_and_values_stay_in_the_basic_plane(self):
        for attributes in ({'name': '\U00010000'}, {'a': '\U00010000'}, {'\U00010000': 'a'}):
            error = self.assertRaises(errors.InvalidBody, properties.check_texts, attributes)
            self.assertIn('U+FFFF', str(error))
        properties.check_texts({'tags': ['\U00010000'], 'name': None, 'é': '\uffff'})
