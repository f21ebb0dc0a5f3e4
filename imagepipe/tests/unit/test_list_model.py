"""Lists of images against a plain model of the rules (reference, section 7), on each database.

The model knows nothing of SQL, pages or indexes: it looks at every image, one rule after the other.
"""

import datetime
import functools
import itertools
import random
import uuid

import sqlalchemy as sa
import testscenarios
import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from imagepipe import context, errors
from imagepipe.db import image_queries, schema
from imagepipe.domain import listing
from imagepipe.domain.properties import digest
from imagepipe.tests.fixtures.databases import DATABASES, use_database

EXAMPLES = {'sqlite': 300, 'postgresql': 60, 'mariadb': 60}
LONG = 'long' * 16384
NAMES = ('Foo', 'foo', 'foo ', None, '', 'a:b', 'a,b', '"', 'é', '😀', 'z' * 255)
FORMATS = (None, 'raw', 'qcow2')
NUMBERS = (None, 0, 5, 2**40)
MOMENTS = [datetime.datetime(2026, 1, 2, 3, 4, second, micro) for second in (5, 6) for micro in (0, 999999)]
OWNERS = ('ours', 'theirs', 'others', None)
VISIBILITIES = ('public', 'private', 'shared', 'community')
VALUES = ('linux', 'Linux', 'linux ', '', LONG, '{"a": [null]}', '\x01\\"\u2028')
TAGS = ('t', 'T', 't ', 'x', '')
MEMBERSHIPS = (None, 'accepted', 'pending', 'rejected')
NO_FILTERS = ('limit', 'sort', 'sort_key', 'sort_dir', 'visibility', 'member_status', 'os_hidden')
LISTS = ('name', 'id', 'status', 'disk_format', 'container_format')
RANGES = [
    f'{name}_{end}' for name in ('size', 'virtual_size', 'min_disk', 'min_ram') for end in ('min', 'max')
]


def population(count=120):
    """Rows by table: images of every kind, and more of the kinds that lists differ on."""
    chance = random.Random(7)
    rows = {'images': [], 'properties': [], 'tags': [], 'members': []}
    for number in range(count):
        image_id = str(uuid.UUID(int=chance.getrandbits(128)))
        of_image = {'image_id': image_id}
        rows['images'].append(
            {
                'id': image_id,
                'name': chance.choice(NAMES),
                'status': 'killed' if number % 40 == 0 else chance.choice(['active', 'queued']),
                'visibility': chance.choice(VISIBILITIES),
                'owner': chance.choice(OWNERS),
                'protected': chance.random() < 0.3,
                'os_hidden': chance.random() < 0.2,
                'disk_format': chance.choice(FORMATS),
                'container_format': chance.choice((None, 'bare')),
                'min_disk': chance.choice((0, 3)),
                'min_ram': chance.choice((0, 512)),
                'size': chance.choice(NUMBERS),
                'virtual_size': chance.choice(NUMBERS),
                'checksum': chance.choice((None, 'c' * 32)),
                'os_hash_algo': None,
                'os_hash_value': None,
                'created_at': chance.choice(MOMENTS),
                'updated_at': chance.choice(MOMENTS),
            }
        )
        for name in ('os', 'properties'):
            if chance.random() < 0.6:
                value = chance.choice(VALUES)
                row = {'name': name, 'value': value, 'digest': digest(value)}
                rows['properties'].append({**of_image, **row})
        rows['tags'] += [{**of_image, 'tag': tag} for tag in TAGS if chance.random() < 0.4]
        for project in ('ours', 'others'):
            if (status := chance.choice(MEMBERSHIPS)) is not None:
                times = {'created_at': MOMENTS[0], 'updated_at': MOMENTS[0]}
                rows['members'].append({**of_image, 'member': project, 'status': status, **times})
    return rows


class Model:
    """The rules, one image at a time."""

    def __init__(self, rows):
        self.images = rows['images']
        self.properties = {(row['image_id'], row['name']): row['value'] for row in rows['properties']}
        self.tags = {(row['image_id'], row['tag']) for row in rows['tags']}
        self.members = {(row['image_id'], row['member']): row['status'] for row in rows['members']}

    def listed(self, caller, pairs):
        """The ids, in order."""
        asked = dict(pairs)
        found = [
            image
            for image in self.images
            if image['status'] != 'killed'
            and image['os_hidden'] == (asked.get('os_hidden', 'false').lower() == 'true')
            and self._seen(image, caller, asked.get('visibility'), asked.get('member_status', 'accepted'))
            and all(self._fits(image, name, value) for name, value in pairs)
        ]
        for field, descending in reversed(self._order(pairs)):
            found.sort(key=lambda image: self._rank(image, field), reverse=descending)
        return [image['id'] for image in found]

    def _seen(self, image, caller, visibility, member_status):
        own = caller.project_id is not None and image['owner'] == caller.project_id
        kind = image['visibility']
        foreign_community = kind == 'community' and not own
        if caller.is_admin:
            if visibility is None:
                return not foreign_community
            return visibility in ('all', kind)
        if visibility not in (None, 'all') and kind != visibility:
            return False
        if caller.project_id is None:
            return kind == 'public' or (kind == 'community' and visibility is not None)
        status = self.members.get((image['id'], caller.project_id))
        shared = kind == 'shared' and status is not None and member_status in ('all', status)
        return own or kind == 'public' or shared or (foreign_community and visibility is not None)

    def _fits(self, image, name, value):
        return self._rule(name)(image, name, value)

    def _rule(self, name):
        return {
            **dict.fromkeys(('tag', 'tags'), lambda image, _, tag: (image['id'], tag.strip()) in self.tags),
            **dict.fromkeys(NO_FILTERS, lambda *_: True),
            **dict.fromkeys(('created_at', 'updated_at'), self._in_time),
            'protected': lambda image, _, value: image['protected'] == (value == 'true'),
            **dict.fromkeys(('size', 'min_ram'), lambda image, name, value: str(image[name]) == value),
            **dict.fromkeys(('owner', 'checksum'), lambda image, name, value: image[name] == value),
            **dict.fromkeys(LISTS, lambda image, name, value: image[name] in self._values(value)),
            **dict.fromkeys(RANGES, self._in_range),
        }.get(name, self._has_property)

    def _has_property(self, image, name, value):
        return self.properties.get((image['id'], name)) == value

    def _in_range(self, image, name, value):
        bound, found = int(value), image[name[:-4]]
        return found is not None and (found >= bound if name.endswith('_min') else found <= bound)

    def _values(self, value):
        """As `quoted` below writes them."""
        if value.startswith('in:'):
            found, rest = [], value[3:]
            for part in rest.removeprefix('"').removesuffix('"').split('","'):
                found.append(part.replace('\\"', '"'))
            return found
        return [value.removeprefix('eq:')]

    def _in_time(self, image, name, value):
        shown = image[name].replace(microsecond=0)
        operator, _, text = value.partition(':')
        moment = datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%SZ')
        return {
            'eq': shown == moment,
            'neq': shown != moment,
            'gt': shown > moment,
            'gte': shown >= moment,
            'lt': shown < moment,
            'lte': shown <= moment,
        }[operator]

    def _order(self, pairs):
        keys = [value for name, value in pairs if name == 'sort_key'] or ['created_at']
        dirs = [value for name, value in pairs if name == 'sort_dir'] or ['desc']
        tie = dirs[0] if len(dirs) == 1 else 'desc'
        dirs = dirs * len(keys) if len(dirs) == 1 else dirs
        joined = dict(pairs).get('sort')
        if joined is not None:
            parts = [part.partition(':') for part in joined.split(',')]
            keys, dirs, tie = [part[0] for part in parts], [part[2] or 'desc' for part in parts], 'desc'
        order = {}
        for key, way in [*zip(keys, dirs, strict=True), ('created_at', tie), ('id', tie)]:
            order.setdefault(key, way == 'desc')
        return list(order.items())

    def _rank(self, image, field):
        value = image[field]
        return (0 if field == 'size' else '') if value is None else value


def quoted(values):
    return 'in:' + ','.join('"' + value.replace('"', '\\"') + '"' for value in values)


texts = [name for name in NAMES if name is not None]
plain = st.sampled_from([text for text in texts if ':' not in text])
one_or_more = st.lists(st.sampled_from(texts), min_size=1, max_size=3).map(quoted)
times = st.tuples(
    st.sampled_from(('eq', 'neq', 'gt', 'gte', 'lt', 'lte')), st.sampled_from((4, 5, 6, 7))
).map(lambda found: f'{found[0]}:2026-01-02T03:04:0{found[1]}Z')
number = st.sampled_from(('-1', '0', '5', '6', str(2**40), '9' * 25))
FILTERS = {
    'name': plain | st.sampled_from(texts).map(lambda text: f'eq:{text}') | one_or_more,
    'status': st.sampled_from(('active', 'queued', 'killed', 'bogus', 'in:"active","queued"')),
    'disk_format': st.sampled_from(('raw', 'eq:qcow2', 'in:"raw","qcow2"', 'iso')),
    'container_format': st.sampled_from(('bare', 'ova')),
    'size': number,
    'size_min': number,
    'size_max': number,
    'virtual_size_min': number,
    'min_disk_max': number,
    'min_ram': st.sampled_from(('0', '512', 'x', '0.5')),
    'owner': st.sampled_from(('ours', 'theirs', 'nobody')),
    'checksum': st.sampled_from(('c' * 32, 'd')),
    'created_at': times,
    'updated_at': times,
    'tag': st.sampled_from((*TAGS, ' x ')),
    'tags': st.sampled_from(TAGS),
    'os': st.sampled_from((*VALUES, 'bsd')),
    'properties': st.sampled_from(VALUES),
    'unheard_of': st.sampled_from(VALUES),
    'protected': st.sampled_from(('true', 'false')),
}
#: Which images are meant at all; each of these is asked for in every other list.
SCOPES = {
    'visibility': st.sampled_from((*VISIBILITIES, 'all')),
    'member_status': st.sampled_from(listing.MEMBER_STATUSES),
    'os_hidden': st.sampled_from(('true', 'False', 'TRUE')),
}
scopes = st.fixed_dictionaries({}, optional=SCOPES).map(lambda found: list(found.items()))
filters = st.sampled_from(sorted(FILTERS)).flatmap(lambda name: st.tuples(st.just(name), FILTERS[name]))
key = st.sampled_from(listing.SORT_KEYS)
way = st.sampled_from(listing.SORT_DIRS)


def by_keys(parts):
    keys, ways = parts
    return [('sort_key', found) for found in keys] + [('sort_dir', found) for found in ways[: len(keys)]]


orders = (
    st.just([])
    | way.map(lambda found: [('sort_dir', found)])
    | st.tuples(st.lists(key, min_size=1, max_size=3), st.lists(way, min_size=1, max_size=1)).map(by_keys)
    | st.tuples(st.lists(key, min_size=2, max_size=2), st.lists(way, min_size=2, max_size=2)).map(by_keys)
    | st.lists(st.tuples(key, way), min_size=1, max_size=3).map(
        lambda parts: [('sort', ','.join(f'{field}:{found}' for field, found in parts))]
    )
    | key.map(lambda found: [('sort', found)])
)
callers = st.sampled_from(
    [(project, False) for project in (*OWNERS, 'strangers')]
    + [('ours', True), ('strangers', True), (None, True)]
)


class ListModelTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        fixture = use_database(self)
        self.db = fixture.database
        rows = population()
        with fixture.engine.begin() as connection:
            for table, found in rows.items():
                connection.execute(sa.insert(schema.metadata.tables[table]), found)
        self.model = Model(rows)

    def test_every_list_is_what_the_rules_say(self):
        @settings(max_examples=EXAMPLES[self.database_kind], deadline=None, database=None, derandomize=True)
        @given(callers, scopes, st.lists(filters, max_size=2), orders, st.sampled_from((2, 200)))
        def check(who, scope, asked, order, size):
            caller = context.RequestContext(
                user_id='user', project_id=who[0], is_admin=who[1], roles=['reader'], overwrite=False
            )
            pairs = [*scope, *asked, *order]
            # Of a parameter that counts once the last one does.
            last = dict(pairs)
            counted = [
                (name, value)
                for name, value in pairs
                if name in ('tag', 'tags', 'sort_key', 'sort_dir') or last[name] == value
            ]
            expected = self.model.listed(caller, counted)
            self.assertEqual(expected, list(self.paged(caller, pairs, size)), pairs)

        check()

    def paged(self, caller, pairs, size):
        """The ids of all pages put together."""
        marker = []
        for _ in self.model.images:  # there are no more pages than images
            query = listing.parse([*pairs, *marker], default_limit=size, max_limit=1000)
            page = self.db.snapshot(functools.partial(self.look, caller=caller, query=query))
            yield from page
            if len(page) < size:
                return
            marker = [('marker', page[-1])]

    def look(self, tx, *, caller, query):
        return [image.id for image in tx.images.list(caller, query)]

    def test_a_common_property_is_walked_to_and_a_rare_one_begun_with(self):
        """The model again, on both sides of the number that decides between the two ways."""
        caller = context.RequestContext(project_id='ours', roles=['reader'], overwrite=False)
        for many in (1, 20, 10_000):
            self.addCleanup(setattr, image_queries, 'MANY', image_queries.MANY)
            image_queries.MANY = many
            for value, tag in itertools.product((None, 'linux', LONG), (None, *TAGS)):
                pairs = [(name, found) for name, found in (('os', value), ('tag', tag)) if found is not None]
                expected = self.model.listed(caller, pairs)
                self.assertEqual(expected, list(self.paged(caller, pairs, 3)), pairs)


class RefusedTest(testtools.TestCase):
    def test_what_makes_no_sense_is_refused_and_nothing_else_is(self):
        @settings(max_examples=300, deadline=None, database=None, derandomize=True)
        @given(
            st.sampled_from([*FILTERS, *SCOPES, 'sort', 'sort_key', 'limit', 'marker']), st.text(max_size=12)
        )
        def check(name, value):
            try:
                listing.parse([(name, value)], default_limit=25, max_limit=1000)
            except errors.InvalidQuery:
                self.assertNotIn(name, ('owner', 'checksum', 'os', 'tag', 'size', 'min_ram', 'marker'))

        check()
