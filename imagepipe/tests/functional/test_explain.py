"""imagepipe-manage explain: the story of an import from the database, in order and in sentences."""

import datetime
import io
import json

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe.db import documents, schema
from imagepipe.domain.conductor import Drain
from imagepipe.domain.import_ import ImportState, Method, StepState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.location import Location, LocationState
from imagepipe.operations import conductors, data, deletion, explanation, imports, retries
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.endings import end
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.keystone import KeystoneFixture
from imagepipe.tests.fixtures.regions import Region
from imagepipe.tests.fixtures.stories import ADMIN, Story
from imagepipe.tests.fixtures.workers import wait_until


class ExplainCase(testtools.TestCase):
    def explained(self, story, wanted=None):
        status, out, err = called(story.cloud.config_file(), 'explain', wanted or story.import_id)
        self.assertEqual((0, ''), (status, err))
        return out

    def told(self, story, wanted=None):
        words = ('explain', wanted or story.import_id, '--format', 'json')
        status, out, err = called(story.cloud.config_file(), *words)
        self.assertEqual((0, ''), (status, err))
        return json.loads(out)['imports']


class EachDatabaseTest(testscenarios.WithScenarios, ExplainCase):
    scenarios = DATABASES

    def test_a_failure_says_who_what_why_and_what_may_be_done(self) -> None:
        story = self.useFixture(
            Story(self, kind=self.database_kind, method=Method.WEB_DOWNLOAD, fault=Fault(status=404))
        )
        self.assertIn('and no worker is alive: it waits until a conductor is started.', self.explained(story))
        worker = story.workers.start()
        self.assertEqual(ImportState.FAILED, story.wait_end().state)
        out = self.explained(story)
        places = [
            out.index(words)
            for words in (
                f'Import {story.import_id} of image {story.image_id} is failed.',
                'For project project-a it was asked to import by web-download the image from http://127',
                'into fast, cheap, all of which must take it',
                'A worker claimed it.',
                'Step stage began on ',
                'The source answered 404',
                'It was given up in step stage: The source answered 404 instead of the image ',
                '(imagepipe.source.not_found). Open the URL yourself',
                'It ended as failed; what it wrote was removed.',
                'What comes next',
                f'by its project or with: imagepipe-manage imports retry {story.import_id}',
            )
        ]
        self.assertEqual(sorted(places), places)
        self.assertIn(f':{worker.pid}', out)
        story.heal()
        new = retries.retry(story.services, ADMIN, story.import_id).import_
        self.assertIn(f'It was retried: imagepipe-manage explain {new.id}', self.explained(story))
        self.assertIn(f'a retry of {story.import_id}', self.explained(story, new.id))

    def test_a_request_is_explained_by_what_it_asked_for(self) -> None:
        story = self.useFixture(Story(self, kind=self.database_kind))
        _, other = story.begin()
        story.db.run(
            lambda tx: tx.connection.execute(sa.update(schema.imports).values(request_id='req-mine'))
        )
        told = self.told(story, 'req-mine')
        self.assertEqual([story.import_id, other], [each['import_id'] for each in told])
        self.assertEqual({'accepted'}, {each['state'] for each in told})
        self.assertIn('(request req-mine)', told[0]['story'][0]['sentence'])
        (first,), more = explanation.explain(story.services, ADMIN, 'req-mine', most=1)
        self.assertEqual((story.import_id, True), (first.import_.id, more))
        status, out, err = called(story.cloud.config_file(), 'explain', 'req-other')
        self.assertEqual((1, ''), (status, out))
        self.assertIn('(imagepipe.import.unexplained)', err)


class WhatComesNextTest(ExplainCase):
    def test_while_a_worker_has_it_and_when_that_worker_gives_no_sign(self) -> None:
        story = self.useFixture(Story(self))
        worker = story.workers.start(endless=(story.image_id,))
        story.workers.wait_event(story.image_id, 'goes-on')
        holder = story.record.claim_owner
        wait_until(lambda: holder in story.db.read(lambda tx: tx.workers.alive(60)), 'the worker is seen')
        out = self.explained(story)
        self.assertIn(f'Worker {holder} holds it and is alive.', out)
        self.assertIn('Still to do: activate, notify, discard.', out)
        self.assertIn('Step stage began on ', out)
        worker.kill()
        story.db.run(lambda tx: tx.connection.execute(sa.update(schema.workers).values(seen=0.0)))
        self.assertIn('but gives no sign: then another one takes it.', self.explained(story))
        story.expire()
        out = self.explained(story)
        self.assertIn(f'The claim of {holder} ran out', out)
        self.assertIn('and no worker is alive', out)

    def test_each_try_of_a_step_has_its_place(self) -> None:
        story = self.useFixture(Story(self, method=Method.WEB_DOWNLOAD))
        story.workers.start(point='stage:execute.inside').wait_killed()
        story.expire()
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        out = self.explained(story)
        tried = out.index(
            'Try 1 of step stage ended: The step was interrupted (imagepipe.import.step_interrupted).'
        )
        self.assertLess(tried, out.index(', at try 2'))
        self.assertIn('it has been claimed 2 times by now', out)
        self.assertNotIn('Try 2', out)

    def test_after_the_end(self) -> None:
        story = self.useFixture(Story(self, method=Method.WEB_DOWNLOAD))
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        (told,) = self.told(story)
        self.assertEqual(['Nothing: the image is active.'], told['next'])
        moments = [event['at'] for event in told['story'] if event['at'] is not None]
        self.assertEqual(sorted(moments), moments)
        sentences = ' '.join(event['sentence'] for event in told['story'])
        for step in ('stage', 'convert:raw', 'store:fast', 'store:cheap', 'activate', 'discard'):
            self.assertIn(f'Step {step} began', sentences)
        story.remove(story.image_id)
        self.assertEqual(['Nothing: the image was deleted since.'], self.told(story)[0]['next'])

    def cancelled(self, **options: object) -> Story:
        story = self.useFixture(Story(self, **options))
        end(story.services, story.import_id)
        return story

    def next(self, story: Story) -> str:
        return ' '.join(self.told(story)[0]['next'])

    def test_what_cannot_be_retried(self) -> None:
        story = self.cancelled(method=Method.WEB_DOWNLOAD, content='qcow2')
        self.assertIn('It can be retried', self.next(story))
        sizes = {'content_length': len(story.body), 'announced_size': None}
        data.upload(story.services, ADMIN, story.image_id, io.BytesIO(story.body), store='fast', **sizes)
        why = "Image status is 'active'; import method web-download needs 'queued'."
        self.assertEqual(f'Nothing, and it cannot be retried: {why}', self.next(story))
        deletion.delete(story.services, ADMIN, story.image_id)
        self.assertEqual('Nothing, and it cannot be retried: its image was deleted.', self.next(story))

    def test_while_another_copy_is_made(self) -> None:
        story = self.cancelled(method=Method.COPY_IMAGE)
        self.assertIn('It can be retried', self.next(story))
        asked = {'method': {'name': 'copy-image'}, 'stores': [story.stores[0]]}
        other = imports.start(story.services, ADMIN, story.image_id, ImportRequest.parse(asked))
        why = f'Image {story.image_id} is being imported by import {other.id}.'
        self.assertEqual(f'Nothing, and it cannot be retried: {why}', self.next(story))

    def test_only_a_user_can_hand_on_rights_to_another_region(self) -> None:
        region = self.useFixture(Region(self.useFixture(KeystoneFixture(self))))
        story = self.cancelled(method=Method.GLANCE_DOWNLOAD, region=region)
        told = self.next(story)
        self.assertIn('It can be retried by its project, with the rights of whoever does', told)
        self.assertNotIn('imports retry', told)

    def test_a_flow_of_a_newer_release(self) -> None:
        story = self.useFixture(Story(self))
        story.db.run(lambda tx: tx.connection.execute(sa.update(schema.imports).values(flow_version=999)))
        self.assertIn('flow 999 is unknown to this one', self.explained(story))


class TheWholeStoryTest(ExplainCase):
    """What the rows say, and no conductor is needed for."""

    def setUp(self) -> None:
        super().setUp()
        self.story = self.useFixture(Story(self))

    def record(self, **values: object) -> None:
        statement = sa.update(schema.imports).where(schema.imports.c.id == self.story.import_id)
        self.story.db.run(lambda tx: tx.connection.execute(statement.values(**values)))

    def check(self, *sentences: str) -> None:
        out = self.explained(self.story)
        for sentence in sentences:
            self.assertIn(sentence, out)

    def test_while_it_is_alive(self) -> None:
        self.story.begin()
        self.story.db.run(lambda tx: tx.workers.seen('img-01:1:x', host='img-01', pid=1, version='1'))
        self.record(user_id='alice')
        self.check(
            'User alice of project project-a asked to import by glance-direct the image into fast, cheap',
            'No worker holds it: the next of 1 workers that has a place takes it; 1 others wait too.',
            'Still to do: stage, ',
        )
        self.record(method=Method.COPY_IMAGE, state=ImportState.COMMITTED)
        self.check(
            'asked to copy the image into fast',
            'The image is active; the import only tells and tidies up.',
        )
        self.record(state=ImportState.REVERTING)
        self.check('What it wrote is removed, then it ends.')

    def test_conductors_of_the_first_release_do_not_know_every_flow(self) -> None:
        self.seen('img-01')
        self.record(flow_version=2)
        self.check(
            'No worker holds it, and none that is alive knows flow 2: it waits for a conductor of this '
            'release.'
        )

    def test_drained_hosts_take_nothing(self) -> None:
        story = self.story
        for host in ('img-01', 'img-02'):
            self.seen(host)
        self.check('No worker holds it: the next of 2 workers that has a place takes it')
        conductors.drain(story.services, 'img-01', Drain.FINISH)
        self.check('No worker holds it: the next of 1 workers that has a place takes it')
        conductors.drain(story.services, 'img-02', Drain.HAND_OVER)
        self.check(
            'No worker holds it, and all 2 hosts with workers are drained: '
            'imagepipe-manage conductors drain HOST --undo',
        )
        story.db.run(lambda tx: tx.workers.gone('img-02:1:x'))
        self.check(
            'and img-01, the only host with workers, is drained: imagepipe-manage conductors drain img-01'
        )
        self.seen('img-02', draining=True)
        conductors.undrain(story.services, 'img-02')
        self.check(
            'and the workers that are alive take nothing new, for they stop: it waits for a conductor.'
        )
        claim, _ = story.db.run(lambda tx: tx.imports.claim(story.import_id, 'img-01:1:x', lease=60))
        self.check('Worker img-01:1:x holds it and is alive.')
        story.db.run(lambda tx: tx.imports.release(claim))
        self.record(staged_host='img-01')
        self.check(
            'where its data is staged and the workers take no imports now.',
            'Host img-01 is drained: imagepipe-manage conductors drain img-01 --undo',
        )

    def seen(self, host: str, *, draining: bool = False) -> None:
        self.story.db.run(lambda tx: tx.conductors.known(host))
        self.story.db.run(
            lambda tx: tx.workers.seen(f'{host}:1:x', host=host, pid=1, version='1', draining=draining)
        )

    def test_a_running_step_tells_the_age_of_its_last_sign(self) -> None:
        story = self.story
        claim, _ = story.db.run(lambda tx: tx.imports.claim(story.import_id, 'img-01:1:x', lease=60))
        story.db.run(
            lambda tx: tx.steps.enter(claim.import_id, 'stage', StepState.RUNNING, worker=claim.owner)
        )
        then = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(days=1, hours=1)
        steps = sa.update(schema.import_steps).where(schema.import_steps.c.name == 'stage')
        story.db.run(lambda tx: tx.connection.execute(steps.values(started_at=then, updated_at=then)))
        self.check(
            f'{then:%Y-%m-%d %H:%M:%S}Z  Step stage began on img-01:1; it runs, '
            'its last sign came 25 h 00 min ago.'
        )

    def test_after_its_end(self) -> None:
        full = {'cheap': {'status': 'failed', 'message': 'The store is full', 'code': 'imagepipe.store.full'}}
        end(self.story.services, self.story.import_id)
        self.record(result=documents.dump({'stores': full}))
        self.leave('fast', LocationState.DELETING)
        self.leave('cheap', LocationState.FAILED)
        self.check(
            'It was given up: The import was cancelled (imagepipe.import.cancelled).',
            'Store cheap did not take it: The store is full (imagepipe.store.full).',
            'It ended as cancelled; what it wrote was removed.',
            'The notification of its end is not sent yet.',
            'Data that is to be removed is left in: fast.',
            'Nothing, and it cannot be retried: ',
        )
        self.send(refusals=2)
        self.check('Its end was notified; sending it failed 2 times.')

    def leave(self, store: str, state: LocationState) -> None:
        """The import has a location there."""
        image_id = self.story.image_id
        location = Location(
            id=uuidutils.generate_uuid(), image_id=image_id, representation_id=image_id,
            import_id=self.story.import_id, store=store, state=state,
        )  # fmt: skip
        self.story.db.run(lambda tx: tx.locations.add(location))

    def send(self, *, refusals: int) -> None:
        """The broker takes everything, after it has refused everything so often."""

        def change(tx: object) -> None:
            letters = tx.outbox.take('me', lease=60, limit=100)
            for letter in letters * refusals:
                tx.outbox.failed(letter.id, wait=0)
            tx.outbox.sent([letter.id for letter in letters])

        self.story.db.run(change)
