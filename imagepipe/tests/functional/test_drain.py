"""Conductors that take nothing new: told by an operator, by a signal, or because they stop."""

import contextlib
import io
import json
import os
import pathlib
import signal
import socket

import fixtures
import psutil
import testtools

from imagepipe.cmd import manage
from imagepipe.domain import steps
from imagepipe.domain.import_ import ImportState, StepState
from imagepipe.tests.fixtures.conductors import Conductor, InTheMiddle
from imagepipe.tests.fixtures.stories import SUCCESS, Story, check_aftermath
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until

HOST = socket.gethostname()
#: qemu-img itself, at a pace at which it converts nothing for hours.
SLOW_QEMU_IMG = """#!/bin/sh
test "$1" = convert || exec qemu-img "$@"
shift
exec qemu-img convert -r 1 "$@"
"""


class DrainTestCase(InTheMiddle, testtools.TestCase):
    """An import is in the middle of its download, and another one comes."""

    def manage(self, *words: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = manage.main(['--config-file', self.story.cloud.config_file(), *words])
        self.assertEqual(0, status)
        return out.getvalue()

    def listed(self) -> dict[str, object]:
        """The conductor as it is listed; until it gives its first sign it is not."""
        found = json.loads(self.manage('conductors', 'list', '--format', 'json'))['conductors']
        return found[0] if found else {'state': None, 'workers': []}

    def wait_listed(self, state: str) -> None:
        wait_until(lambda: self.listed()['state'] == state, f'the conductor is {state}')

    def untouched(self, import_id: str) -> None:
        record = self.story.db.read(lambda tx: tx.imports.get(import_id))
        self.assertEqual((ImportState.ACCEPTED, 0), (record.state, record.epoch))

    def end(self, *import_ids: str) -> None:
        for import_id in import_ids:
            wait_until(
                lambda import_id=import_id: self.story.db.read(lambda tx: not tx.imports.get(import_id).live),
                'the other import ends',
            )

    def crashes(self) -> int:
        found = self.story.db.read(lambda tx: tx.steps.of_imports([self.story.import_id]))
        return sum(step.crashes for step in found[self.story.import_id])

    def test_a_drained_host_finishes_what_runs_and_takes_nothing_new(self) -> None:
        told = self.manage('conductors', 'drain', HOST)
        self.assertIn('take nothing new; what runs there goes on to its end.', told)
        image_id, waiting = self.story.begin()
        self.wait_listed('draining')
        self.story.source.release.set()
        self.assertEqual(ImportState.SUCCEEDED, self.story.wait_end().state)
        self.wait_listed('drained')
        self.untouched(waiting)
        self.assertEqual({self.conductor.process.pid}, {self.listed()['pid']})
        self.manage('conductors', 'drain', HOST, '--undo')
        self.end(waiting)
        self.story.remove(image_id)
        self.conductor.kill()
        check_aftermath(self.story, SUCCESS)

    def test_a_drain_outlives_the_conductor(self) -> None:
        self.manage('conductors', 'drain', HOST)
        self.assertEqual(0, self.conductor.stop())
        self.assertIsNone(self.story.record.claim_owner)
        self.assertEqual((None, 'drained'), (self.listed()['pid'], self.listed()['state']))
        self.conductor = self.start()
        wait_until(lambda: len(self.listed()['workers']) == 2, 'it is there again')
        self.wait_listed('drained')
        self.assertEqual(1, self.story.record.epoch)
        self.manage('conductors', 'drain', HOST, '--undo')
        self.story.source.release.set()
        self.assertEqual(ImportState.SUCCEEDED, self.story.wait_end().state)

    def test_what_runs_is_handed_over_if_that_is_wanted(self) -> None:
        self.manage('conductors', 'drain', HOST, '--hand-over')
        wait_until(lambda: self.story.record.claim_owner is None, 'the import is handed over')
        self.wait_listed('drained')
        self.assertEqual((0, 1), (self.crashes(), self.story.record.epoch))
        self.assertEqual('running', self.story.steps()[steps.STAGE].value)
        self.assertIsNone(self.conductor.process.poll())
        self.manage('conductors', 'drain', HOST, '--undo')
        self.assertEqual(ImportState.SUCCEEDED, self.story.wait_end().state)
        self.conductor.kill()
        check_aftermath(self.story, SUCCESS)

    def test_by_a_signal_it_ends_when_it_is_idle(self) -> None:
        wait_until(lambda: len(self.listed()['workers']) == 2, 'both workers are there')
        os.kill(self.conductor.process.pid, signal.SIGUSR1)
        wait_until(
            lambda: len(self.listed()['workers']) == 1 and self.listed()['state'] == 'draining',
            'the idle worker ends',
        )
        image_id, waiting = self.story.begin()
        self.assertIsNone(self.conductor.process.poll())
        self.story.source.release.set()
        self.assertEqual(0, self.conductor.process.wait(PATIENCE))
        self.assertEqual(ImportState.SUCCEEDED, self.story.record.state)
        self.untouched(waiting)
        self.assertEqual('No conductor is known.\n', self.manage('conductors', 'list'))
        self.start()
        self.end(waiting)
        self.story.remove(image_id)

    def test_a_host_without_conductors_is_unknown(self) -> None:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            status = manage.main(
                ['--config-file', self.story.cloud.config_file(), 'conductors', 'drain', 'nowhere']
            )
        self.assertEqual(1, status)
        self.assertIn('(imagepipe.conductor.not_found)', err.getvalue())


class DrainPostgreSQLTestCase(DrainTestCase):
    kind = 'postgresql'


class StopInConversionTestCase(testtools.TestCase):
    """SIGTERM in the middle of a conversion that would take hours."""

    def setUp(self) -> None:
        super().setUp()
        self.tool = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'slow-qemu-img')
        self.tool.write_text(SLOW_QEMU_IMG)
        self.tool.chmod(0o755)

    def story(self, sandbox: str) -> Story:
        return self.useFixture(
            Story(
                self,
                overrides={
                    'conductor.grace': 0.5,
                    'conversion.qemu_img': str(self.tool),
                    'conversion.sandbox': sandbox,
                },
            )
        )

    def start(self, story: Story) -> Conductor:
        conductor = Conductor(story.cloud, pathlib.Path(story.cloud.path('conductor.log')))
        self.addCleanup(conductor.kill)
        return conductor

    def test_no_child_is_left_and_another_conductor_goes_on(self) -> None:
        for sandbox in ('off', 'auto'):
            self.tool.write_text(SLOW_QEMU_IMG)
            story = self.story(sandbox)
            conductor = self.start(story)
            wait_until(
                lambda conductor=conductor: _converters(conductor), f'qemu-img runs, sandbox {sandbox}'
            )
            children = conductor.processes()
            self.assertEqual(0, conductor.stop())
            self.assertEqual([], psutil.wait_procs(children, timeout=PATIENCE)[1])
            self.assertIsNone(story.record.claim_owner)
            self.assertEqual((StepState.RUNNING, 0), self.conversion(story))
            self.tool.write_text('#!/bin/sh\nexec qemu-img "$@"\n')
            conductor = self.start(story)
            self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
            conductor.kill()
            check_aftermath(story, SUCCESS)

    def conversion(self, story: Story) -> tuple[StepState, int]:
        """The state of the step, and how often a death interrupted it."""
        found = story.db.read(lambda tx: tx.steps.of_imports([story.import_id]))[story.import_id]
        return next((step.state, step.crashes) for step in found if step.name == steps.convert('raw'))


def _converters(conductor: Conductor) -> list[psutil.Process]:
    return [process for process in conductor.processes() if 'convert' in _arguments(process)]


def _arguments(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
