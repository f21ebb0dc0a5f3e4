"""JSON bodies are held against the models that the OpenAPI document shows, and against nothing else."""

import dataclasses

import fixtures
import testscenarios
import testtools

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.api import description, openapi, routes
from imagepipe.api.gate import Gate
from imagepipe.api.schemas import image, import_, location, member, metadefs, task
from imagepipe.domain.import_request import ImportRequest
from imagepipe.tests.fixtures.api import ApiFixture

NOTHING = description.model('Nothing', {'const': 'nothing'})
TAKING = [row for row in routes.ROUTES if row.body is routes.Body.JSON]


class EveryHandlerTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(f'{row.method} {row.path}', {'row': row}) for row in TAKING]

    def test_what_it_declares_decides_what_it_takes(self) -> None:
        api = self.useFixture(ApiFixture(self))
        told = description.of(self.row.handler)
        declared = dataclasses.replace(told, takes=dict.fromkeys(told.takes, NOTHING))
        self.useFixture(fixtures.MockPatchObject(self.row.handler, 'description', declared))
        path = self.row.path.replace('{', '').replace('}', '')
        for media in told.takes:
            for body in ({}, []):
                headers = {'Content-Type': media}
                response = api.call(self.row.method, path, body, as_='admin', headers=headers)
                error = response.json['error']
                self.assertEqual((400, errors.InvalidBody.code), (response.status_int, error['error_code']))
                self.assertIn("'nothing' was expected", error['message'])


class TheDocumentTest(testtools.TestCase):
    def test_each_body_is_compiled_as_it_is_shown(self) -> None:
        conf = options.new()
        gate, shown = Gate(conf), openapi.document(TAKING, conf)['components']['schemas']
        models = {model for row in TAKING for model in description.of(row.handler).takes.values()}
        self.assertGreater(len(models), 10)
        for model in models:
            gate.check(model, _fitting(model))
            self.assertEqual(model.of(conf), shown[model.name])

    def test_what_is_referred_to_counts_too(self) -> None:
        body = _fitting(task.REQUEST)
        body['input']['image_properties'] = {'disk_format': 'odd'}
        error = self.assertRaises(errors.InvalidBody, Gate(options.new()).check, task.REQUEST, body)
        self.assertIn('input.image_properties.disk_format: ', str(error))


class LeniencyTest(testtools.TestCase):
    """What Glance takes, although it says nothing."""

    def test_null_is_what_is_not_there(self) -> None:
        method = {'name': 'glance-direct', 'uri': None, 'glance_region': None, 'glance_image_id': None,
                  'glance_service_interface': None}  # fmt: skip
        body = {'method': method, 'stores': None}
        Gate(options.new()).check(import_.REQUEST, body)
        plain = ImportRequest.parse({'method': {'name': 'glance-direct'}})
        self.assertEqual(plain, ImportRequest.parse(body))

    def test_a_whole_number_may_have_a_point(self) -> None:
        body = {'method': {'name': 'glance-direct'}, 'expected': {'size': 5.0}}
        Gate(options.new()).check(import_.REQUEST, body)
        self.assertIs(int, type(ImportRequest.parse(body).expected['size']))

    def test_unknown_names_are_passed_over(self) -> None:
        for model in (import_.REQUEST, location.REQUEST, member.NEW_MEMBER, member.STATUS_CHANGE):
            Gate(options.new()).check(model, {**_fitting(model), 'odd': 1})


class SentenceTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (expected, {'model': model, 'body': body, 'expected': expected})
        for model, body, expected in (
            (member.NEW_MEMBER, ['x' * 500], 'an object is expected'),
            (image.PATCH_21, {}, 'an array is expected'),
            (image.PATCH_21, [{}, 5], "0: 'op' is a required property"),
            (image.PATCH_21, [{'op': 'add', 'path': '/a'}], "0: 'value' is a required property"),
            (image.PATCH_21, [{'op': 'remove', 'path': 'a'}], "0.path: 'a' does not match '^/'"),
            (
                image.PATCH_21,
                [{'op': 'move', 'path': '/a'}],
                "0.op: 'move' is not one of ['add', 'replace', 'remove']",
            ),
            (
                image.PATCH_20,
                [{'add': '/a', 'remove': '/a', 'value': ''}],
                '0: An operation has exactly one of add, replace, remove.',
            ),
            (image.PATCH_20, [{'value': 'x'}], '0: An operation has exactly one of add, replace, remove.'),
            (image.NEW_IMAGE, {'': 5}, "5 is not of type 'string'"),
            (import_.REQUEST, {}, "'method' is a required property"),
            (
                import_.REQUEST,
                {'method': {'name': 'x'}, 'all_stores': 1},
                "all_stores: 1 is not of type 'boolean'",
            ),
            (
                location.REQUEST,
                {'url': 'u', 'validation_data': {'os_hash_algo': 'md5'}},
                "validation_data: 'os_hash_value' is a dependency of 'os_hash_algo'",
            ),
            (member.NEW_MEMBER, {'member': ''}, "member: '' should be non-empty"),
            (metadefs.TAG_MODEL, {'name': 'x' * 81}, 'is too long'),
        )
    ]

    def test_it_says_what_does_not_fit_and_where(self) -> None:
        error = self.assertRaises(errors.InvalidBody, Gate(options.new()).check, self.model, self.body)
        self.assertIn(self.expected, str(error))
        self.assertLess(len(str(error)), 300)


def _fitting(model: description.Model) -> object:
    """A small body that fits the model."""
    return {
        'NewImage': {'name': 'x', 'size': 1},
        'ImagePatch': [{'op': 'remove', 'path': '/a'}],
        'OldImagePatch': [{'add': '/a', 'value': 'x'}],
        'ImportRequest': {'method': {'name': 'glance-direct'}, 'expected': {'md5': 'A' * 32}},
        'LocationRequest': {'url': 'http://x/', 'validation_data': {}},
        'NewMember': {'member': 'x'},
        'MemberStatus': {'status': 'accepted'},
        'TaskRequest': {
            'type': 'import',
            'input': {'import_from': 'x', 'import_from_format': 'raw', 'image_properties': {}},
        },
        'MetadefNamespace': {'namespace': 'x'},
        'MetadefTags': {'tags': [{'name': 'x'}]},
        'MetadefProperty': {'name': 'x', 'title': 'x', 'type': 'string'},
    }.get(model.name, {'name': 'x'})
