"""Query parameters of lists: what they mean, and what is refused."""

import datetime

import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain import listing


def parse(*pairs):
    return listing.parse(pairs, default_limit=25, max_limit=100)


def order(*pairs):
    return [f'{"-" if key.descending else ""}{key.field}' for key in parse(*pairs).sort]


class LimitTest(testtools.TestCase):
    def test_a_page_has_the_default_size_or_what_is_asked_up_to_a_cap(self):
        self.assertEqual(25, parse().limit)
        self.assertEqual(7, parse(('limit', '7')).limit)
        self.assertEqual(100, parse(('limit', '101')).limit)
        self.assertEqual(0, parse(('limit', '0')).limit)
        self.assertEqual(3, parse(('limit', 'x'), ('limit', '3')).limit)
        for text in ('', '-1', 'x', '1.0', '٣', '1' * 30):
            self.assertRaises(errors.InvalidQuery, parse, ('limit', text))


class SortTest(testtools.TestCase):
    def test_every_order_ends_in_created_at_and_id(self):
        self.assertEqual(['-created_at', '-id'], order())
        self.assertEqual(['name', 'created_at', 'id'], order(('sort_key', 'name'), ('sort_dir', 'asc')))
        self.assertEqual(['created_at', 'id'], order(('sort_dir', 'asc')))
        self.assertEqual(['-name', '-created_at', '-id'], order(('sort_key', 'name')))
        self.assertEqual(
            ['name', '-size', '-created_at', '-id'],
            order(('sort_key', 'name'), ('sort_key', 'size'), ('sort_dir', 'asc'), ('sort_dir', 'desc')),
        )
        self.assertEqual(
            ['name', 'size', 'created_at', 'id'],
            order(('sort_key', 'name'), ('sort_key', 'size'), ('sort_dir', 'asc')),
        )
        self.assertEqual(['name', '-size', '-created_at', '-id'], order(('sort', 'name:asc,size')))
        self.assertEqual(['id', '-created_at'], order(('sort', 'id:asc')))
        self.assertEqual(['name', '-created_at', '-id'], order(('sort', 'name:asc,name:desc')))

    def test_orders_that_make_no_sense(self):
        for pairs in (
            [('sort_key', 'bogus')],
            [('sort_dir', 'up')],
            [('sort', 'name:up')],
            [('sort', '')],
            [('sort', 'name'), ('sort_dir', 'asc')],
            [('sort_key', 'name'), ('sort', 'name')],
            [('sort_key', 'name'), ('sort_dir', 'asc'), ('sort_dir', 'asc')],
        ):
            self.assertRaises(errors.InvalidQuery, parse, *pairs)


class ListOfValuesTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (text, {'text': text, 'expected': expected})
        for text, expected in (
            ('plain', ('eq', 'plain')),
            ('"quoted"', ('eq', '"quoted"')),
            ('eq:a:b', ('eq', 'a:b')),
            ('eq:', ('eq', '')),
            ('', ('eq', '')),
            ('in:a', ('eq', 'a')),
            ('in:a,b', ('in', ('a', 'b'))),
            ('in:"a,b",c', ('in', ('a,b', 'c'))),
            (r'in:"a\"b"', ('eq', 'a"b')),
            ('in:"a:b"', ('eq', 'a:b')),
            ('in:a,,b', ('in', ('a', '', 'b'))),
            ('neq:a', None),
            (':a', None),
            ('x:y', None),
            ('in:"a', None),
            ('in:a"b', None),
            ('in:"a"b', None),
        )
    ]

    def test_a_value_is_plain_or_one_of_a_list(self):
        if self.expected is None:
            self.assertRaises(errors.InvalidQuery, parse, ('name', self.text))
            return
        (condition,) = parse(('name', self.text)).conditions
        self.assertEqual(('name', *self.expected), (condition.field, condition.operator, condition.value))


class TimeTest(testtools.TestCase):
    def bounds(self, text):
        return [(condition.operator, condition.value) for condition in parse(('created_at', text)).conditions]

    def test_a_whole_second_means_the_whole_second(self):
        first = datetime.datetime(2026, 1, 2, 3, 4, 5)
        then = datetime.datetime(2026, 1, 2, 3, 4, 6)
        for operator, expected in {
            '': [('gte', first), ('lt', then)],
            'eq:': [('gte', first), ('lt', then)],
            'gt:': [('gte', then)],
            'gte:': [('gte', first)],
            'lt:': [('lt', first)],
            'lte:': [('lt', then)],
        }.items():
            self.assertEqual(expected, self.bounds(f'{operator}2026-01-02T03:04:05Z'))
        self.assertEqual(
            (('created_at', first, then),), parse(('created_at', 'neq:2026-01-02T03:04:05')).outside
        )

    def test_zones_and_fractions(self):
        self.assertEqual(
            [('gte', datetime.datetime(2026, 1, 2, 1, 4, 5))], self.bounds('gte:2026-01-02T03:04:05+02:00')
        )
        # the plus sign of a zone that was not encoded
        self.assertEqual(
            [('gte', datetime.datetime(2026, 1, 2, 1, 4, 5))], self.bounds('gte:2026-01-02T03:04:05 02:00')
        )
        self.assertEqual(
            [('gte', datetime.datetime(2026, 1, 2, 3, 4, 5, 8))], self.bounds('gt:2026-01-02T03:04:05.000007')
        )

    def test_what_is_no_time(self):
        for text in ('', 'x', 'eq:', 'in:2026-01-01', 'foo:2026-01-01', '0000-00-00', 'gt:9999999999'):
            self.assertRaises(errors.InvalidQuery, parse, ('created_at', text))


class OtherFiltersTest(testtools.TestCase):
    def test_unknown_names_are_custom_properties(self):
        query = parse(('os', 'a'), ('properties', 'x'), ('locations', 'y'), ('foo_min', '3'), ('os', 'b'))
        self.assertEqual(
            (('os', 'b'), ('properties', 'x'), ('locations', 'y'), ('foo_min', '3')), query.properties
        )

    def test_tags_add_up(self):
        self.assertEqual(('a', 'b'), parse(('tag', ' a '), ('tags', 'b'), ('tag', 'a')).tags)

    def test_what_no_image_can_meet(self):
        for pair in (
            ('size', 'x'),
            ('size', '-1'),
            ('visibility', ''),
            ('min_ram_min', '9' * 25),
            ('tag', '\0'),
        ):
            self.assertTrue(parse(pair).impossible, pair)
        for pair in (('size', '1'), ('visibility', 'all'), ('min_ram_min', '-' + '9' * 25), ('deleted', 'x')):
            self.assertFalse(parse(pair).impossible, pair)


class LinksTest(testtools.TestCase):
    def test_links_keep_every_parameter(self):
        def encode(pairs):
            return '&'.join(f'{name}={value}' for name, value in pairs)

        pairs = [('tag', 'a'), ('marker', 'old'), ('tag', 'b')]
        self.assertEqual(
            {'first': '/p?tag=a&tag=b', 'next': '/p?tag=a&tag=b&marker=new'},
            listing.links('/p', pairs, 'new', encode),
        )
        self.assertEqual({'first': '/p'}, listing.links('/p', [('marker', 'old')], None, encode))
