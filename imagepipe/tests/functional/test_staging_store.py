"""Staging in a store: what clients stage is there, and conductors work on it in directories of their own."""

import io

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.db import schema
from imagepipe.db.transaction import Transaction
from imagepipe.domain import steps
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import ImportState
from imagepipe.operations import conductors, data, deletion, stores
from imagepipe.services import Services
from imagepipe.tests.fixtures import crashing
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.services import write_config
from imagepipe.tests.fixtures.stores import S3
from imagepipe.tests.fixtures.stories import ADMIN, OWNER, SUCCESS, Ending, Story, check_aftermath

ONE, TWO = 'img-01', 'img-02'
DEATH = f'{steps.convert("raw")}:execute.inside'
HOURS = 7200.0
WHEN = ('before', 'inside', 'after', 'recorded')
REFUSED = Ending(
    state=ImportState.FAILED, error_code=errors.StorePermanent.code, error_step=steps.store('cheap')
)
SIZES = {'announced': True, 'unknown': False}


def parked_in(server: S3) -> dict[str, object]:
    """The settings of a host whose clients stage in this server."""
    return {
        'host': ONE,
        'staging.kind': 'store',
        'staging.store': 'parked',
        'enabled_backends': 'fast:file,cheap:file,parked:s3',
        **{f'parked.{name}': value for name, value in server.options.items()},
    }


class StagingStoreTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """An S3 server keeps what is staged; the API is on the first host."""

    scenarios = [(kind, {'kind': kind}) for kind in ('sqlite', 'postgresql')]

    def setUp(self) -> None:
        super().setUp()
        settings = parked_in(self.useFixture(S3(self)))
        self.story = self.useFixture(Story(self, kind=self.kind, overrides=settings))
        self.story.cloud.add_host(TWO)
        self.parked = self.story.services.stores.staging

    def objects(self) -> list[str]:
        return sorted(self.parked.names())

    def ends_well(self) -> None:
        self.assertEqual(ImportState.SUCCEEDED, self.story.wait_end().state)
        self.assertEqual([], self.objects())
        check_aftermath(self.story, SUCCESS)
        self.assertEqual([], self.story.files(f'staging-{TWO}'))

    def test_any_host_imports_what_was_staged_at_one(self) -> None:
        self.assertEqual((1, []), (len(self.objects()), self.story.files('staging')))
        self.assertIsNone(self.story.record.staged_host)
        self.story.workers.start(host=TWO)
        self.ends_well()

    def test_a_lost_host_is_answered_by_fetching_it_again(self) -> None:
        story = self.story
        story.workers.start(point=DEATH).wait_killed()
        story.expire()
        self.assertEqual(ONE, story.record.staged_host)

        def hours_pass(tx: Transaction) -> None:
            for table in (schema.workers, schema.conductor_hosts):
                tx.connection.execute(sa.update(table).values(seen=table.c.seen - HOURS))

        story.db.run(hours_pass)
        told = called(story.cloud.config_file(TWO), 'explain', story.import_id)[1]
        self.assertIn('It reads its source again on another host', told)
        loss = conductors.lose(story.services, ONE)
        self.assertEqual((1, ()), (loss.elsewhere, loss.failed))
        story.workers.start(host=TWO)
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual([], self.objects())
        story.sweep()  # the first host is there again
        self.assertEqual(([], []), (story.files('staging'), story.files(f'staging-{TWO}')))

    def test_it_is_removed_with_its_image_and_is_no_store_for_images(self) -> None:
        services = self.story.services
        for known in SIZES.values():
            image = Image(id=uuidutils.generate_uuid(), owner=OWNER)
            services.db.run(lambda tx, image=image: tx.images.add(image))
            length = 4 if known else None
            data.stage(
                services, ADMIN, image.id, io.BytesIO(b'data'), content_length=length, announced_size=None
            )
            self.assertEqual((2, []), (len(self.objects()), self.story.files('staging')))
            (transfer,) = services.db.read(lambda tx, image=image: tx.transfers.of_image(image.id))
            self.assertEqual((None, 4, 'parked'), (transfer.host, transfer.size, transfer.store))
            deletion.delete(services, ADMIN, image.id)
            self.story.sweep()
            self.assertEqual(1, len(self.objects()))
            self.assertEqual([], services.db.read(lambda tx, image=image: tx.transfers.of_image(image.id)))
        self.assertEqual(['cheap', 'fast'], sorted(stores.named(services)))
        self.assertNotIn('parked', services.stores)
        self.assertIn('parked', called(self.story.cloud.config_file(), 'stores', 'check')[1])

    def test_what_is_gone_or_changed_fails_the_import(self) -> None:
        (name,) = self.objects()
        self.parked.put(name, io.BytesIO(b'x' * len(self.story.body)), len(self.story.body))
        self.story.workers.start(host=TWO)
        record = self.story.wait_end()
        self.assertEqual((ImportState.FAILED, errors.StagingLost.code), (record.state, record.error_code))
        self.assertIs(Status.QUEUED, self.story.image.status)
        self.assertEqual([], self.objects())

    def test_a_store_that_cannot_be_it_is_named_at_the_start(self) -> None:
        cloud = self.story.cloud
        for store, reason in (('fast', 'is the default store'), ('none', 'is not one of enabled_backends')):
            path = cloud.path('etc', f'{store}.conf')
            write_config(path, {**cloud.settings, 'staging.store': store})
            conf = options.load(['--config-file', path], 'imagepipe')
            error = self.assertRaises(errors.ConfigurationInvalid, Services.build, conf)
            self.assertIn(reason, error.message)


class KilledTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Workers are killed where such an import does what no other does: the rest is in test_crash_matrix."""

    scenarios = [
        (f'{step}:{moment}', {'step': step, 'moment': moment})
        for step, moments in (
            (steps.STAGE, (*(f'execute.{when}' for when in WHEN), *crashing.REVERTS)),
            (steps.DISCARD, tuple(f'execute.{when}' for when in WHEN)),
        )
        for moment in moments
    ]
    step: str
    moment: str

    def test_killed(self) -> None:
        refusing = ('cheap',) if self.moment in crashing.REVERTS else ()
        settings = parked_in(self.useFixture(S3(self)))
        story = self.useFixture(Story(self, overrides=settings, refusing=refusing))
        story.workers.start(point=f'{self.step}:{self.moment}').wait_killed()
        story.expire()
        taker = story.workers.start()
        story.wait_end()
        taker.kill()
        check_aftermath(story, REFUSED if refusing else SUCCESS)
        story.sweep()
        self.assertEqual([], list(story.services.stores.staging.names()))
