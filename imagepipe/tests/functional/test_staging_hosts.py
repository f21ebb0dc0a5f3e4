"""Staging that each host has for itself: imports stay where their bytes are, until that host is lost."""

import io
import json

import sqlalchemy as sa
import testscenarios
import testtools
import webob
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.api.app import Application
from imagepipe.db import schema
from imagepipe.db.transaction import Transaction
from imagepipe.domain import steps
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import ImportState, Method
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.transfer import TransferState
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import data, deletion, imports
from imagepipe.services import Services
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.stories import ADMIN, OWNER, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.workers import wait_until

ONE, TWO = 'img-01', 'img-02'
KINDS = [(kind, {'kind': kind}) for kind in ('sqlite', 'postgresql')]
#: A worker of the first host dies with the data staged and decompressed, and in the middle of a conversion.
DEATH = f'{steps.convert("raw")}:execute.inside'
HOURS = 7200.0


class HostsTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """The API and its staged data are on the first host; both hosts have conductors."""

    scenarios = KINDS

    def story(self, method: Method = Method.GLANCE_DIRECT) -> Story:
        settings = {'host': ONE, 'staging.kind': 'host-local', 'api.readiness_details_to': '192.0.2.0/24'}
        story = self.useFixture(Story(self, kind=self.kind, method=method, overrides=settings))
        story.cloud.add_host(TWO)
        self.two = story.cloud.build(TWO)
        return story

    def die(self, story: Story) -> None:
        """The first host goes down in the middle of the import, which nobody holds any more."""
        story.workers.start(point=DEATH).wait_killed()
        story.expire()
        self.assertEqual(ONE, story.record.staged_host)
        self.assertNotEqual([], story.files('staging'))

    def pass_hours(self, story: Story) -> None:
        """No worker has given a sign since."""

        def change(tx: Transaction) -> None:
            for table in (schema.workers, schema.conductor_hosts):
                tx.connection.execute(sa.update(table).values(seen=table.c.seen - HOURS))

        story.db.run(change)

    def sweep(self, services: Services) -> None:
        Sweeper(services, interval=3600).sweep()

    def manage(self, story: Story, *words: str) -> tuple[int, str, str]:
        return called(story.cloud.config_file(TWO), *words)

    def staged_by(self, services: Services, content: bytes = b'data') -> str:
        """The id of a new image whose data was staged on the host of these services."""
        image = Image(id=uuidutils.generate_uuid(), owner=OWNER, disk_format='raw', container_format='bare')
        services.db.run(lambda tx: tx.images.add(image))
        data.stage(
            services, ADMIN, image.id, io.BytesIO(content), content_length=len(content), announced_size=None
        )
        return image.id

    def test_an_import_waits_for_the_host_that_has_its_data(self) -> None:
        story = self.story()
        another = self.staged_by(self.two)
        request = ImportRequest.parse({'method': {'name': 'glance-direct'}, 'stores': ['fast']})
        later = imports.start(self.two, ADMIN, another, request).id
        worker = story.workers.start(host=TWO)
        wait_until(lambda: not story.db.read(lambda tx: tx.imports.get(later)).live, 'the later one ends')
        wait_until(lambda: story.beats(worker) > 1, 'the second host gives signs')
        self.assertEqual((ImportState.ACCEPTED, 0, ONE), self.place(story))

        told = json.loads(self.manage(story, 'imports', 'show', story.import_id, '--format', 'json')[1])
        self.assertEqual(ONE, told['waits_for_host'])
        self.assertIn(f'waits for host {ONE}', self.manage(story, 'imports', 'list')[1])
        story_told = self.manage(story, 'explain', story.import_id)[1]
        self.assertIn(f'waits for host {ONE}, where its data is staged and no worker is alive', story_told)
        self.assertIn('It fails once that host has given no sign for 1 h', story_told)
        self.assertIn(f'imagepipe-manage conductors lost {ONE}', story_told)
        self.assertEqual(
            [f'Imports wait for hosts on which no conductor takes them: {ONE}.'], self.missing(self.two)
        )
        self.assertIn(
            'No conductor takes imports on this host, which alone can reach what is staged here.',
            self.missing(story.services),
        )

        self.sweep(self.two)  # an hour has not passed
        self.assertEqual((ImportState.ACCEPTED, 0, ONE), self.place(story))
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual([], self.missing(self.two))
        deletion.delete(self.two, ADMIN, another)
        check_aftermath(story, Ending(swept=True))
        self.assertEqual([], story.files(f'staging-{TWO}'))

    def place(self, story: Story) -> tuple[ImportState, int, str | None]:
        record = story.record
        return record.state, record.epoch, record.staged_host

    def missing(self, services: Services) -> list[str]:
        """The reasons for which a process there, that has not looked before, is not ready."""
        services = type(services).build(services.conf)
        self.addCleanup(services.close)
        request = webob.Request.blank('/readiness', environ={'REMOTE_ADDR': '192.0.2.7'})
        answer = request.get_response(Application(services))
        return [lack['reason'] for lack in answer.json['missing']]

    def test_a_staged_upload_on_a_lost_host_fails_and_is_reverted(self) -> None:
        story = self.story()
        self.die(story)
        worker = story.workers.start(host=TWO)
        wait_until(lambda: story.beats(worker) > 2, 'the second host looks for imports')
        self.assertEqual(1, story.record.epoch)
        self.pass_hours(story)
        self.sweep(self.two)
        record = story.wait_end()
        self.assertEqual((ImportState.FAILED, errors.StagingHostLost.code), (record.state, record.error_code))
        self.assertIs(Status.QUEUED, story.image.status)
        self.assertNotEqual([], story.files('staging'))  # nobody there could remove it
        (left,) = story.db.read(lambda tx: tx.transfers.of_image(story.image_id))
        self.assertIs(TransferState.ENDED, left.state)
        self.sweep(self.two)
        self.assertNotEqual([], story.files('staging'))

        worker.kill()
        self.sweep(story.services)  # the host is there again
        check_aftermath(
            story, Ending(state=ImportState.FAILED, error_code=errors.StagingHostLost.code, swept=True)
        )

    def test_a_source_is_read_again_once_an_operator_gives_its_host_up(self) -> None:
        story = self.story(Method.WEB_DOWNLOAD)
        self.die(story)
        worker = story.workers.start(host=TWO)
        status, out, err = self.manage(story, 'conductors', 'lost', ONE)
        self.assertEqual(1, status)
        self.assertIn(errors.ConductorAlive.code, err)
        self.pass_hours(story)
        wait_until(lambda: story.beats(worker) > 2, 'the second host looks for imports')
        self.assertEqual((ImportState.RUNNING, 1, ONE), self.place(story))
        told = self.manage(story, 'explain', story.import_id)[1]
        self.assertIn('It reads its source again on another host once that host has given no sign', told)
        status, out, err = self.manage(story, 'conductors', 'lost', ONE, '--format', 'json')
        self.assertEqual((0, ''), (status, err))
        self.assertEqual({'host': ONE, 'elsewhere': 1, 'failed': []}, json.loads(out))
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual((2, 2), (story.record.epoch, self.fetches(story)))
        self.assertIn('lost', self.manage(story, 'conductors', 'list')[1])

        self.assertNotEqual([], story.files('staging'))
        self.sweep(story.services)
        self.assertEqual([], story.files(f'staging-{TWO}'))
        back = story.workers.start()
        wait_until(lambda: 'lost' not in self.manage(story, 'conductors', 'list')[1], 'the host is back')
        back.kill()
        worker.kill()
        self.assertEqual([], story.files('staging'))

    def fetches(self, story: Story) -> int:
        """How often the stage step has ended well, on whatever host."""
        return story.workers.events().count((story.import_id, steps.STAGE, 'execute.recorded'))

    def test_what_runs_elsewhere_is_not_touched_by_a_host_that_comes_back(self) -> None:
        story = self.story(Method.WEB_DOWNLOAD)
        self.die(story)
        self.pass_hours(story)
        self.assertEqual(0, self.manage(story, 'conductors', 'lost', ONE)[0])
        running = story.workers.start(host=TWO, point=DEATH, stop=True)
        running.wait_stopped()
        self.assertEqual(TWO, story.record.staged_host)
        before = set(story.files(f'staging-{TWO}'))
        back = story.workers.start()
        wait_until(lambda: story.beats(back) > 2, 'the first host looks for imports')
        self.sweep(story.services)
        self.assertEqual((ImportState.RUNNING, 2, TWO), self.place(story))
        # The worker stands still, but its qemu-img does not, and may have begun another file.
        self.assertEqual(set(), before - set(story.files(f'staging-{TWO}')))
        running.go_on()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        back.kill()
        self.sweep(story.services)
        self.assertEqual(([], []), (story.files('staging'), story.files(f'staging-{TWO}')))

    def test_a_cancel_does_not_wait_for_the_host(self) -> None:
        story = self.story()
        self.die(story)
        story.cancel()
        story.workers.start(host=TWO)
        self.assertEqual(ImportState.CANCELLED, story.wait_end().state)
        self.assertIs(Status.QUEUED, story.image.status)
        self.sweep(story.services)
        check_aftermath(
            story,
            Ending(state=ImportState.CANCELLED, error_code=errors.ImportCancelled.code, swept=True),
        )

    def test_what_uploads_left_is_removed_by_the_sweeper_of_their_host(self) -> None:
        story = self.story()
        finished = self.staged_by(story.services)
        deletion.delete(self.two, ADMIN, finished)
        broken = self.staged_by(story.services)

        def change(tx: Transaction, **columns: object) -> None:
            transfers = schema.transfers
            of_it = sa.update(transfers).where(transfers.c.image_id == broken)
            tx.connection.execute(of_it.values(expires=0.0, **columns))

        story.db.run(lambda tx: change(tx, state=TransferState.OPEN.value))
        self.sweep(self.two)
        self.assertIs(Status.QUEUED, story.db.read(lambda tx: tx.images.find(broken)).status)
        self.assertEqual(3, len(story.files('staging')))
        story.db.run(change)  # the lease of the other sweeper
        self.sweep(story.services)
        self.assertEqual(1, len(story.files('staging')))
        for image_id in (finished, broken):
            found = story.db.read(lambda tx, image_id=image_id: tx.transfers.of_image(image_id))
            self.assertEqual([], found)
