"""Calls about imports over HTTP: accepted, listed, looked at, cancelled, and seen as tasks.

No conductor runs here: what an import does once it is accepted is told elsewhere.
"""

import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain.import_ import ImportState, StepState
from imagepipe.tests.fixtures.api import ApiFixture, new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.endings import end

DATA = b'x' * 1000


class ImportsCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(
            ApiFixture(
                self,
                kind=self.database_kind,
                overrides={'import_filtering_opts.allowed_networks': '192.0.2.0/24'},
            )
        )

    def assert_error(self, status, code, response):
        self.assertEqual(status, response.status_int, response.text)
        self.assertEqual(code, response.json['error']['error_code'])

    def staged(self, **attributes):
        image = self.api.create(disk_format='raw', container_format='bare', **attributes)
        response = self.api.call(
            'PUT',
            f'/v2/images/{image["id"]}/stage',
            raw=DATA,
            headers={'Content-Type': 'application/octet-stream'},
        )
        self.assertEqual(204, response.status_int, response.text)
        return image['id']

    def start(self, image_id, *, as_='ours', headers=None, method='glance-direct', uri=None, **body):
        asked = {'method': {'name': method, **({'uri': uri} if uri else {})}, **body}
        return self.api.call('POST', f'/v2/images/{image_id}/import', asked, as_=as_, headers=headers)

    def started(self, **body):
        image_id = self.staged()
        response = self.start(image_id, **body)
        self.assertEqual((202, b''), (response.status_int, response.body))
        return image_id, response.headers['OpenStack-image-import-task-id']

    def downloading(self):
        image = self.api.create(disk_format='raw', container_format='bare')
        response = self.start(
            image['id'], method='web-download', uri='http://192.0.2.1/disk?signature=hidden', stores=['cheap']
        )
        self.assertEqual(202, response.status_int, response.text)
        return image['id'], response.headers['OpenStack-image-import-task-id']


class AcceptTest(ImportsCase):
    def test_an_accepted_import_is_seen_at_once(self):
        image_id, import_id = self.started(
            stores=['cheap', 'fast'],
            all_stores_must_succeed=False,
            expected={'size': 1000},
        )
        shown = self.api.call('GET', f'/v2/imports/{import_id}')
        self.assertEqual(200, shown.status_int, shown.text)
        found = shown.json
        self.assertEqual(
            (
                import_id,
                image_id,
                'glance-direct',
                'accepted',
                'ours',
                'user-ours',
                None,
                None,
                {'size': 1000},
            ),
            tuple(
                found[name]
                for name in (
                    'id',
                    'image_id',
                    'method',
                    'state',
                    'owner',
                    'user_id',
                    'error',
                    'finished_at',
                    'expected',
                )
            ),
        )
        self.assertEqual(['stage', 'introspect'], [step['name'] for step in found['steps']][:2])
        self.assertEqual({'pending'}, {step['state'] for step in found['steps']})
        self.assertEqual(
            [('cheap', 'pending', 'raw'), ('fast', 'pending', 'raw')],
            [(store['store'], store['status'], store['disk_format']) for store in found['stores']],
        )
        self.assertEqual(
            {'method': 'glance-direct', 'url': None},
            {name: found['source'][name] for name in ('method', 'url')},
        )
        image = self.api.call('GET', f'/v2/images/{image_id}').json
        self.assertEqual(
            ('importing', import_id, 'cheap,fast', ''),
            (
                image['status'],
                image['os_glance_import_task'],
                image['os_glance_importing_to_stores'],
                image['os_glance_failed_import'],
            ),
        )
        self.assertEqual([image], self.api.call('GET', '/v2/images').json['images'])

    def test_the_source_is_shown_to_the_owner_and_without_its_query(self):
        image_id, import_id = self.downloading()
        self.api.share(image_id, 'theirs')
        paths = (f'/v2/imports/{import_id}', f'/v2/images/{image_id}/imports')
        for path in paths:
            for caller, url in (
                ('ours', 'http://192.0.2.1/disk'),
                ('admin', 'http://192.0.2.1/disk'),
                ('theirs', None),
            ):
                response = self.api.call('GET', path, as_=caller)
                self.assertEqual(200, response.status_int, (path, caller, response.text))
                found = response.json['imports'][0] if 'imports' in response.json else response.json
                self.assertEqual(url, found['source']['url'], (path, caller))
                self.assertNotIn('hidden', response.text)

    def test_what_went_wrong_does_not_name_a_source_that_is_not_shown(self):
        image_id, import_id = self.downloading()
        self.api.share(image_id, 'theirs')
        refusal = errors.SourceRefused(host='secret.example.org')
        full = {'status': 'failed', 'code': refusal.code, 'message': refusal.message}

        def fail(tx):
            tx.imports.revert(import_id, ImportState.FAILED, refusal, step='stage')
            tx.imports.record(import_id, result={'stores': {'cheap': full}})
            tx.steps.enter(import_id, 'stage', StepState.RUNNING, worker='img-01:1:x')
            told = (refusal.code, refusal.message)
            tx.steps.leave(import_id, 'stage', StepState.FAILED, error=told)

        self.api.services.db.run(fail)
        general = 'The URL is one that this service does not fetch.'
        for caller, sentence in (('ours', refusal.message), ('theirs', general)):
            response = self.api.call('GET', f'/v2/imports/{import_id}', as_=caller)
            found = response.json
            (failure,) = found['steps'][0]['failures']
            told = [found['error']['message'], failure['message'], found['stores'][0]['message']]
            self.assertEqual([sentence] * 3, told)
            codes = {found['error']['code'], failure['error_code'], found['stores'][0]['error_code']}
            self.assertEqual({refusal.code}, codes)
            self.assertEqual(caller == 'ours', 'secret' in response.text)

    def test_refusals_in_their_order(self):
        image_id = self.staged()
        bare = self.api.create()
        for body in (
            [],
            {},
            {'method': 'x'},
            {'method': {}},
            {'method': {'name': 'glance-direct'}, 'all_stores': 1},
        ):
            response = self.api.call('POST', f'/v2/images/{image_id}/import', body)
            self.assert_error(400, 'imagepipe.request.invalid_body', response)
        response = self.api.call('POST', f'/v2/images/{image_id}/import')
        self.assert_error(400, 'imagepipe.request.invalid_body', response)
        self.assert_error(400, 'imagepipe.import.method_disabled', self.start(image_id, method='teleport'))
        self.assert_error(404, 'imagepipe.image.not_found', self.start(new_id()))
        self.assert_error(404, 'imagepipe.image.not_found', self.start(image_id, as_='theirs'))
        self.assert_error(409, 'imagepipe.import.wrong_status', self.start(bare['id']))
        self.assert_error(403, 'imagepipe.policy.forbidden', self.start(image_id, as_='reader'))
        self.assert_error(409, 'imagepipe.import.unknown_store', self.start(image_id, stores=['moon']))
        for ways in (
            {'stores': ['fast'], 'all_stores': True},
            {'all_stores': True, 'headers': {'X-Image-Meta-Store': 'fast'}},
            {'stores': ['fast'], 'headers': {'X-Image-Meta-Store': 'cheap'}},
        ):
            self.assert_error(400, 'imagepipe.import.stores_conflict', self.start(image_id, **ways))
        response = self.start(image_id, expected={'sha256': 'x'})
        self.assert_error(400, 'imagepipe.request.invalid_body', response)
        # openstacksdk names its one store both ways.
        twice = {'stores': ['fast'], 'headers': {'X-Image-Meta-Store': 'fast'}}
        self.assertEqual(202, self.start(image_id, **twice).status_int)
        self.assert_error(409, 'imagepipe.import.in_progress', self.start(image_id))

    def test_refused_sources_name_the_host_only(self):
        image = self.api.create(disk_format='raw', container_format='bare')
        response = self.start(image['id'], method='web-download', uri='http://127.0.0.1/x?signature=hidden')
        self.assert_error(400, 'imagepipe.source.refused', response)
        self.assertIn('does not pass filtering', response.json['error']['message'])
        self.assertNotIn('hidden', response.text)
        self.assertEqual('queued', self.api.call('GET', f'/v2/images/{image["id"]}').json['status'])


class LookTest(ImportsCase):
    def test_imports_are_listed_in_pages_and_by_filters(self):
        ids = [self.started()[1] for _ in range(3)]
        path, seen = '/v2/imports?limit=2&state=accepted&method=glance-direct', []
        while path:
            page = self.api.call('GET', path)
            self.assertEqual(200, page.status_int, page.text)
            seen += [found['id'] for found in page.json['imports']]
            path = page.json.get('next')
        self.assertEqual(ids[::-1], seen)
        self.assertEqual([], self.api.call('GET', '/v2/imports', as_='theirs').json['imports'])
        self.assertEqual([], self.api.call('GET', '/v2/imports?owner=ours', as_='theirs').json['imports'])
        self.assertEqual(3, len(self.api.call('GET', '/v2/imports?owner=ours', as_='admin').json['imports']))
        self.assertEqual([], self.api.call('GET', '/v2/imports?method=web-download').json['imports'])
        self.assertEqual([], self.api.call('GET', '/v2/imports?limit=0').json['imports'])
        self.assertEqual(403, self.api.call('GET', '/v2/imports', as_='norole').status_int)
        for query in ('state=x', 'limit=x', f'marker={new_id()}', 'colour=red', 'image_id=%00'):
            self.assertEqual(400, self.api.call('GET', f'/v2/imports?{query}').status_int, query)

    def test_the_imports_of_an_image_are_listed_in_pages(self):
        image_id, oldest = self.downloading()
        ids = [oldest]
        for _ in range(2):
            end(self.api.services, ids[-1])
            ids.append(self.api.call('POST', f'/v2/imports/{ids[-1]}/retry').json['id'])
        self.started()
        path, seen = f'/v2/images/{image_id}/imports?limit=2', []
        while path:
            page = self.api.call('GET', path)
            self.assertEqual(200, page.status_int, page.text)
            self.assertEqual(f'/v2/images/{image_id}/imports?limit=2', page.json['first'])
            self.assertLessEqual(len(page.json['imports']), 2)
            seen += [found['id'] for found in page.json['imports']]
            path = page.json.get('next')
        self.assertEqual(ids[::-1], seen)
        self.assertEqual([], self.api.call('GET', f'/v2/images/{image_id}/imports?limit=0').json['imports'])
        for query in ('limit=x', f'marker={new_id()}', 'state=failed'):
            refused = self.api.call('GET', f'/v2/images/{image_id}/imports?{query}')
            self.assertEqual(400, refused.status_int, query)
        (retried,) = self.api.services.db.snapshot(
            lambda tx: tx.imports.retries(tx.imports.get(oldest), limit=10)
        )
        self.assertEqual(ids[1], retried)
        tasks = self.api.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual(ids[::-1], [task['id'] for task in tasks])
        self.api.conf.set_override('api_limit_max', 2)
        for rows in ('imports', 'tasks'):
            found = self.api.call('GET', f'/v2/images/{image_id}/{rows}').json[rows]
            self.assertEqual(ids[:0:-1], [row['id'] for row in found])

    def test_who_may_look_and_who_may_cancel(self):
        image_id, import_id = self.started()
        path = f'/v2/imports/{import_id}'
        for unseen in (path, f'/v2/images/{image_id}/imports', f'/v2/images/{image_id}/tasks'):
            self.assertEqual(404, self.api.call('GET', unseen, as_='theirs').status_int, unseen)
        self.assertEqual(404, self.api.call('POST', f'{path}/cancel', as_='theirs').status_int)
        self.assertEqual(404, self.api.call('GET', f'/v2/imports/{new_id()}').status_int)
        self.api.share(image_id, 'theirs', 'pending')
        self.assertEqual(200, self.api.call('GET', path, as_='theirs').status_int)
        for caller in ('theirs', 'reader'):
            response = self.api.call('POST', f'{path}/cancel', as_=caller)
            self.assert_error(403, 'imagepipe.policy.forbidden', response)
        self.assertEqual('accepted', self.api.call('GET', path).json['state'])

    def test_who_asked_for_it_needs_the_role_too(self):
        image_id, import_id = self.started()
        path = f'/v2/imports/{import_id}'
        for method, unseen in (('GET', path), ('POST', f'{path}/cancel'), ('POST', f'{path}/retry')):
            response = self.api.call(method, unseen, as_='norole')
            self.assert_error(404, 'imagepipe.import.not_found', response)
        end(self.api.services, import_id)
        self.assertEqual(204, self.api.call('DELETE', f'/v2/images/{image_id}').status_int)
        self.assertEqual(404, self.api.call('GET', path, as_='norole').status_int)
        self.assertEqual(200, self.api.call('GET', path, as_='reader').status_int)

    def test_a_member_may_act_without_the_role_of_a_reader(self):
        _, import_id = self.downloading()
        cancelled = self.api.call('POST', f'/v2/imports/{import_id}/cancel', as_='member')
        self.assertEqual(202, cancelled.status_int, cancelled.text)
        end(self.api.services, import_id)
        retried = self.api.call('POST', f'/v2/imports/{import_id}/retry', as_='member')
        self.assertEqual((202, import_id), (retried.status_int, retried.json['retry_of']))

    def test_a_cancelled_import_says_so(self):
        _, import_id = self.started()
        path = f'/v2/imports/{import_id}'
        response = self.api.call('POST', f'{path}/cancel')
        self.assertEqual((202, 'reverting'), (response.status_int, response.json['state']))
        self.assertEqual('imagepipe.import.cancelled', response.json['error']['code'])
        self.assert_error(409, 'imagepipe.import.not_cancellable', self.api.call('POST', f'{path}/cancel'))


class RetryTest(ImportsCase):
    def test_a_retry_is_a_new_import_that_names_the_old_one(self):
        image_id, import_id = self.downloading()
        path = f'/v2/imports/{import_id}/retry'
        self.assert_error(409, 'imagepipe.import.not_retryable', self.api.call('POST', path))
        end(self.api.services, import_id)
        response = self.api.call('POST', path)
        self.assertEqual(202, response.status_int, response.text)
        found = response.json
        self.assertNotEqual(import_id, found['id'])
        self.assertEqual(found['id'], response.headers['OpenStack-image-import-task-id'])
        self.assertEqual(
            (import_id, image_id, 'accepted', 'web-download', 'http://192.0.2.1/disk', ['cheap']),
            (
                found['retry_of'],
                found['image_id'],
                found['state'],
                found['method'],
                found['source']['url'],
                [store['store'] for store in found['stores']],
            ),
        )
        old, new = self.api.services.db.snapshot(
            lambda tx: [tx.imports.get(each).source_url for each in (import_id, found['id'])]
        )
        decrypt = self.api.services.secrets.decrypt
        self.assertEqual(['http://192.0.2.1/disk?signature=hidden'] * 2, [decrypt(old), decrypt(new)])
        self.assert_error(409, 'imagepipe.import.in_progress', self.api.call('POST', path))

    def test_who_may_retry(self):
        image_id, import_id = self.downloading()
        end(self.api.services, import_id)
        path = f'/v2/imports/{import_id}/retry'
        self.assert_error(404, 'imagepipe.import.not_found', self.api.call('POST', path, as_='theirs'))
        self.api.share(image_id, 'theirs')
        for caller in ('theirs', 'reader'):
            self.assert_error(403, 'imagepipe.policy.forbidden', self.api.call('POST', path, as_=caller))
        self.assertEqual(202, self.api.call('POST', path, as_='admin').status_int)


class TasksTest(ImportsCase):
    def test_an_import_is_a_task_of_its_image(self):
        image_id, import_id = self.started(headers={'X-Openstack-Request-ID': 'req-mine'})
        self.api.share(image_id, 'theirs')
        (task,) = self.api.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual(
            {
                'id',
                'type',
                'status',
                'owner',
                'expires_at',
                'created_at',
                'updated_at',
                'deleted_at',
                'deleted',
                'image_id',
                'request_id',
                'user_id',
                'input',
                'result',
                'message',
            },
            set(task),
        )
        self.assertEqual(
            (import_id, 'api_image_import', 'pending', 'req-mine', 'glance-direct', None),
            (
                task['id'],
                task['type'],
                task['status'],
                task['request_id'],
                task['input']['import_req']['method']['name'],
                task['result'],
            ),
        )
        self.assertRegex(task['created_at'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$')
        self.assertEqual([], self.api.call('GET', f'/v2/images/{image_id}/tasks', as_='theirs').json['tasks'])
        self.assertEqual(
            1, len(self.api.call('GET', f'/v2/images/{image_id}/tasks', as_='admin').json['tasks'])
        )

    def test_the_tasks_api_is_for_administrators(self):
        _, import_id = self.started()
        response = self.api.call('GET', f'/v2/tasks/{import_id}')
        self.assert_error(403, 'imagepipe.policy.forbidden', response)
        task = self.api.call('GET', f'/v2/tasks/{import_id}', as_='admin').json
        self.assertEqual(
            ('pending', f'/v2/tasks/{import_id}', '/v2/schemas/task', ''),
            (task['status'], task['self'], task['schema'], task['message']),
        )
        response = self.api.call('GET', f'/v2/tasks/{new_id()}', as_='admin')
        self.assert_error(404, 'imagepipe.task.not_found', response)

    def test_every_state_has_a_task_status(self):
        image_id, import_id = self.started()
        for state, status in (
            (ImportState.RUNNING, 'processing'),
            (ImportState.COMMITTED, 'processing'),
            (ImportState.SUCCEEDED, 'success'),
        ):
            self.api.services.db.run(lambda tx, state=state: tx.imports.to(import_id, ImportState, state))
            (task,) = self.api.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
            self.assertEqual(status, task['status'])
        self.assertEqual({'image_id': image_id}, task['result'])


class InfoTest(ImportsCase):
    scenarios = [('sqlite', {'database_kind': 'sqlite'})]

    def test_what_the_service_offers(self):
        found = self.api.call('GET', '/v2/info/import').json
        self.assertEqual(['glance-direct', 'web-download', 'copy-image'], found['import-methods']['value'])
        self.assertEqual('array', found['import-methods']['type'])
        self.assertEqual(
            ['imports', 'import-cancel', 'import-retry', 'import-expected', 'openapi', 'store-states'],
            found['imagepipe']['extensions'],
        )
        self.assertIn('sha256', found['imagepipe']['expected'])
        self.assertEqual(
            {'stores': [{'id': 'fast', 'default': 'true'}, {'id': 'cheap'}]},
            self.api.call('GET', '/v2/info/stores').json,
        )
        for name in ('image', 'images'):
            self.assertEqual(name, self.api.call('GET', f'/v2/schemas/{name}', as_='norole').json['name'])
