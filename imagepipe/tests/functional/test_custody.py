"""Statuses that do not last: each has an owner, a deadline and an end, and the sweeper gives it that end."""

import datetime
import functools
import threading
from collections.abc import Callable

import sqlalchemy as sa
import testtools
from testscenarios import WithScenarios

from imagepipe import conf as options
from imagepipe.db import schema
from imagepipe.db.transfers import TransferRepository
from imagepipe.domain import names
from imagepipe.domain.custody import CUSTODIES, LASTING, OWNERLESS, OWNERLESS_OPTION
from imagepipe.domain.image import Status
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.transfer import TransferKind
from imagepipe.domain.usage import UNLIMITED
from imagepipe.operations import custody, transfers
from imagepipe.tests.fixtures.api import new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

DATA = b'0123456789' * 100
#: Seconds for which staged data is kept.
KEPT = 3600


class TableTest(testtools.TestCase):
    """The table of domain/custody.py leaves no status out, and names what there is."""

    def test_every_status_that_does_not_last_is_in_it(self) -> None:
        passing = [status for status in Status if status not in LASTING]
        for status in passing:
            self.assertIn(status, {case.status for case in CUSTODIES})
        # An image without data and without anything on its way to it has nobody but its user.
        self.assertEqual(set(passing) - {Status.QUEUED}, set(OWNERLESS))

    def test_its_deadlines_are_options(self) -> None:
        conf = options.load([], 'imagepipe')
        for option in [*(option for case in CUSTODIES for option in case.options), OWNERLESS_OPTION]:
            group, _, name = option.rpartition('.')
            self.assertIn(name, conf[group] if group else conf)


class CustodyCase(WithScenarios, testtools.TestCase):
    scenarios = DATABASES
    kept: int | None = KEPT

    def setUp(self) -> None:
        super().setUp()
        overrides = {'transfers.delete_seconds': 0, 'delayed_delete': True, 'scrub_time': KEPT}
        if self.kept is not None:
            overrides['staging.keep_for'] = self.kept
        self.pipe = self.useFixture(
            PipelineFixture(self, kind=self.database_kind, works=False, overrides=overrides)
        )
        self.services = self.pipe.services

    def staged(self, *, age: float = 0.0) -> str:
        """The id of an image whose data was staged so many seconds ago."""
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        table = schema.transfers
        self.write(
            table.update()
            .where(table.c.image_id == image_id)
            .values(updated_at=table.c.updated_at if not age else _ago(age))
        )
        return image_id

    def write(self, statement: sa.sql.dml.DMLWhereBase) -> None:
        self.services.db.run(lambda tx: tx.connection.execute(statement))

    def status(self, image_id: str) -> Status:
        return self.services.db.read(lambda tx: tx.images.find(image_id)).status

    def check_queued(self, image_id: str) -> None:
        """The image is as it was before any data came, and everybody was told."""
        image = self.pipe.show(image_id)
        self.assertEqual(('queued', None, None), (image['status'], image['size'], image['checksum']))
        told = [event for event in self.pipe.told('image.update') if event['id'] == image_id]
        self.assertEqual('queued', told[-1]['status'])


class StagedTest(CustodyCase):
    scenarios = [each for each in DATABASES if each[0] != 'postgresql']

    def test_data_that_nobody_imports_goes_when_its_time_is_over(self) -> None:
        old, young, imported = self.staged(age=KEPT + 60), self.staged(age=KEPT - 60), self.staged()
        import_id = self.pipe.start(imported)
        table = schema.transfers
        self.write(table.update().where(table.c.image_id == imported).values(updated_at=_ago(10 * KEPT)))
        self.pipe.sweep()
        self.check_queued(old)
        self.assertEqual((Status.UPLOADING, Status.IMPORTING), (self.status(young), self.status(imported)))
        self.assertEqual(2, len(self.pipe.staged()))
        self.assertEqual(409, self.pipe.ask(old).status_int)
        self.pipe.work()
        self.pipe.succeed(import_id)
        self.pipe.succeed(self.pipe.start(young))
        self.pipe.retry(old, DATA)
        self.assertNotIn('The counter of', self.pipe.log.output)

    def test_data_whose_image_does_not_wait_for_it_goes_at_once(self) -> None:
        image_id = self.staged()
        images = schema.images
        self.write(images.update().where(images.c.id == image_id).values(status='queued', size=None))
        self.pipe.sweep()
        self.assertEqual(([], (0, 0)), (self.pipe.staged(), self.pipe.used()))
        self.pipe.check_records()


class KeptTest(CustodyCase):
    scenarios = DATABASES[:1]
    kept = None

    def test_without_a_time_staged_data_is_kept(self) -> None:
        image_id = self.staged(age=10 * 365 * 86400)
        self.pipe.sweep()
        self.assertIs(Status.UPLOADING, self.status(image_id))
        self.pipe.work()
        self.pipe.succeed(self.pipe.start(image_id))


class RacesTest(CustodyCase):
    """What begins in the moment in which staged data is given up wins, or is told that it is late."""

    scenarios = [each for each in DATABASES if each[0] != 'mariadb']

    def before(self, owner: object, name: str, what: Callable[[], object]) -> None:
        """`what` happens when this function of a class or module is called for the first time."""
        original, waiting = getattr(owner, name), [what]

        @functools.wraps(original)
        def called(*arguments: object, **more: object) -> object:
            while waiting:
                waiting.pop()()
            return original(*arguments, **more)

        self.patch(owner, name, called)

    def moments(self) -> list[tuple[object, str]]:
        """The sweeper has seen that the data is old; and it has decided so in its transaction."""
        found: list[tuple[object, str]] = [(custody, '_ended')]
        if self.database_kind != 'sqlite':  # which has one writer at a time
            found.append((TransferRepository, 'end'))
        return found

    def test_an_import_that_begins_wins(self) -> None:
        for owner, name in self.moments():
            image_id = self.staged(age=KEPT + 60)
            begun: list[str] = []
            self.before(owner, name, lambda found=image_id, begun=begun: begun.append(self.pipe.start(found)))
            self.pipe.sweep()
            self.assertEqual((1, Status.IMPORTING), (len(begun), self.status(image_id)))
            self.assertEqual(1, len(self.pipe.staged()))
            self.pipe.call('POST', f'/v2/imports/{begun[0]}/cancel')
            worker = self.pipe.work()
            self.pipe.wait(begun[0])
            worker.conductor.stop()
        self.pipe.check_records()

    def test_an_import_that_comes_too_late_is_refused(self) -> None:
        """The sweeper's transaction is open when the import is asked for."""
        image_id = self.staged(age=KEPT + 60)
        answers: list[int] = []
        ask = threading.Thread(target=lambda: answers.append(self.pipe.ask(image_id).status_int))
        self.before(transfers, 'requeue', ask.start)
        self.pipe.sweep()
        ask.join(60)
        self.assertEqual([409], answers)
        self.check_queued(image_id)
        self.assertEqual(([], (0, 0)), (self.pipe.staged(), self.pipe.used()))

    def test_data_that_is_deleted_or_staged_anew_is_left_alone(self) -> None:
        deleted, anew = self.staged(age=KEPT + 60), self.staged(age=KEPT + 30)

        def change() -> None:
            self.pipe.delete(deleted)
            custody.end_staged(self.services, limit=1)  # another conductor is faster
            self.pipe.stage(anew, DATA[:7])

        self.before(custody, '_ended', change)
        self.pipe.sweep()
        self.assertIs(Status.UPLOADING, self.status(anew))
        self.assertEqual((0, 7), self.pipe.used())
        self.pipe.check_records()


class OwnerlessTest(CustodyCase):
    def test_each_status_without_an_owner_ends_and_each_with_one_stays(self) -> None:
        lost = {status: self.lost(status) for status in OWNERLESS}
        kept = {status: getattr(self, f'a_{status.value}')() for status in OWNERLESS}
        gone = self.leftovers(lost[Status.IMPORTING])
        self.pipe.sweep()
        for status, image_id in lost.items():
            self.assertIs(OWNERLESS[status], self.status(image_id), status)
        for status, image_id in kept.items():
            self.assertIs(status, self.status(image_id))
        for status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING):
            self.check_queued(lost[status])
        failed = [reason for reason in self.pipe.told('image.upload') if isinstance(reason, str)]
        self.assertEqual(1, len(failed), 'of an upload that failed its reason is told')
        wait_until(lambda: self.pipe.sweep() or not gone(), 'what the lost import left is removed')
        self.check_restorable(lost[Status.PENDING_DELETE])
        self.assertEqual([], self.ownerless())

    def check_restorable(self, image_id: str) -> None:
        """It has its time from now on, and is deleted then."""
        waiting = self.services.db.snapshot(lambda tx: tx.pending_deletes.get(image_id))
        self.assertIs(Status.ACTIVE, waiting.status)
        table = schema.pending_deletes
        self.write(table.update().values(deleted_at=_ago(KEPT + 60)))
        self.pipe.sweep()
        self.assertEqual(
            [], [row.id for row in self.pipe._rows(sa.select(schema.images.c.id)) if row.id == image_id]
        )

    def ownerless(self) -> list[str]:
        return self.services.db.read(lambda tx: tx.custody.ownerless('', 100))

    def lost(self, status: Status) -> str:
        """An image that somebody has given the status."""
        image_id = self.pipe.image()
        images = schema.images
        self.write(images.update().where(images.c.id == image_id).values(status=status.value, size=5))
        return image_id

    def leftovers(self, image_id: str) -> Callable[[], object]:
        """What an import left of which there is no record; returns what tells of it."""
        name = names.object_name(image_id, new_id(), 1, 'data')
        with (
            self.services.stores['fast']
            ._path(self.services.stores['fast'].datadirs[0], name)
            .open('wb') as file
        ):
            file.write(DATA)
        for state, object_name in ((LocationState.COPYING, name), (LocationState.PENDING, None)):
            location = Location(
                id=new_id(), image_id=image_id, representation_id=new_id(), import_id=new_id(), store='fast',
                state=state, object_name=object_name, epoch=1,
            )  # fmt: skip
            self.services.db.run(lambda tx, location=location: tx.locations.add(location))
        return lambda: (
            self.pipe.locations(image_id) or any(name in path for path in self.pipe.objects()['fast'])
        )

    def a_saving(self) -> str:
        image_id = self.pipe.image()

        def begin(tx: object) -> None:
            image = tx.images.find(image_id)
            transfer = transfers.new(self.services, image, TransferKind.UPLOAD, part='data', store='fast')
            transfers.record(self.services, tx, transfer, image, UNLIMITED)

        self.services.db.run(begin)
        return image_id

    def a_uploading(self) -> str:
        return self.staged()

    def a_importing(self) -> str:
        image_id = self.staged()
        self.pipe.start(image_id)
        return image_id

    def a_pending_delete(self) -> str:
        image_id = self.pipe.image()
        self.assertEqual(204, self.pipe.put(image_id, DATA).status_int)
        self.pipe.delete(image_id)
        return image_id


def _ago(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(seconds=seconds)
