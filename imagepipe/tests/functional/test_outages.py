"""A worker does not reach the database for a while: its import goes on, and that is no reason for it to fail.

The outage ends when the step at work has stopped and nobody else has taken the import. So nothing in the
database keeps the worker from writing down how the step ended, or that the whole flow has failed.
"""

import pathlib

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.domain.import_ import ImportState, Method
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.services import write_config
from imagepipe.tests.fixtures.stories import LONG_LEASE, SUCCESS, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.wires import Wires
from imagepipe.tests.fixtures.workers import PATIENCE

LEASE = 2.0
REFUSED = Ending(state=ImportState.FAILED, error_code='imagepipe.store.permanent')


class OutageTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """The worker reaches its database over a wire; the test does so directly."""

    scenarios = [(kind, {'kind': kind}) for kind in ('postgresql', 'mariadb')]
    kind: str

    def setUp(self) -> None:
        super().setUp()
        self.wires = self.useFixture(Wires())

    def story(self, *, lease: float = LONG_LEASE, **story: object) -> Story:
        # One place: the worker that lost an import takes none before it is done with that one.
        settings = {'conductor.imports_per_worker': 1, 'conductor.small_slots': 0}
        told = self.useFixture(Story(self, kind=self.kind, lease=lease, overrides=settings, **story))
        url = sa.make_url(told.cloud.database_url)
        port = self.wires.lay('database', (url.host, url.port))
        config = pathlib.Path(told.cloud.config_file())
        wired = url.set(host='127.0.0.1', port=port).render_as_string(hide_password=False)
        before = config.read_text()
        write_config(str(config), {'database.connection': wired})
        config.write_text(before + config.read_text())  # the last word counts
        return told

    def test_for_longer_than_a_lease_in_the_middle_of_a_download(self) -> None:
        story = self.story(lease=LEASE, method=Method.WEB_DOWNLOAD, fault=Fault(stall_after=1000, stalls=1))
        worker = story.workers.start()
        self.assertTrue(story.source.stalled.wait(PATIENCE))
        self.wires.cut('database')
        story.workers.wait_let_go(story.import_id, worker=worker)
        self.wires.mend('database')
        story.wait_end()
        check_aftermath(story, SUCCESS)

    def test_at_the_commit(self) -> None:
        story = self.story()
        worker = story.workers.start(point='activate:execute.before', stop=True)
        worker.wait_stopped()
        self.wires.cut('database')
        worker.go_on()
        story.workers.wait_said(f'Import {story.import_id} waits for the database', worker=worker)
        self.wires.mend('database')
        story.wait_end()
        check_aftermath(story, SUCCESS)
        (found,) = story.db.read(lambda tx: tx.steps.of_imports([story.import_id])).values()
        self.assertEqual(['activate'], [step.name for step in found if step.failures])

    def test_at_the_decision_to_revert(self) -> None:
        story = self.story(refusing=('cheap',))
        worker = story.workers.start(point='restage:failure.before', stop=True)
        worker.wait_stopped()
        self.wires.cut('database')
        worker.go_on()
        story.workers.wait_let_go(story.import_id, worker=worker)
        self.wires.mend('database')
        story.wait_end()
        check_aftermath(story, REFUSED)
