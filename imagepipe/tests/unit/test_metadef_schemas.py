"""The schemas of metadata definitions: their documents as clients read them."""

import jsonschema
import testtools

from imagepipe.api.schemas import metadefs

NAMES = {
    'namespace': 'namespace',
    'namespaces': 'namespaces',
    'object': 'object',
    'objects': 'objects',
    'property': 'property',
    'properties': 'properties',
    'resource_type': 'resource_type_association',
    'resource_types': 'resource_type_associations',
    'tag': 'tag',
    'tags': 'tags',
}
READ_ONLY = {
    'namespace': {'created_at', 'updated_at', 'self', 'schema'},
    'object': {'created_at', 'updated_at', 'self', 'schema'},
    'property': set(),
    'resource_type': {'created_at', 'updated_at'},
    'tag': {'created_at', 'updated_at'},
}
WITH_DEFINITIONS = {'namespace', 'object', 'property', 'namespaces', 'objects', 'properties'}


class DocumentsTest(testtools.TestCase):
    def test_names(self):
        self.assertEqual(NAMES, {path: found['name'] for path, found in metadefs.DOCUMENTS.items()})

    def test_keys_at_the_top(self):
        for path, document in metadefs.DOCUMENTS.items():
            single = {'additionalProperties', 'required'} if path in READ_ONLY else {'links'}
            definitions = {'definitions'} if path in WITH_DEFINITIONS else set()
            self.assertEqual({'name', 'properties'} | single | definitions, set(document), path)

    def test_what_one_is(self):
        for path, read_only in READ_ONLY.items():
            properties = metadefs.DOCUMENTS[path]['properties']
            marked = {name for name, each in properties.items() if each.get('readOnly')}
            self.assertEqual(read_only, marked, path)
            self.assertEqual([], [name for name, each in properties.items() if not each['description']])
            self.assertIs(False, metadefs.DOCUMENTS[path]['additionalProperties'])

    def test_what_is_required(self):
        required = {path: set(metadefs.DOCUMENTS[path]['required']) for path in READ_ONLY}
        self.assertEqual(
            {
                'namespace': {'namespace'},
                'object': {'name'},
                'property': {'name', 'title', 'type'},
                'resource_type': {'name'},
                'tag': {'name'},
            },
            required,
        )

    def test_lists_are_of_the_same(self):
        for one, many in (('namespace', 'namespaces'), ('object', 'objects'), ('tag', 'tags')):
            single, plural = metadefs.DOCUMENTS[one], metadefs.DOCUMENTS[many]
            self.assertEqual({many, 'first', 'next', 'schema'}, set(plural['properties']))
            items = plural['properties'][many]['items']
            self.assertEqual({**single, 'definitions': None}, {**items, 'definitions': None})
            self.assertEqual(single.get('definitions'), plural.get('definitions'))
            self.assertEqual(['first', 'next', 'describedby'], [link['rel'] for link in plural['links']])

    def test_properties_are_listed_by_name(self):
        listed = metadefs.DOCUMENTS['properties']['properties']['properties']
        self.assertEqual('object', listed['type'])
        self.assertEqual(['type', 'title'], listed['additionalProperties']['required'])

    def test_each_is_a_schema_for_the_clients_too(self):
        for document in metadefs.DOCUMENTS.values():
            jsonschema.Draft4Validator.check_schema(document)
            jsonschema.Draft202012Validator.check_schema(document)
