"""The tasks API: imports listed and shown as tasks, and one way to ask for them, with every check."""

import json
import os

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.db import schema
from imagepipe.domain.import_ import ENDED, ImportQuery, ImportState
from imagepipe.domain.task import TaskQuery
from imagepipe.operations import images, imports, tasks
from imagepipe.tests.fixtures.api import ApiFixture, new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

SOURCE = 'http://192.0.2.1/disk?signature=hidden'
FORMATS = {'disk_format': 'raw', 'container_format': 'bare'}
BODY, QUERY = 'imagepipe.request.invalid_body', 'imagepipe.request.invalid_query'
FORBIDDEN = 'imagepipe.policy.forbidden'


def wanted(*, type='import', uri=SOURCE, **properties):
    """The body of a POST."""
    return {
        'type': type,
        'input': {'import_from': uri, 'import_from_format': 'raw', 'image_properties': properties},
    }


class TasksCase(testtools.TestCase):
    database_kind = 'sqlite'
    overrides = {'import_filtering_opts.allowed_networks': '192.0.2.0/24'}

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind, overrides=self.overrides))

    def post(self, body, *, as_='admin'):
        return self.api.call('POST', '/v2/tasks', body, as_=as_)

    def get(self, query='', *, as_='admin'):
        return self.api.call('GET', f'/v2/tasks{query}', as_=as_)

    def started(self, *, as_='admin', **how):
        response = self.assert_status(201, self.post(wanted(**{**FORMATS, **how}), as_=as_))
        return response.json

    def imported(self):
        """The id of an import of an image, which is a task too."""
        image = self.api.create(**FORMATS)
        asked = {'method': {'name': 'web-download', 'uri': SOURCE}}
        response = self.api.call('POST', f'/v2/images/{image["id"]}/import', asked)
        self.assert_status(202, response)
        return response.headers['OpenStack-image-import-task-id']

    def listed(self, query=''):
        return [task['id'] for task in self.assert_status(200, self.get(query)).json['tasks']]

    def end(self, task_id, state, **columns):
        self.api.services.db.run(lambda tx: tx.imports.to(task_id, ImportState, state, **columns))

    def images(self):
        with self.api.services.db.engine.connect() as connection:
            return list(connection.execute(sa.select(schema.images.c.id)).scalars())

    def assert_status(self, status, response):
        self.assertEqual(status, response.status_int, response.text)
        return response

    def assert_error(self, status, code, response):
        self.assert_status(status, response)
        self.assertEqual(code, response.json['error']['error_code'])


class RefusedTest(TasksCase):
    def test_a_refused_task_leaves_no_image(self):
        self.api.conf.set_override('image_property_quota', 1)
        for status, body in (
            (400, wanted(uri='file:///etc/passwd', **FORMATS)),
            (400, wanted(uri='http://127.0.0.1/disk', **FORMATS)),
            (400, wanted(uri='http://169.254.169.254/latest', **FORMATS)),
            (400, wanted(uri='http://user:word@192.0.2.1/disk', **FORMATS)),
            (400, wanted(uri='ftp://192.0.2.1/disk', **FORMATS)),
            (400, wanted(uri='http://192.0.2.1:22/disk', **FORMATS)),
            (400, wanted(**{**FORMATS, 'disk_format': 'odd'})),
            (400, wanted(**FORMATS, min_disk=-1)),
            (403, wanted(**FORMATS, status='active')),
            (403, wanted(**FORMATS, os_glance_x='y')),
            (403, wanted(**FORMATS, stores='fast')),
            (413, wanted(**FORMATS, a='b', c='d')),
        ):
            self.assert_status(status, self.post(body))
        self.assertEqual(([], []), (self.images(), self.listed()))

    def test_a_refused_url_uses_up_no_id(self):
        free = new_id()
        self.assert_status(400, self.post(wanted(uri='http://127.0.0.1/disk', **FORMATS, id=free)))
        self.assertEqual(free, self.started(id=free)['image_id'])

    def test_a_task_refused_after_its_image_was_made_takes_it_back(self):
        taken = new_id()
        refused = self.post(wanted(id=taken, protected=True, name='no formats'))
        self.assert_error(409, 'imagepipe.import.formats_not_set', refused)
        self.assertEqual(([], []), (self.images(), self.listed()))
        self.assert_error(409, 'imagepipe.image.id_taken', self.post(wanted(**FORMATS, id=taken)))


class TasksTest(testscenarios.WithScenarios, TasksCase):
    scenarios = DATABASES

    def test_a_task_of_type_import_is_an_image_and_its_import(self):
        response = self.assert_status(201, self.post(wanted(**FORMATS, name='disk', tags=['t'], a='b')))
        task = response.json
        path = f'/v2/tasks/{task["id"]}'
        self.assertEqual(f'http://localhost{path}', response.headers['Location'])
        self.assertEqual(
            {
                'id': task['id'], 'type': 'import', 'status': 'pending', 'owner': 'admins',
                'message': '', 'result': None, 'image_id': task['image_id'],
                'request_id': response.headers['x-openstack-request-id'], 'user_id': 'user-admin',
                'input': {
                    'import_from': 'http://192.0.2.1/disk', 'import_from_format': 'raw',
                    'image_properties': {**FORMATS, 'name': 'disk', 'tags': ['t'], 'a': 'b'},
                },
                'created_at': task['created_at'], 'updated_at': task['created_at'],
                'self': path, 'schema': '/v2/schemas/task',
            },
            task,
        )  # fmt: skip
        self.assertEqual(task, self.api.call('GET', path, as_='admin').json)
        image = self.api.call('GET', f'/v2/images/{task["image_id"]}', as_='admin').json
        self.assertEqual(
            ('importing', 'disk', ['t'], 'b', task['id']),
            tuple(image[name] for name in ('status', 'name', 'tags', 'a', 'os_glance_import_task')),
        )
        import_ = self.api.call('GET', f'/v2/imports/{task["id"]}', as_='admin').json
        self.assertEqual(('web-download', 'accepted'), (import_['method'], import_['state']))
        (of_image,) = self.api.call('GET', f'/v2/images/{task["image_id"]}/tasks', as_='admin').json['tasks']
        self.assertEqual(('import', task['input']), (of_image['type'], of_image['input']))
        self.end(task['id'], ImportState.SUCCEEDED)
        shown = self.api.call('GET', path, as_='admin').json
        self.assertEqual(('success', {'image_id': image['id']}), (shown['status'], shown['result']))
        self.assertEqual(
            {'id', 'type', 'status', 'owner', 'created_at', 'updated_at', 'self', 'schema'},
            set(self.get().json['tasks'][0]),
        )

    def test_filters_and_orders(self):
        first, second, third = self.started()['id'], self.imported(), self.started()['id']
        self.end(first, ImportState.FAILED)
        self.end(second, ImportState.RUNNING)
        for query, found in (
            ('', [third, second, first]),
            ('?sort_dir=asc', [first, second, third]),
            ('?sort_key=id', sorted([first, second, third], reverse=True)),
            ('?sort_key=id&sort_dir=asc', sorted([first, second, third])),
            ('?sort_key=status&sort_dir=asc', [first, third, second]),
            ('?sort_key=type&sort_dir=asc', [second, first, third]),
            ('?sort_key=owner&sort_dir=asc', [first, third, second]),
            ('?type=import', [third, first]),
            ('?type=api_image_import', [second]),
            ('?type=location_import', []),
            ('?status=failure', [first]),
            ('?status=processing', [second]),
            ('?status=pending', [third]),
            ('?status=success', []),
            ('?owner=ours', [second]),
            ('?owner=admins&status=pending', [third]),
            ('?owner=nobody', []),
            ('?limit=0', []),
            ('?nonsense=x', [third, second, first]),
        ):
            self.assertEqual(found, self.listed(query), query)

    def test_pages(self):
        tasks = [self.started()['id'] for _ in range(5)]
        for key in ('created_at', 'status', 'type', 'owner', 'id', 'updated_at'):
            for direction in ('asc', 'desc'):
                query = f'sort_key={key}&sort_dir={direction}'
                whole, seen = self.listed(f'?{query}'), []
                page = self.get(f'?{query}&limit=2').json
                while page['tasks']:
                    seen += [task['id'] for task in page['tasks']]
                    if 'next' not in page:
                        break
                    self.assertEqual(f'/v2/tasks?{query}&limit=2', page['first'])
                    page = self.api.call('GET', page['next'], as_='admin').json
                self.assertEqual((whole, set(tasks)), (seen, set(seen)), query)
        self.assertEqual(('/v2/tasks', '/v2/schemas/tasks'), (self.get().json['first'], page['schema']))


class TaskRefusalsTest(TasksCase):
    def test_bodies(self):
        for body in (
            {}, [], {'type': 'import'}, {'input': {}}, {'type': 'import', 'input': []},
            {'type': 'odd', 'input': {}}, {'type': None, 'input': {}}, {'type': ['import'], 'input': {}},
            {**wanted(**FORMATS), 'status': 'success'}, {**wanted(**FORMATS), 'odd': 1},
            {'type': 'import', 'input': {}},
            *({'type': 'import', 'input': {**wanted()['input'], name: value}}
              for name in ('import_from', 'import_from_format') for value in (None, '', 1, {}, [])),
            *({'type': 'import', 'input': {**wanted()['input'], 'image_properties': value}}
              for value in (None, 'x', [])),
            wanted(**FORMATS, a=1),
        ):  # fmt: skip
            self.assert_error(400, BODY, self.post(body))
        self.assert_error(400, BODY, self.api.call('POST', '/v2/tasks', as_='admin'))
        for kind in ('api_image_import', 'location_import'):
            self.assert_error(400, 'imagepipe.task.type_refused', self.post(wanted(type=kind)))
        self.assertEqual([], self.images())

    def test_an_image_that_nothing_is_said_of_is_a_qcow2(self):
        image_id = self.assert_status(201, self.post(wanted())).json['image_id']
        image = self.api.call('GET', f'/v2/images/{image_id}', as_='admin').json
        self.assertEqual(('qcow2', 'bare'), (image['disk_format'], image['container_format']))

    def test_queries(self):
        for query in ('limit=x', 'limit=-1', 'sort_key=odd', 'sort_key=input', 'sort_dir=up', 'status=odd',
                      'status=', 'type=odd', 'owner=a%00b', 'marker=a%00b'):  # fmt: skip
            self.assert_error(400, QUERY, self.get(f'?{query}'))
        for marker in ('no-uuid', new_id()):
            self.assert_error(400, 'imagepipe.request.invalid_marker', self.get(f'?marker={marker}'))

    def test_it_is_for_administrators_before_anything_is_looked_at(self):
        task_id = self.started()['id']
        for as_ in ('ours', 'reader', 'norole'):
            for method, path in (
                ('GET', ''), ('GET', '?limit=x'), ('POST', ''), ('GET', f'/{task_id}'),
                ('GET', f'/{new_id()}'), ('DELETE', f'/{task_id}'),
            ):  # fmt: skip
                response = self.api.call(method, f'/v2/tasks{path}', raw=b'{', as_=as_)
                self.assert_error(403, FORBIDDEN, response)
        for unknown in (new_id(), 'a%00b', 'x'):
            self.assert_error(
                404, 'imagepipe.task.not_found', self.api.call('GET', f'/v2/tasks/{unknown}', as_='admin')
            )
        deleted = self.assert_status(405, self.api.call('DELETE', f'/v2/tasks/{task_id}', as_='admin'))
        self.assertEqual('GET', deleted.headers['Allow'])
        for path, allow in (('', 'GET, POST'), (f'/{task_id}', 'GET, DELETE')):
            response = self.assert_status(405, self.api.call('PUT', f'/v2/tasks{path}', as_='admin'))
            self.assertEqual(allow, response.headers['Allow'])

    def test_whoever_else_the_operator_lets_in_has_the_rights_of_both_calls(self):
        theirs = self.started()['id']
        with open(f'{self.api.root}/etc/policy.yaml', 'w') as file:
            file.write('"tasks_api_access": ""\n')
        own = self.started(as_='ours')
        self.assertEqual([own['id']], [task['id'] for task in self.get(as_='ours').json['tasks']])
        asked = self.get('?owner=admins', as_='ours').json['tasks']
        self.assertEqual([own['id']], [task['id'] for task in asked])
        self.assertEqual('ours', own['owner'])
        self.assert_status(404, self.api.call('GET', f'/v2/tasks/{theirs}', as_='ours'))
        self.assert_error(403, FORBIDDEN, self.post(wanted(**FORMATS), as_='reader'))
        self.assert_error(403, FORBIDDEN, self.post(wanted(**FORMATS, visibility='public'), as_='ours'))
        self.assert_error(
            403, 'imagepipe.image.owner_forbidden', self.post(wanted(**FORMATS, owner='theirs'), as_='ours')
        )


class ProtectedPropertiesTest(TasksCase):
    def setUp(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'protections')
        with open(path, 'w') as file:
            for section, create, read in (
                ('^hidden$', 'admin', 'admin'),
                ('^unread$', '@', '!'),
                ('.*', '@', '@'),
            ):
                file.write(f'[{section}]\ncreate = {create}\nread = {read}\nupdate = @\ndelete = @\n')
        self.overrides = {**self.overrides, 'property_protection_file': path}
        super().setUp()

    def test_a_task_does_not_tell_what_the_image_does_not(self):
        task = self.started(owner='ours', hidden='x', seen='y')
        self.assertEqual('x', task['input']['image_properties']['hidden'])
        (shown,) = self.api.call('GET', f'/v2/images/{task["image_id"]}/tasks').json['tasks']
        self.assertEqual({**FORMATS, 'owner': 'ours', 'seen': 'y'}, shown['input']['image_properties'])

    def test_an_image_that_its_maker_cannot_read_whole_is_taken_back_too(self):
        self.assert_status(409, self.post(wanted(unread='x')))
        self.assertEqual([], self.images())


class ImportTaskTest(testtools.TestCase):
    """With a worker and a source: the task ends as every import does."""

    def setUp(self):
        super().setUp()
        self.pipeline = self.useFixture(PipelineFixture(self))

    def task(self, path, **properties):
        body = wanted(uri=self.pipeline.source.url(path), **FORMATS, **properties)
        response = self.pipeline.call('POST', '/v2/tasks', body, as_='admin')
        self.assertEqual(201, response.status_int, response.text)
        task_id = response.json['id']
        db = self.pipeline.services.db
        wait_until(lambda: db.read(lambda tx: tx.imports.get(task_id)).state in ENDED, 'the task ends')
        return self.pipeline.call('GET', f'/v2/tasks/{task_id}', as_='admin').json

    def events(self):
        query = sa.select(schema.outbox).where(schema.outbox.c.event_type.like('task.%'))
        with self.pipeline.services.db.engine.connect() as connection:
            rows = connection.execute(query.order_by(schema.outbox.c.id)).all()
        return [(row.event_type, json.loads(row.payload)['type']) for row in rows]

    def test_a_task_that_succeeds_and_one_that_fails(self):
        self.pipeline.source.serve('/disk', b'a small raw image')
        done = self.task('/disk')
        self.assertEqual(('success', {'image_id': done['image_id']}, ''),
                         (done['status'], done['result'], done['message']))  # fmt: skip
        image = self.pipeline.show(done['image_id'], as_='admin')
        self.assertEqual(('active', 17), (image['status'], image['size']))
        failed = self.task('/nothing')
        self.assertEqual(('failure', None), (failed['status'], failed['result']))
        self.assertIn('404', failed['message'])
        self.assertEqual('queued', self.pipeline.show(failed['image_id'], as_='admin')['status'])
        verbs = ['create', 'processing', 'success', 'run', 'create', 'processing', 'failure', 'run']
        self.assertEqual([(f'task.{verb}', 'import') for verb in verbs], self.events())


class NoProjectTest(TasksCase):
    """Who acts for no project, as for a domain where scope is not enforced, has nothing of his own."""

    def setUp(self):
        policy = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(policy, 'w') as file:
            json.dump({'tasks_api_access': '@', 'get_imports': '@', 'get_import': '@'}, file)
        self.overrides = {**self.overrides, 'oslo_policy.policy_file': policy}
        super().setUp()
        self.nobody = RequestContext(user_id='u', roles=['member', 'reader'], overwrite=False)

    def test_what_belongs_to_projects_is_not_listed(self):
        self.imported()
        services = self.api.services
        self.assertEqual([], imports.search(services, self.nobody, ImportQuery(limit=9)))
        self.assertEqual([], tasks.search(services, self.nobody, TaskQuery(limit=9)))

    def test_what_belongs_to_no_project_is_not_his(self):
        image = self.api.call('POST', '/v2/images', {**FORMATS, 'owner': None}, as_='admin').json
        asked = {'method': {'name': 'web-download', 'uri': SOURCE}}
        self.assert_status(202, self.api.call('POST', f'/v2/images/{image["id"]}/import', asked, as_='admin'))
        self.assertEqual([], tasks.of_image(self.api.services, self.nobody, image['id']))

    def test_he_makes_no_image_for_everybody(self):
        self.assertRaises(errors.OwnerForbidden, images.create, self.api.services, self.nobody, FORMATS)
