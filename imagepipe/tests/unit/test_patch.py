"""Patches of images: pointers, both media types, what may be touched; and no patch makes nonsense."""

import dataclasses
import functools

import hypothesis
import testscenarios
import testtools
from hypothesis import strategies as st

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.api.gate import Gate
from imagepipe.api.schemas.image import NEW_IMAGE, PATCH_20, PATCH_21
from imagepipe.domain import patch, properties
from imagepipe.domain.image import Image, Status, Visibility

GATE = Gate(options.new())
MODELS = {patch.V20: PATCH_20, patch.V21: PATCH_21}
IMAGE = Image(id='i', name='old', owner='ours', properties={'a': '1', '': 'empty'}, tags=frozenset({'t'}))


def parsed(media, document):
    """The changes of a body, which passes the gate first."""
    GATE.check(MODELS[media], document)
    return patch.parse(media, document, functools.partial(GATE.check, NEW_IMAGE))


def changed(*operations, media=patch.V21, image=IMAGE):
    return patch.apply(image, parsed(media, list(operations)))


def operation(verb, path, *value):
    return {'op': verb, 'path': path, **({'value': value[0]} if value else {})}


class PointerTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (repr(path), {'path': path, 'expected': expected})
        for path, expected in (
            ('/name', ('name',)),
            ('/', ('',)),
            ('/a~1b', ('a/b',)),
            ('/a~0b', ('a~b',)),
            ('/~01', ('~1',)),
            ('/ a ', ('a',)),
            ('/locations/-', ('locations', '-')),
            ('/ä', ('ä',)),
            ('/a/', None),
            ('//a', None),
            ('/a//b', None),
            ('/a~', None),
            ('/a~2', None),
        )
    ]

    def test_a_pointer_names_its_parts_or_is_refused(self):
        if self.expected is None:
            self.assertRaises(errors.InvalidPatch, patch.tokens_of, self.path)
        else:
            self.assertEqual(self.expected, patch.tokens_of(self.path))


class MediaTypeTest(testtools.TestCase):
    def test_two_types_are_taken_with_any_parameters(self):
        self.assertEqual(patch.V20, patch.media_type(patch.V20))
        self.assertEqual(patch.V21, patch.media_type(f'{patch.V21.upper()} ; charset=utf-8'))
        for other in (None, '', 'application/json', 'application/json-patch+json', f'x{patch.V21}'):
            error = self.assertRaises(errors.UnsupportedPatch, patch.media_type, other)
            self.assertIn('v2.1-json-patch', error.headers['Accept-Patch'])


class ShapeTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (repr((media[31:35], body)), {'media': media, 'body': body})
        for media, body in (
            (patch.V21, {}),
            (patch.V21, ['x']),
            (patch.V21, [{}]),
            (patch.V21, [{'op': 'add'}]),
            (patch.V21, [{'path': '/a'}]),
            (patch.V21, [operation('test', '/a', '1')]),
            (patch.V21, [operation('move', '/a', '1')]),
            (patch.V21, [operation(['add'], '/a', '1')]),
            (patch.V21, [operation(None, '/a')]),
            (patch.V21, [operation('add', '/a')]),
            (patch.V21, [operation('replace', '/name')]),
            (patch.V21, [operation('add', '/tags/-', 'x')]),
            (patch.V21, [operation('add', '/name/x', 'x')]),
            (patch.V21, [operation('add', '/status/x', 'x')]),
            (patch.V21, [operation('add', '/locations', [])]),
            (patch.V21, [operation('replace', '/locations/0', {})]),
            (patch.V20, [operation('add', '/a', '1')]),
            (patch.V20, [{'add': '/a', 'replace': '/a', 'value': '1'}]),
            (patch.V20, [{'add': '/a'}]),
            (patch.V20, [{'add': None, 'value': '1'}]),
            *((patch.V21, [operation('add', path, '1')]) for path in ('', 'name', None, 5, ['/a'])),
        )
    ]

    def test_a_malformed_patch_is_refused(self):
        self.assertRaises((errors.InvalidBody, errors.InvalidPatch), parsed, self.media, self.body)


class ValueTest(testtools.TestCase):
    def test_values_fit_the_schema(self):
        for path, value in (
            ('/name', 5),
            ('/name', 'x' * 256),
            ('/min_disk', None),
            ('/min_disk', -1),
            ('/min_disk', 2**31),
            ('/min_disk', True),
            ('/visibility', 'secret'),
            ('/protected', 'true'),
            ('/tags', 'x'),
            ('/tags', ['x' * 256]),
            ('/disk_format', 'bogus'),
            ('/disk_format', ''),
            ('/a', 5),
            ('/a', None),
            ('/a', {}),
            ('/a', '\U0001f984'),
            ('/\U0001f984', 'x'),
            ('/' + 'n' * 256, 'x'),
        ):
            for verb in ('add', 'replace') if len(path) < 250 else ('add',):
                self.assertRaises(errors.BadRequest, changed, operation(verb, path, value))

    def test_tags_may_have_any_character(self):
        self.assertEqual({'\U0001f984'}, changed(operation('add', '/tags', ['\U0001f984'])).tags)


class NamesTest(testtools.TestCase):
    def test_what_only_the_service_sets(self):
        for name in sorted(properties.READ_ONLY):
            for verb in patch.Verb:
                self.assertRaises(
                    errors.PropertyReadOnly,
                    parsed,
                    patch.V21,
                    [operation(verb.value, f'/{name}', 'x')],
                )
        for name in ('location', 'deleted', 'deleted_at', 'os_glance', 'os_glancefoo', 'os_glance_x'):
            self.assertRaises(errors.PropertyReserved, changed, operation('add', f'/{name}', 'x'))

    def test_base_properties_cannot_be_removed(self):
        for name in sorted(properties.WRITABLE | properties.FORMATS | {'owner'}):
            self.assertRaises(errors.PropertyNotRemovable, changed, operation('remove', f'/{name}'))

    def test_formats_are_fixed_once_data_came(self):
        for status in Status:
            image = dataclasses.replace(IMAGE, status=status)
            if status is Status.QUEUED:
                self.assertEqual(
                    'raw', changed(operation('add', '/disk_format', 'raw'), image=image).disk_format
                )
                continue
            for name, value in (('disk_format', 'raw'), ('container_format', 'bare')):
                self.assertRaises(
                    errors.FormatsFixed, changed, operation('replace', f'/{name}', value), image=image
                )

    def test_names_of_internals_are_custom_properties(self):
        image = changed(
            *(
                operation('add', f'/{name}', 'x')
                for name in (
                    'image_id',
                    'extra_properties',
                    'member',
                    'member_id',
                    'get_data',
                    'stores',
                    'properties',
                )
            )
        )
        self.assertEqual(IMAGE.member_id, image.member_id)
        self.assertEqual(
            {
                'a',
                '',
                'image_id',
                'extra_properties',
                'member',
                'member_id',
                'get_data',
                'stores',
                'properties',
            },
            set(image.properties),
        )

    def test_the_property_without_a_name(self):
        self.assertEqual({'a': '1', '': 'x'}, changed(operation('replace', '/', 'x')).properties)
        self.assertEqual({'a': '1'}, changed(operation('remove', '/')).properties)


class ApplyTest(testtools.TestCase):
    def test_custom_properties(self):
        self.assertEqual('2', changed(operation('add', '/a', '2')).properties['a'])
        self.assertEqual('2', changed(operation('replace', '/a', '2')).properties['a'])
        self.assertNotIn('a', changed(operation('remove', '/a')).properties)
        for verb in ('replace', 'remove'):
            self.assertRaises(errors.PropertyMissing, changed, operation(verb, '/b', '2'))

    def test_the_old_media_type_does_not_overwrite(self):
        for path, value in (('/a', '2'), ('/name', 'x'), ('/tags', [])):
            self.assertRaises(errors.PropertyExists, changed, {'add': path, 'value': value}, media=patch.V20)
        self.assertEqual('2', changed({'add': '/b', 'value': '2'}, media=patch.V20).properties['b'])

    def test_operations_see_what_those_before_them_did(self):
        image = changed(
            operation('remove', '/a'), operation('add', '/a', '2'), operation('replace', '/a', '3')
        )
        self.assertEqual('3', image.properties['a'])
        self.assertRaises(
            errors.PropertyMissing, changed, operation('remove', '/a'), operation('replace', '/a', '3')
        )

    def test_values_become_those_of_the_image(self):
        image = changed(
            operation('add', '/visibility', 'public'),
            operation('add', '/min_ram', 2.0),
            operation('add', '/tags', ['x', 'x']),
        )
        self.assertIs(Visibility.PUBLIC, image.visibility)
        self.assertEqual((2, int), (image.min_ram, type(image.min_ram)))
        self.assertEqual(frozenset({'x'}), image.tags)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*sorted(properties.BASE), 'os_glance_x', 'location', 'a', 'b', '']) | st.text(
    max_size=8
)
PATHS = st.one_of(
    NAMES.map(lambda name: '/' + name.replace('~', '~0').replace('/', '~1')),
    st.text(alphabet='/~01a -', max_size=8),
    JSON,
)
VERBS = st.sampled_from(['add', 'replace', 'remove'])
OPERATIONS = st.one_of(
    st.fixed_dictionaries({'op': VERBS | JSON, 'path': PATHS}, optional={'value': JSON}),
    st.builds(lambda verb, path, value: {verb: path, 'value': value}, VERBS, PATHS, JSON),
    JSON,
)


class AnyPatchTest(testtools.TestCase):
    @hypothesis.settings(deadline=None, max_examples=400, database=None)
    @hypothesis.given(st.sampled_from(patch.MEDIA_TYPES), st.lists(OPERATIONS, max_size=4) | JSON)
    def test_any_patch_is_refused_or_makes_a_sound_image(self, media, document):
        try:
            image = patch.apply(IMAGE, parsed(media, document))
        except (errors.BadRequest, errors.Forbidden, errors.Conflict):
            return
        for name in ('id', 'status', 'size', 'checksum', 'created_at', 'stores', 'member_id'):
            assert getattr(image, name) == getattr(IMAGE, name)
        assert isinstance(image.visibility, Visibility)
        assert isinstance(image.tags, frozenset)
        for name, value in image.properties.items():
            assert isinstance(value, str)
            assert name not in properties.BASE
            assert not name.startswith('os_glance')
            assert len(name) <= 255
