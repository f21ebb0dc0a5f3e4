"""Images that are deleted while another request or a worker is in the middle of something.

Moments that test_hammer.py has met by chance, made to come each time.
"""

import functools
import itertools
import sys
import threading
from collections.abc import Callable, Sequence

import fixtures
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.api.routes import ROUTES
from imagepipe.db.images import ImageRepository
from imagepipe.flows.steps.stage import TakeStaged
from imagepipe.operations import deletion, removals, targets
from imagepipe.tests.fixtures.api import V21
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.together import together
from imagepipe.tests.fixtures.workers import wait_until

DATA = b'0123456789' * 100


class MeanwhileCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES
    works = False

    def setUp(self) -> None:
        super().setUp()
        overrides = {
            'enabled_backends': 'fast:file,cheap:file,web:http',
            'show_multiple_locations': True,
            'transfers.delete_seconds': 0.5,
        }
        self.pipeline = self.useFixture(
            PipelineFixture(
                self, kind=self.database_kind, works=self.works, overrides=overrides, memory=('far',)
            )
        )
        self.far = self.pipeline.memory['far']

    def active(self, *, store: str = 'fast', **attributes: object) -> str:
        image_id = self.pipeline.image(**attributes)
        self.assertEqual(204, self.pipeline.put(image_id, DATA, store=store).status_int)
        return image_id

    def delete(self, image_id: str) -> int:
        return self.pipeline.call('DELETE', f'/v2/images/{image_id}').status_int

    def before(self, owner: object, name: str, what: Callable[[], object]) -> None:
        """`what` happens when this function of a class or module is called."""
        original = getattr(owner, name)

        @functools.wraps(original)  # TaskFlow reads a step's arguments
        def called(*arguments: object, **more: object) -> object:
            what()
            return original(*arguments, **more)

        self.patch(owner, name, called)

    def nothing_is_left(self) -> None:
        wait_until(lambda: self.pipeline.sweep() or not any(self.pipeline.objects().values()), 'the sweep')
        self.assertEqual(([], (0, 0)), (self.pipeline.staged(), self.pipeline.used()))
        self.pipeline.check_records()
        self.assertNotIn('The counter of', self.pipeline.log.output)


class RequestsTest(MeanwhileCase):
    def test_of_several_deletes_one_is_204(self) -> None:
        image_id = self.active()
        self.before(removals, 'remove_bytes', self.once_asked(3))
        self.assertEqual([204, 404, 404], sorted(together(*[(self.delete, image_id)] * 3)))
        self.nothing_is_left()

    def test_each_of_several_deletes_is_refused(self) -> None:
        """What one gives back the others do not delete."""
        image_id = self.active(store='far')
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.before(removals, 'remove_bytes', self.once_asked(3))
        self.assertEqual([409, 409, 409], together(*[(self.delete, image_id)] * 3))
        self.assertEqual(DATA, self.pipeline.download(image_id))
        self.far.heal()
        self.assertEqual(204, self.delete(image_id))
        self.nothing_is_left()

    def once_asked(self, times: int) -> Callable[[], None]:
        """What waits until so many transactions would condemn the image."""
        calls, asked = itertools.count(1), threading.Event()
        self.before(deletion, '_condemn', lambda: next(calls) == times and asked.set())
        return lambda: self.assertTrue(asked.wait(20))


class ChangesTest(MeanwhileCase):
    """Whatever would change an image while stores are asked to delete its data is refused."""

    def setUp(self) -> None:
        super().setUp()
        self.image_id = self.active(store='far', tags=['old'])
        self.pipeline.share(self.image_id, 'theirs', 'pending')
        self.source = self.pipeline.serve('elsewhere', DATA)
        self.pipeline.services.db._pause = 0.0  # changes wait for the DELETE in vain

    def changes(self) -> Sequence[tuple[str, str, object, str]]:
        """Method, path below the image, body, caller: in an order in which all can be done."""
        location = {'op': 'add', 'path': '/locations/-', 'value': {'url': self.source, 'metadata': {}}}
        return (
            ('PATCH', '', [{'op': 'add', 'path': '/about', 'value': 'me'}], 'ours'),
            ('PATCH', '', [location], 'ours'),
            ('PUT', '/tags/new', None, 'ours'),
            ('DELETE', '/tags/old', None, 'ours'),
            ('POST', '/members', {'member': 'others'}, 'ours'),
            ('PUT', '/members/theirs', {'status': 'accepted'}, 'theirs'),
            ('DELETE', '/members/theirs', None, 'ours'),
            ('POST', '/actions/deactivate', None, 'admin'),
            ('POST', '/actions/reactivate', None, 'admin'),
            ('POST', '/import', {'method': {'name': 'copy-image'}, 'stores': ['cheap']}, 'admin'),
            ('PATCH', '', [{'op': 'replace', 'path': '/protected', 'value': True}], 'ours'),
        )

    def change(self, method: str, below: str, body: object, caller: str) -> tuple[int, str | None]:
        headers = {'Content-Type': V21} if method == 'PATCH' else None
        path = f'/v2/images/{self.image_id}{below}'
        response = self.pipeline.call(method, path, body, as_=caller, headers=headers)
        refused = response.status_int >= 400
        return response.status_int, response.json['error']['error_code'] if refused else None

    def test_they_are_refused_and_the_image_goes(self) -> None:
        answers = []
        changes = [change for change in self.changes() if change[1] != '/actions/reactivate']  # it is active
        self.before(removals, 'remove_bytes', lambda: answers.extend(self.change(*each) for each in changes))
        self.assertEqual(204, self.delete(self.image_id))
        self.assertEqual([(409, errors.ImageBeingDeleted.code)] * len(changes), answers)
        self.assertEqual({(404, errors.ImageNotFound.code)}, {self.change(*each) for each in changes})
        self.nothing_is_left()

    def test_they_are_done_when_a_store_has_kept_the_data(self) -> None:
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=self.image_id))
        self.assertEqual(409, self.delete(self.image_id))
        self.assertEqual(DATA, self.pipeline.download(self.image_id))
        self.far.heal()
        self.assertEqual([], [each for each in self.changes() if self.change(*each)[1] is not None])
        shown = self.pipeline.show(self.image_id)
        self.assertEqual((True, 'me', ['new']), (shown['protected'], shown['about'], shown['tags']))
        self.assertEqual(403, self.delete(self.image_id))

    def test_a_copy_in_one_store_is_not_taken_besides(self) -> None:
        path = f'/v2/stores/far/{self.image_id}'
        answers = []
        self.before(
            removals, 'remove_bytes', lambda: answers.append(self.pipeline.call('DELETE', path, as_='admin'))
        )
        self.assertEqual(204, self.delete(self.image_id))
        self.assertEqual(errors.ImageBeingDeleted.code, answers[0].json['error']['error_code'])
        self.nothing_is_left()

    def test_a_delete_that_has_died_is_done_by_another(self) -> None:
        def die() -> None:
            if next(calls) == 1:
                raise SystemExit

        calls = itertools.count(1)
        self.before(removals, 'remove_bytes', die)
        self.assertRaises(SystemExit, self.delete, self.image_id)
        self.assertEqual(409, self.delete(self.image_id))  # as long as it may be alive
        wait_until(lambda: self.delete(self.image_id) == 204, 'the image is deleted')
        self.nothing_is_left()

    def test_one_that_has_died_is_done_by_the_sweeper(self) -> None:
        self.die()
        self.nothing_is_left()
        self.assertEqual((404, errors.ImageNotFound.code), self.change(*self.changes()[0]))

    def test_one_that_has_died_gives_the_image_back_where_a_store_keeps_the_data(self) -> None:
        for failure in (errors.StoreInUse, errors.StoreDenied):
            self.far.fail_on('delete', failure)
            self.die()
            self.assertEqual(errors.ImageBeingDeleted.code, self.change(*self.changes()[0])[1])
            wait_until(lambda: self.pipeline.sweep() or not self.is_condemned(), 'the sweeper gives it back')
            self.assertEqual(DATA, self.pipeline.download(self.image_id))
            self.pipeline.check_records()
        self.assertEqual([], [each for each in self.changes() if self.change(*each)[1] is not None])

    def die(self) -> None:
        """DELETE the image, and never come to ask its store."""
        with fixtures.MonkeyPatch(f'{removals.__name__}.remove_bytes', lambda *_: sys.exit()):
            self.assertRaises(SystemExit, self.delete, self.image_id)

    def is_condemned(self) -> bool:
        return self.pipeline.services.db.read(lambda tx: tx.images.find(self.image_id)).condemned is not None

    def test_every_call_that_changes_an_image_is_among_them(self) -> None:
        """Those that are not are for images without data, or are this DELETE."""
        known = {('DELETE', ''), ('PUT', '/file'), ('PUT', '/stage'), ('POST', '/locations')}
        known |= {(method, below) for method, below, *_ in self.changes()}
        names = {'tag': ('new', 'old'), 'member_id': ('theirs',)}
        for route in ROUTES:
            if route.method == 'GET' or not route.path.startswith('/v2/images/{image_id}'):
                continue
            below = route.path.removeprefix('/v2/images/{image_id}')
            filled = {below.replace(f'{{{name}}}', each) for name, found in names.items() for each in found}
            self.assertTrue(known & {(route.method, each) for each in filled}, f'{route.method} {route.path}')


#: SQLite has one writer at a time.
OF_SEVERAL_WRITERS = [(name, values) for name, values in DATABASES if name != 'sqlite']


class CopyTest(MeanwhileCase):
    scenarios = OF_SEVERAL_WRITERS

    def test_a_copy_that_begins_finds_no_image(self) -> None:
        image_id = self.active()
        looks = itertools.count(1)
        deleted = []

        def delete() -> None:
            if next(looks) == 2:  # in the transaction that records the import; the first only looks
                deleted.extend(together((self.delete, image_id)))

        self.before(targets, 'choose_stores', delete)
        response = self.pipeline.ask(image_id, method='copy-image', as_='admin', stores=['cheap'])
        self.assertEqual(([204], 404), (deleted, response.status_int), response.text)
        self.nothing_is_left()


class StageTest(MeanwhileCase):
    works = True

    def test_a_step_that_finds_no_staged_data_is_no_defect(self) -> None:
        image_id = self.pipeline.image()
        self.pipeline.stage(image_id, DATA)
        deleted = []
        self.before(TakeStaged, 'work', lambda: deleted.append(self.delete(image_id)))
        found = self.pipeline.wait(self.pipeline.start(image_id))
        self.assertEqual(
            ('failed', 'imagepipe.import.image_deleted'), (found['state'], found['error']['code'])
        )
        self.assertEqual(204, deleted[0])
        self.assertNotIn('met a defect', self.pipeline.log.output)
        self.nothing_is_left()


class EndTest(MeanwhileCase):
    """In the transaction that gives an import its end."""

    scenarios = OF_SEVERAL_WRITERS
    works = True

    def test_of_an_import_that_failed(self) -> None:
        image_id = self.pipeline.image()
        uri = self.pipeline.serve(image_id, DATA, Fault(status=404))
        deleted: list[int] = []

        def delete() -> None:
            """When the conductor is about to write the image that it has just read."""
            if threading.current_thread() is not threading.main_thread() and not deleted:
                deleted.append(0)
                deleted.extend(together((self.delete, image_id)))

        self.before(ImageRepository, 'settle', delete)
        found = self.pipeline.wait(self.pipeline.start(image_id, uri=uri))
        self.assertEqual([0, 204], deleted)
        self.assertEqual(('failed', errors.SourceNotFound.code), (found['state'], found['error']['code']))
        self.assertNotIn('is given up', self.pipeline.log.output)
        self.nothing_is_left()
