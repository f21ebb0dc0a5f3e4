"""Images in each of the three databases: saving, deleting, and who sees what in which order."""

import contextlib
import dataclasses
import datetime
import itertools
import threading
import uuid

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import context, errors
from imagepipe.db import schema
from imagepipe.domain import listing
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.tests.fixtures.databases import DATABASES, use_database


def caller(project, *, admin=False):
    return context.RequestContext(
        user_id='user', project_id=project, is_admin=admin, roles=['reader'], overwrite=False
    )


def query(*pairs, limit=25):
    return listing.parse(pairs, default_limit=limit, max_limit=1000)


class ImagesCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        fixture = use_database(self)
        self.db, self.engine = fixture.database, fixture.engine

    def add(self, **fields):
        fields.setdefault('id', str(uuid.uuid4()))
        fields.setdefault('owner', 'ours')
        return self.db.run(lambda tx: tx.images.add(Image(**fields)))

    def share(self, image, project, status='accepted'):
        now = datetime.datetime(2026, 1, 1)
        row = {
            'image_id': image.id,
            'member': project,
            'status': status,
            'created_at': now,
            'updated_at': now,
        }
        self.db.run(lambda tx: tx.connection.execute(sa.insert(schema.members), row))

    def get(self, image_id, project='ours', *, admin=False):
        return self.db.read(lambda tx: tx.images.get(caller(project, admin=admin), image_id))

    def listed(self):
        return self.db.read(lambda tx: tx.images.list(caller('ours'), query()))

    def names(self, *pairs, project='ours', admin=False, limit=25):
        asked = query(*pairs, limit=limit)
        return [
            image.name
            for image in self.db.snapshot(lambda tx: tx.images.list(caller(project, admin=admin), asked))
        ]


class SavingTest(ImagesCase):
    def test_what_was_added_is_what_is_read(self):
        added = self.add(
            name='Foo ',
            properties={'a': 'é', '': 'x' * 70000},
            tags=frozenset({'t', 'T', 't ', ''}),
            size=2**40,
            min_disk=3,
            protected=True,
            visibility=Visibility.PRIVATE,
        )
        self.assertEqual(added, self.get(added.id))

    def test_any_text_comes_back_as_it_was(self):
        texts = [
            '"',
            '\\',
            '\\"',
            "'",
            '\n\t\x01\x1f\x7f',
            '\u2028',
            '</',
            '{"a": [1]}',
            '[1',
            'null',
            '0',
            '😀',
            '%(x)s',
            ':x',
        ]
        texts += [chr(code) for code in (0x80, 0xA0, 0x301, 0xFEFF, 0xFFFD, 0xFFFF)]
        added = self.add(
            name=''.join(texts), properties={text: text[::-1] for text in texts}, tags=frozenset(texts)
        )
        self.assertEqual(added, self.get(added.id))
        self.assertEqual([added.name], self.names((texts[0], texts[0])))

    def test_what_is_read_is_of_one_moment(self):
        """However many statements it takes, and whatever is written between them."""
        self.last = self.add(name='0', properties={'name_too': '0'}, tags=frozenset({'0'}))
        reader = threading.current_thread()

        def change():
            text = str(int(self.last.name) + 1)
            new = dataclasses.replace(
                self.last, name=text, properties={'name_too': text}, tags=frozenset({text})
            )
            self.last = self.db.run(lambda tx: tx.images.save(new, expected=self.last))

        def behind(*_statement):
            if threading.current_thread() is reader:
                writer = threading.Thread(target=change)
                writer.start()
                writer.join()

        for read in (lambda: self.get(self.last.id), lambda: self.listed()[0]):
            sa.event.listen(sa.Engine, 'after_cursor_execute', behind)
            try:
                found = read()
            finally:
                sa.event.remove(sa.Engine, 'after_cursor_execute', behind)
            self.assertEqual([found.name] * 2, [found.properties['name_too'], *found.tags])
        self.assertGreater(int(self.last.name), 1)

    def test_a_change_is_written_and_its_time_grows(self):
        added = self.add(properties={'keep': '1', 'drop': '2', 'change': '3'}, tags=frozenset({'a', 'b'}))
        changed = dataclasses.replace(
            added,
            name='new',
            status=Status.SAVING,
            tags=frozenset({'b', 'c'}),
            properties={'keep': '1', 'change': '4', 'new': '5'},
        )
        saved = self.db.run(lambda tx: tx.images.save(changed, expected=added))
        self.assertEqual(saved, self.get(added.id))
        self.assertEqual({'keep': '1', 'change': '4', 'new': '5'}, saved.properties)
        self.assertGreater(saved.updated_at, added.updated_at)

    def test_two_saves_in_the_same_microsecond_differ(self):
        added = self.add()

        def twice(tx):
            first = tx.images.save(added, expected=added)
            return first, tx.images.save(first, expected=first)

        first, second = self.db.run(twice)
        self.assertGreater(second.updated_at, first.updated_at)

    def test_a_save_over_another_change_is_refused(self):
        added = self.add()
        self.db.run(lambda tx: tx.images.save(added, expected=added))

        def late(tx):
            self.assertRaises(errors.ImageChanged, tx.images.save, added, added)

        self.db.run(late)

    def test_a_save_over_a_delete_finds_no_image(self):
        added = self.add()
        self.db.run(lambda tx: tx.images.remove(added, expected=added))
        self.assertRaises(errors.ImageNotFound, self.db.run, lambda tx: tx.images.save(added, expected=added))

    def test_an_id_is_never_used_again(self):
        added = self.add(properties={'a': 'b'}, tags=frozenset({'t'}))
        self.assertRaises(errors.ImageIdTaken, self.add, id=added.id, owner='theirs')
        self.db.run(lambda tx: tx.images.remove(added, expected=added))
        self.assertRaises(errors.ImageIdTaken, self.add, id=added.id)
        self.assertRaises(errors.ImageNotFound, self.get, added.id)
        with self.engine.connect() as connection:
            for table in (schema.properties, schema.tags):
                self.assertEqual([], connection.execute(sa.select(table)).all())

    def test_ids_differ_by_case(self):
        lower = self.add(id='aaaaaaaa-0000-4000-8000-000000000000')
        upper = self.add(id='AAAAAAAA-0000-4000-8000-000000000000')
        self.assertEqual(lower.id, self.get(lower.id).id)
        self.assertEqual(upper.id, self.get(upper.id).id)
        self.assertRaises(errors.ImageNotFound, self.get, f'{lower.id} ')

    def test_a_nul_finds_nothing(self):
        self.assertRaises(errors.ImageNotFound, self.get, 'a\0b')
        self.assertEqual([], self.names(('name', 'a\0b')))
        self.assertRaises(errors.InvalidMarker, self.names, ('marker', 'a\0b'))


class VisibilityTest(ImagesCase):
    def setUp(self):
        super().setUp()
        for owner, visibility in itertools.product(('ours', 'theirs', None), Visibility):
            self.add(name=f'{owner} {visibility}', owner=owner, visibility=visibility)
        for status in ('accepted', 'pending', 'rejected'):
            image = self.add(name=f'{status} share', owner='theirs')
            self.share(image, 'ours', status)
        once_shared = self.add(name='once shared', owner='theirs', visibility=Visibility.PRIVATE)
        self.share(once_shared, 'ours')

    def seen_by_id(self, project, *, admin=False):
        with self.engine.connect() as connection:
            known = connection.execute(sa.select(schema.images.c.id, schema.images.c.name)).all()
        seen = set()
        for row in known:
            try:
                seen.add(self.get(row.id, project, admin=admin).name)
            except errors.ImageNotFound:
                continue
        return seen

    def test_by_id_a_project_sees_its_own_and_what_is_everybodys(self):
        self.assertEqual(
            {
                'ours public',
                'ours private',
                'ours shared',
                'ours community',
                'theirs public',
                'theirs community',
                'None public',
                'None private',
                'None shared',
                'None community',
                'accepted share',
                'pending share',
                'rejected share',
            },
            self.seen_by_id('ours'),
        )

    def test_by_id_an_administrator_sees_everything(self):
        self.assertEqual(16, len(self.seen_by_id('ours', admin=True)))

    def test_by_id_nobody_sees_what_is_everybodys(self):
        self.assertEqual(
            {
                'theirs public',
                'theirs community',
                'ours public',
                'ours community',
                'None public',
                'None private',
                'None shared',
                'None community',
            },
            self.seen_by_id(None),
        )

    def assert_listed(self, expected, *pairs, **who):
        self.assertEqual(sorted(expected), sorted(self.names(*pairs, **who)))

    def test_a_list_without_visibility_leaves_foreign_community_images_out(self):
        own = {'ours public', 'ours private', 'ours shared', 'ours community'}
        self.assert_listed(own | {'theirs public', 'None public', 'accepted share'})
        self.assert_listed(
            own | {'theirs public', 'None public', 'pending share'}, ('member_status', 'pending')
        )
        self.assert_listed(
            own | {'theirs public', 'None public', 'accepted share', 'pending share', 'rejected share'},
            ('member_status', 'all'),
        )

    def test_a_list_by_visibility(self):
        for visibility, expected in {
            'public': {'ours public', 'theirs public', 'None public'},
            'community': {'ours community', 'theirs community', 'None community'},
            'private': {'ours private'},
            'shared': {'ours shared', 'accepted share'},
            '': set(),
            'all': {
                'ours public',
                'ours private',
                'ours shared',
                'ours community',
                'theirs public',
                'None public',
                'theirs community',
                'None community',
                'accepted share',
            },
        }.items():
            self.assert_listed(expected, ('visibility', visibility))

    def test_an_administrators_list(self):
        everything = self.seen_by_id('ours', admin=True)
        foreign = {'theirs community', 'None community'}
        self.assert_listed(everything - foreign, admin=True)
        self.assert_listed(everything - foreign - {'ours community'}, project=None, admin=True)
        self.assert_listed(everything, ('visibility', 'all'), admin=True)
        self.assert_listed(
            {'ours private', 'theirs private', 'None private', 'once shared'},
            ('visibility', 'private'),
            admin=True,
        )

    def test_the_share_names_the_project_that_sees_by_it(self):
        shares = self.db.read(
            lambda tx: tx.images.list(caller('ours'), query(('visibility', 'shared'), ('owner', 'theirs')))
        )
        self.assertEqual([('accepted share', 'ours')], [(image.name, image.member_id) for image in shares])
        self.assertEqual('ours', self.get(shares[0].id).member_id)
        self.assertIsNone(self.get(shares[0].id, 'theirs').member_id)


class FilterTest(ImagesCase):
    def test_each_filter_finds_what_it_says(self):
        self.add(name='a', status=Status.ACTIVE, size=10, min_ram=5, disk_format='raw', checksum='c' * 32)
        self.add(name='b, c', size=20, tags=frozenset({'x', 'y'}), properties={'os': 'linux'})
        self.add(name='A', os_hidden=True, protected=True, tags=frozenset({'x'}), virtual_size=7)
        for pairs, expected in (
            ([('name', 'a')], ['a']),
            ([('name', 'in:a,"b, c"')], ['b, c', 'a']),
            ([('name', 'eq:b, c')], ['b, c']),
            ([('status', 'active')], ['a']),
            ([('status', 'bogus')], []),
            ([('size', '10')], ['a']),
            ([('size', '1e1')], []),
            ([('size_min', '11')], ['b, c']),
            ([('size_min', '-5'), ('size_max', '10')], ['a']),
            ([('size_min', '1' + '0' * 25)], []),
            ([('size_max', '1' + '0' * 25)], ['b, c', 'a']),
            ([('min_ram_min', '5')], ['a']),
            ([('min_ram', '5' * 15)], []),
            ([('checksum', 'c' * 32)], ['a']),
            ([('disk_format', 'in:raw,qcow2')], ['a']),
            ([('tag', 'x')], ['b, c']),
            ([('tag', 'x'), ('tag', ' y ')], ['b, c']),
            ([('tag', 'X')], []),
            ([('os', 'linux')], ['b, c']),
            ([('os', 'linux '), ('tag', 'x')], []),
            ([('unheard_of', '')], []),
            ([('os_hidden', 'True')], ['A']),
            ([('os_hidden', 'true'), ('protected', 'true'), ('virtual_size', '7')], ['A']),
            ([('protected', 'true')], []),
            ([('owner', 'ours')], ['b, c', 'a']),
            ([('owner', 'theirs')], []),
            ([('limit', '0')], []),
            ([('limit', '1')], ['b, c']),
        ):
            self.assertEqual(expected, self.names(*pairs), pairs)

    def test_a_time_compares_as_it_is_shown(self):
        image = self.add(name='a')
        shown = image.created_at.strftime('%Y-%m-%dT%H:%M:%SZ')
        for operator, expected in (
            ('', ['a']),
            ('eq:', ['a']),
            ('neq:', []),
            ('gt:', []),
            ('gte:', ['a']),
            ('lt:', []),
            ('lte:', ['a']),
        ):
            self.assertEqual(expected, self.names(('created_at', operator + shown)), operator)
        self.assertEqual(['a'], self.names(('updated_at', 'lt:2100-01-01T00:00:00+02:00')))
        self.assertEqual(['a'], self.names(('updated_at', 'neq:2000-01-01')))


class OrderTest(ImagesCase):
    def paged(self, *pairs, size=2):
        found, marker = [], ()
        while True:
            asked = query(*pairs, *marker, limit=size)
            page = self.db.snapshot(lambda tx, asked=asked: tx.images.list(caller('ours'), asked))
            found += [image.name for image in page]
            if len(page) < size:
                return found
            marker = (('marker', page[-1].id),)

    def test_pages_put_together_are_the_whole_list_in_order(self):
        names = ['b', None, 'B', 'a', 'ä', 'b ', 'a', '', 'Z']
        for number, name in enumerate(names):
            shared = number % 3 == 2
            image = self.add(
                name=name,
                owner='theirs' if shared else 'ours',
                size=(None, 0, 5)[number % 3],
                visibility=(Visibility.PRIVATE, Visibility.PUBLIC, Visibility.SHARED)[number % 3],
            )
            if shared:
                self.share(image, 'ours')
        self.assertEqual(names[::-1], self.paged())
        self.assertEqual(names, self.paged(('sort', 'created_at:asc'), size=4))
        self.assertEqual(
            ['', None, 'B', 'Z', 'a', 'a', 'b', 'b ', 'ä'],
            self.names(
                ('sort_key', 'name'), ('sort_key', 'created_at'), ('sort_dir', 'asc'), ('sort_dir', 'desc')
            ),
        )
        for sort in ('name', 'size', 'status:asc,name:desc', 'size:asc,name', 'id:asc', 'updated_at:asc'):
            self.assertEqual(self.names(('sort', sort)), self.paged(('sort', sort)), sort)
            self.assertEqual(self.names(('sort', sort)), self.paged(('sort', sort), size=1), sort)

    def test_markers_that_cannot_be_used(self):
        foreign = self.add(owner='theirs')
        self.assertRaises(errors.InvalidMarker, self.names, ('marker', str(uuid.uuid4())))
        self.assertRaises(errors.MarkerForbidden, self.names, ('marker', foreign.id))


class CostTest(ImagesCase):
    def test_the_number_of_statements_does_not_grow(self):
        self.add(name='a', properties={'p': 'v'}, tags=frozenset({'t'}))
        few = self.count_statements()
        for number in range(20):
            self.add(name=f'b{number}', properties={'p': 'v', 'q': 'w'}, tags=frozenset({'t', 'u'}))
        self.assertEqual(few, self.count_statements())
        self.assertEqual(1, few)

    def count_statements(self, *pairs):
        seen = []

        def note(connection, cursor, statement, *rest):
            seen.append(statement)

        with contextlib.ExitStack() as stack:
            for engine in self.db.engines:
                sa.event.listen(engine, 'before_cursor_execute', note)
                stack.callback(sa.event.remove, engine, 'before_cursor_execute', note)
            self.names(*pairs)
        return len([statement for statement in seen if statement.startswith('SELECT')])
