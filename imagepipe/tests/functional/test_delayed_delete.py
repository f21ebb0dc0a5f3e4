"""Delayed delete: gone for everybody at once, kept for an operator, scrubbed by the sweeper."""

import contextlib
import io
import json
import os

import sqlalchemy as sa
import testscenarios

from imagepipe import errors
from imagepipe.cmd import manage
from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.location import LocationState
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import pending_deletes
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.together import together
from imagepipe.tests.functional.test_tags import DATA, ImageCase

A_DAY = 24 * 3600


class DelayedDeleteCase(ImageCase):
    overrides = {'delayed_delete': True, 'scrub_time': A_DAY, 'transfers.delete_seconds': 0}

    def delete(self, image_id, *, as_='ours'):
        self.assert_status(204, self.api.call('DELETE', f'/v2/images/{image_id}', as_=as_))

    def sweep(self):
        Sweeper(self.api.services, interval=3600).sweep()

    def manage(self, *words):
        """Exit status, what was printed, what was said of errors."""
        out, err = io.StringIO(), io.StringIO()
        config = os.path.join(self.api.root, 'etc', 'imagepipe.conf')
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = manage.main(['--config-file', config, 'images', *words])
        return status, out.getvalue(), err.getvalue()

    def objects(self):
        return list(self.api.services.stores['fast'].names())

    def status_of(self, image_id):
        """As the database has it."""
        return self.api.services.db.read(lambda tx: tx.images.find(image_id)).status

    def states(self, image_id):
        """Of its locations."""
        found = self.api.services.db.read(lambda tx: tx.locations.of_image(image_id))
        return [location.state for location in found]

    def used(self):
        return self.api.services.db.read(lambda tx: tx.usages.used('project:ours', 'bytes'))

    def long_ago(self, image_id):
        """What was done to it last was done long ago."""
        pending, locations = schema.pending_deletes, schema.locations

        def change(tx):
            then = tx.now.replace(year=2001)
            for table, column in ((pending, 'deleted_at'), (locations, 'updated_at')):
                earlier = sa.update(table).where(table.c.image_id == image_id).values({column: then})
                tx.connection.execute(earlier)

        self.api.services.db.run(change)

    def types(self):
        with self.api.services.db.engine.connect() as connection:
            rows = connection.execute(sa.select(schema.outbox).order_by(schema.outbox.c.id)).all()
        return [(row.event_type, json.loads(row.payload).get('status')) for row in rows]


class AtOnceOrLaterTest(DelayedDeleteCase):
    def test_a_deactivated_image_comes_back_deactivated(self):
        image_id = self.active()
        self.assert_done(self.act(image_id, 'deactivate', as_='admin'))
        self.delete(image_id)
        self.assertEqual(Status.PENDING_DELETE, self.status_of(image_id))
        self.assertEqual(
            (0, f'Image {image_id} is deactivated again.\n', ''), self.manage('restore', image_id)
        )
        self.assertEqual(403, self.api.call('GET', f'/v2/images/{image_id}/file').status_int)

    def test_what_has_no_data_is_deleted_at_once(self):
        queued = self.api.create(disk_format='raw', container_format='bare')['id']
        staged = self.api.create(disk_format='raw', container_format='bare')['id']
        headers = {'Content-Type': 'application/octet-stream'}
        self.api.call('PUT', f'/v2/images/{staged}/stage', raw=DATA, headers=headers)
        importing = self.api.create(disk_format='raw', container_format='bare')['id']
        self.api.call('PUT', f'/v2/images/{importing}/stage', raw=DATA, headers=headers)
        asked = {'method': {'name': 'glance-direct'}}
        accepted = self.api.call('POST', f'/v2/images/{importing}/import', asked)
        self.assert_status(202, accepted)
        for image_id in (queued, staged, importing):
            self.delete(image_id)
            self.assertRaises(errors.ImageNotFound, self.status_of, image_id)
        import_id = accepted.headers['OpenStack-image-import-task-id']
        record = self.api.services.db.read(lambda tx: tx.imports.get(import_id))
        self.assertEqual(ImportState.REVERTING, record.state)


class DelayedDeleteTest(testscenarios.WithScenarios, DelayedDeleteCase):
    scenarios = DATABASES

    def test_a_deleted_image_is_gone_for_everybody_and_can_be_restored(self):
        image_id = self.active(name='disk', tags=['t'], a='b')
        self.api.share(image_id, 'theirs')
        before, path = self.show(image_id), f'/v2/images/{image_id}'
        self.delete(image_id)
        for as_ in ('ours', 'theirs', 'admin'):
            for method, target, body in (
                ('GET', path, None), ('GET', f'{path}/file', None), ('DELETE', path, None),
                ('GET', f'{path}/members', None), ('PUT', f'{path}/tags/x', None),
                ('GET', f'{path}/tasks', None), ('POST', f'{path}/actions/reactivate', None),
            ):  # fmt: skip
                self.assert_status(404, self.api.call(method, target, body, as_=as_))
            listed = self.api.call('GET', '/v2/images?status=pending_delete', as_=as_).json['images']
            self.assertEqual([], [*listed, *self.api.call('GET', '/v2/images', as_=as_).json['images']])
        marker = self.api.call('GET', f'/v2/images?marker={image_id}')
        self.assert_error(400, 'imagepipe.request.invalid_marker', marker)
        taken = self.api.call('POST', '/v2/images', {'id': image_id})
        self.assert_error(409, 'imagepipe.image.id_taken', taken)
        self.sweep()
        self.assertEqual((Status.PENDING_DELETE, 0), (self.status_of(image_id), self.used()))
        self.assertEqual(1, len(self.objects()))
        self.assertEqual(('image.delete', 'pending_delete'), self.types()[-1])

        (shown,) = json.loads(self.manage('pending', '--format', 'json')[1])['images']
        self.assertEqual(
            (image_id, 'disk', 'ours', len(DATA), 'active'),
            tuple(shown[name] for name in ('id', 'name', 'owner', 'size', 'status')),
        )
        self.assertEqual(shown['deleted_at'][11:], shown['kept_until'][11:])
        self.assertIn(image_id, self.manage('pending')[1])
        self.assertEqual((0, f'Image {image_id} is active again.\n', ''), self.manage('restore', image_id))
        after = self.show(image_id)
        self.assertEqual({**before, 'updated_at': after['updated_at']}, after)
        self.assertEqual(('image.update', 'active'), self.types()[-1])
        self.assertEqual(DATA, self.api.call('GET', f'{path}/file', as_='theirs').body)
        self.assertEqual(len(DATA), self.used())
        self.sweep()
        self.assertEqual(len(DATA), self.used())
        self.assertEqual('No image waits to be scrubbed.\n', self.manage('pending')[1])

    def test_the_sweeper_scrubs_what_was_kept_long_enough(self):
        young, old = self.active(), self.active()
        self.delete(young)
        self.delete(old)
        self.long_ago(old)
        told = len(self.types())
        self.sweep()
        self.assertRaises(errors.ImageNotFound, self.status_of, old)
        self.long_ago(old)
        self.sweep()
        self.assertEqual(1, len(self.objects()))
        self.assertEqual([], self.states(old))
        self.assertEqual([], self.api.services.db.read(lambda tx: tx.locations.representations(old)))
        self.assertEqual((0, told), (self.used(), len(self.types())))
        self.assert_error(409, 'imagepipe.image.id_taken', self.api.call('POST', '/v2/images', {'id': old}))
        status, out, err = self.manage('restore', old)
        self.assertEqual((1, ''), (status, out))
        self.assertIn('(imagepipe.image.not_found)', err)
        self.assertEqual(0, self.manage('restore', young)[0])

    def test_restored_scrubbed_and_deleted_in_the_same_instant(self):
        """Either it is back with all its data, or it is gone."""
        services = self.api.services
        for _ in range(5):
            image_id = self.active()
            self.delete(image_id)
            self.long_ago(image_id)

            def restore(image_id=image_id):
                try:
                    return pending_deletes.restore(services, image_id).status
                except (errors.ImageNotFound, errors.ImageNotRestorable) as error:
                    return error.status

            def scrub():
                return pending_deletes.scrub(services, limit=10)

            restored, twice, *_ = together((restore,), (restore,), (scrub,), (scrub,))
            if Status.ACTIVE in (restored, twice):
                self.assertNotEqual(restored, twice)
                self.assertEqual(DATA, self.api.call('GET', f'/v2/images/{image_id}/file').body)
                self.assertEqual(len(DATA), self.used())
                self.delete(image_id)
                continue
            self.assertRaises(errors.ImageNotFound, self.status_of, image_id)
            self.assertEqual([LocationState.DELETING], self.states(image_id))


class NothingToRestoreTest(DelayedDeleteCase):
    def test_what_cannot_be_restored(self):
        image_id = self.active()
        status, out, err = self.manage('restore', image_id)
        self.assertEqual((1, ''), (status, out))
        self.assertIn("is 'active': it was not deleted", err)
        self.assertIn('(imagepipe.image.not_restorable)', err)
        self.assertIn('(imagepipe.image.not_found)', self.manage('restore', 'nope')[2])

    def test_a_protected_image_stays(self):
        image_id = self.active(protected=True)
        self.assert_error(403, 'imagepipe.image.protected', self.api.call('DELETE', f'/v2/images/{image_id}'))
        self.assertEqual(Status.ACTIVE, self.status_of(image_id))


class ImmediateDeleteTest(ImageCase):
    def test_without_the_option_nothing_is_kept(self):
        image_id = self.active()
        self.assert_status(204, self.api.call('DELETE', f'/v2/images/{image_id}'))
        self.assertEqual([], list(self.api.services.stores['fast'].names()))
        self.assertEqual([], pending_deletes.search(self.api.services, limit=10))


class DataOfOthersTest(DelayedDeleteCase):
    def test_what_lies_in_a_store_that_is_only_read_is_forgotten_and_left_alone(self):
        image_id = self.active()
        self.delete(image_id)
        self.long_ago(image_id)
        self.sweep()
        self.long_ago(image_id)
        self.api.services.stores['fast'].read_only = True
        self.sweep()
        self.assertEqual(([], 1), (self.states(image_id), len(self.objects())))
