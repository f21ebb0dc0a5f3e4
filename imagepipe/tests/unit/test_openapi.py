"""The OpenAPI document: whole, valid, made of the route table; and what it is made of cannot drift."""

import json

import jsonschema
import openapi_spec_validator
import testtools

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.api import description, openapi, routes
from imagepipe.api.v2 import images, info
from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.contract import Contract


class DocumentTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.document = openapi.document(routes.ROUTES, options.new())

    def test_every_route_is_described(self):
        missing = [f'{row.method} {row.path}' for row in routes.ROUTES if description.of(row.handler) is None]
        self.assertEqual([], missing)

    def test_every_route_is_in_it(self):
        told = {(method.upper(), path) for path, item in self.document['paths'].items() for method in item}
        self.assertEqual({(row.method, row.path) for row in routes.ROUTES}, told)

    def test_it_is_openapi(self):
        openapi_spec_validator.validate(json.loads(json.dumps(self.document)))

    def test_its_schemas_are_schemas(self):
        for schema in self.document['components']['schemas'].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_names_of_operations_are_unique(self):
        names = [item['operationId'] for path in self.document['paths'].values() for item in path.values()]
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_a_body_is_told_where_the_table_has_one(self):
        for row in routes.ROUTES:
            wanted = row.body in (routes.Body.JSON, routes.Body.DATA)
            found = description.of(row.handler)
            self.assertEqual(wanted, bool(found and found.takes), f'{row.method} {row.path}')

    def test_errors_have_their_codes(self):
        told = self.document['paths']['/v2/images/{image_id}']['get']['responses']['404']['description']
        self.assertIn(errors.ImageNotFound.code, told)

    def test_two_models_of_one_name_are_refused(self):
        other = description.model('Images', {'type': 'object'})

        @description.describe('Twice', {200: description.Answer(description='x', body=other)})
        def twice():
            """Never called."""

        rows = (routes.Route('GET', '/v2/images', images.search), routes.Route('GET', '/v2/twice', twice))
        self.assertRaises(ValueError, openapi.document, rows, options.new())


class ServedTest(testtools.TestCase):
    def test_it_is_served_as_configured(self):
        api = self.useFixture(ApiFixture(self, overrides={'image_format.disk_formats': 'raw,ploop'}))
        served = api.call('GET', '/v2/openapi.json', as_='reader').json
        self.assertEqual('3.1.0', served['openapi'])
        formats = served['components']['schemas']['NewImage']['properties']['disk_format']['enum']
        self.assertEqual([None, 'raw', 'ploop'], formats)


class UndocumentedTest(testtools.TestCase):
    """What the tests' contract finds: it is asked of answers that no test gets from the service."""

    def setUp(self):
        super().setUp()
        self.contract = Contract(self, options.new())

    def refused(self, *answer):
        self.assertRaises(AssertionError, self.contract.check, *answer)

    def test_another_status(self):
        self.refused('GET', '/v2/info/import', 418, {}, None)

    def test_another_code(self):
        self.refused('GET', '/v2/images/x', 404, {}, {'error': {'error_code': errors.TaskNotFound.code}})

    def test_another_body(self):
        self.refused('GET', '/v2/info/import', 200, {}, {'import-methods': 'glance-direct'})

    def test_a_body_where_there_is_none(self):
        self.refused('DELETE', '/v2/images/x', 204, {}, {})

    def test_what_is_documented_passes(self):
        body = {'import-methods': {'description': 'x', 'type': 'array', 'value': []}}
        self.contract.check('GET', '/v2/info/import', 200, {}, body)
        self.assertIs(description.of(info.import_methods), info.import_methods.description)
