"""The real conductor, supervisor and workers: killed whole, killed in parts, stopped."""

import ast
import os
import pathlib
import signal
import subprocess
import sys

import sqlalchemy as sa
import testtools
from testtools import content

from imagepipe.domain import steps
from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.commands import PROJECT, run
from imagepipe.tests.fixtures.conductors import Conductor, InTheMiddle
from imagepipe.tests.fixtures.servers import free_port
from imagepipe.tests.fixtures.services import ServicesFixture, write_config
from imagepipe.tests.fixtures.stories import SUCCESS, check_aftermath
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until


class ConductorTestCase(InTheMiddle, testtools.TestCase):
    """An import is in the middle of its download when it happens."""

    def crashes(self) -> int:
        found = self.story.db.read(lambda tx: tx.steps.of_imports([self.story.import_id]))
        return sum(step.crashes for step in found[self.story.import_id])

    def ends_well(self) -> None:
        self.assertEqual(ImportState.SUCCEEDED, self.story.wait_end().state)
        self.conductor.kill()
        check_aftermath(self.story, SUCCESS)

    def test_killed_whole_another_one_goes_on(self) -> None:
        self.conductor.kill()
        self.story.expire()
        self.conductor = self.start()
        self.ends_well()

    def test_a_killed_worker_is_replaced(self) -> None:
        worker = int(self.story.record.claim_owner.split(':')[1])
        self.assertIn(worker, self.conductor.workers())
        os.kill(worker, signal.SIGKILL)
        self.story.expire()
        self.ends_well()

    def test_workers_whose_supervisor_is_killed_hand_over_and_end(self) -> None:
        workers = self.conductor.workers()
        os.kill(self.conductor.process.pid, signal.SIGKILL)
        self.conductor.process.wait(PATIENCE)
        wait_until(lambda: not any(map(_alive, workers)), 'the workers end')
        self.assertIsNone(self.story.record.claim_owner)
        self.assertEqual(0, self.crashes())
        self.conductor = self.start()
        self.ends_well()

    def test_stopped_it_hands_over_and_ends_well(self) -> None:
        os.kill(self.conductor.process.pid, signal.SIGTERM)
        self.assertEqual(0, self.conductor.process.wait(PATIENCE))
        self.assertIsNone(self.story.record.claim_owner)
        self.assertEqual((0, 'running'), (self.crashes(), self.story.steps()[steps.STAGE].value))
        self.conductor = self.start()
        self.ends_well()


class ConductorPostgreSQLTestCase(ConductorTestCase):
    kind = 'postgresql'


class StartTestCase(testtools.TestCase):
    def test_a_configuration_that_cannot_work_is_told_once(self) -> None:
        cloud = self.useFixture(ServicesFixture(self))
        wrong = {**cloud.settings, 'conductor.workers': 3, 'glance_store.default_backend': 'none'}
        write_config(cloud.config_file(), wrong)
        command = [sys.executable, '-W', 'ignore', '-m', 'imagepipe.cmd.conductor']
        done = subprocess.run(
            [*command, '--config-file', cloud.config_file()],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | {'PYTHONPATH': os.pathsep.join([str(PROJECT), *sys.path])},
        )
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual(1, done.stderr.count('imagepipe-conductor: '), done.stderr)
        self.assertIn("'none' is not one of enabled_backends", done.stderr)

    def test_without_its_database_it_waits_in_few_words_and_stops_when_it_is_told_to(self) -> None:
        cloud = self.useFixture(ServicesFixture(self, kind='postgresql'))
        url = sa.make_url(cloud.database_url)
        away = url.set(host='127.0.0.1', port=free_port())
        before = pathlib.Path(cloud.config_file()).read_text()
        write_config(
            cloud.config_file(),
            {
                'database.connection': away.render_as_string(hide_password=False),
                'conductor.workers': 2,
                'conductor.grace': 5.0,
                'conductor.sweep_interval': 0.1,
            },
        )
        path = pathlib.Path(cloud.config_file())
        path.write_text(before + path.read_text())
        log = pathlib.Path(cloud.path('conductor.log'))
        conductor = Conductor(cloud, log)
        self.addCleanup(conductor.kill)
        self.addOnException(lambda _: self.addDetail('log', content.text_content(log.read_text())))
        sweeping = 'Sweeping waits for the database'
        wait_until(lambda: log.read_text().count(sweeping) > 1, 'the sweeper has tried twice')
        wait_until(lambda: len(conductor.workers()) == 2, 'both workers are there')
        self.assertEqual(0, conductor.stop())
        said = log.read_text()
        self.assertNotIn('Traceback', said)
        self.assertNotIn('is killed', said)
        self.assertIn('Conductor has stopped', said)

    def test_a_fork_finds_one_thread_only(self) -> None:
        """A lock that another one held would stay held in every worker."""
        imported = 'import os, imagepipe.cmd.conductor; print(os.listdir("/proc/self/task"))'
        threads = run(self, sys.executable, '-W', 'ignore', '-c', imported)
        self.assertEqual(1, len(ast.literal_eval(threads)), threads)


def _alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'
