"""Guru Meditation Reports of a conductor and its workers, asked for as in other services of OpenStack."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import fixtures
import psutil
import testtools
from oslo_config import cfg
from testtools import content, matchers

from imagepipe import conf as options
from imagepipe.cmd import reports
from imagepipe.domain.import_ import Method
from imagepipe.stores import loading
from imagepipe.tests.fixtures.conductors import Conductor
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.stories import Story
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until

PLANTED = 'planted-secret'


class ReportTestCase(testtools.TestCase):
    """An import is in the middle of its download."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def conductor(self, **settings: object) -> Conductor:
        self.story = self.useFixture(
            Story(
                self,
                method=Method.WEB_DOWNLOAD,
                fault=Fault(stall_after=1000),
                overrides={
                    'profiler.hmac_keys': PLANTED,
                    'oslo_messaging_notifications.transport_url': f'rabbit://guest:{PLANTED}@127.0.0.1:1/',
                    **{f'oslo_reports.{name}': value for name, value in settings.items()},
                },
            )
        )
        self.log = pathlib.Path(self.story.cloud.path('conductor.log'))
        self.addOnException(
            lambda _info: self.addDetail('conductor.log', content.text_content(self.log.read_text()))
        )
        conductor = Conductor(self.story.cloud, self.log)
        self.addCleanup(conductor.kill)
        self.assertTrue(self.story.source.stalled.wait(PATIENCE))
        (pid,) = conductor.workers()
        wait_until(lambda: self.story.beats(psutil.Process(pid)) > 2, 'the supervisor has had signs of it')
        return conductor

    def of_worker(self, text: str) -> str | None:
        """The line of the import in the section of what is in flight."""
        found = re.search(
            rf'Imports in flight.*?^({self.story.import_id} .*?)$', text, re.DOTALL | re.MULTILINE
        )
        return None if found is None else found[1]

    def check(self, text: str) -> None:
        line = self.of_worker(text).split()
        self.assertEqual(
            [self.story.import_id, self.story.image_id, 'web-download', 'running', 'stage'], line[:5]
        )
        self.assertThat(text, matchers.Contains('keeping.py'))  # what the threads do
        self.assertThat(text, matchers.Contains('imports_per_worker = '))
        self.assertThat(text, matchers.Contains('hmac_keys = ***'))
        self.assertNotIn(PLANTED, text)

    def test_by_a_signal_to_the_supervisor(self) -> None:
        conductor = self.conductor()
        os.kill(conductor.process.pid, signal.SIGUSR2)
        text = wait_until(
            lambda: (said := self.log.read_text()) if self.of_worker(self.log.read_text()) else None,
            'the worker reports',
        )
        wait_until(lambda: self.log.read_text().count('Configuration') > 1, 'both reports are complete')
        text = self.log.read_text()
        self.check(text)
        (worker,) = conductor.workers()
        self.assertThat(text, matchers.MatchesRegex(rf'(?s).*Workers.*^0 +{worker} ', re.MULTILINE))
        self.assertIsNone(conductor.process.poll())
        self.story.source.release.set()
        self.story.wait_end()

    def test_into_a_directory(self) -> None:
        conductor = self.conductor(log_dir=str(self.directory))
        (worker,) = conductor.workers()
        os.kill(worker, signal.SIGUSR2)
        pattern = f'imagepipe-conductor-{worker}_gurumeditation_*'
        (path,) = wait_until(lambda: list(self.directory.glob(pattern)), 'the report is there')
        wait_until(lambda: 'Configuration' in path.read_text(), 'the report is complete')
        self.check(path.read_text())

    def test_by_a_file_that_is_touched(self) -> None:
        watched = self.directory / 'report-now'
        watched.touch()
        conductor = self.conductor(file_event_handler=str(watched))
        (worker,) = conductor.workers()
        for each in (conductor.process.pid, worker):
            os.kill(each, signal.SIGUSR2)  # is for reports, and never an end
        os.utime(watched)
        wait_until(lambda: self.of_worker(self.log.read_text()), 'the worker reports')
        self.assertIsNone(conductor.process.poll())
        self.assertEqual([worker], conductor.workers())


class MissingFileTestCase(testtools.TestCase):
    def test_a_conductor_says_so_and_does_not_start(self) -> None:
        watched = str(pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'missing'))
        cloud = self.useFixture(ServicesFixture(self, overrides={'oslo_reports.file_event_handler': watched}))
        argv = [sys.executable, '-m', 'imagepipe.cmd.conductor', '--config-file', cloud.config_file()]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(f'[oslo_reports] file_event_handler: {watched} does not exist', done.stderr)
        self.assertNotIn('Traceback', done.stderr)


class SecretOptionsTestCase(testtools.TestCase):
    """No value of an option that is a secret is in the report, whichever library or driver it is for."""

    def setUp(self) -> None:
        super().setUp()
        self.conf = options.new()
        self.conf([], default_config_files=[])
        for kind in ('swift', 's3'):
            loading.register(self.conf, kind, kind)

    def names(self) -> Iterator[tuple[str | None, str]]:
        """Every option: its group and its name."""
        for name in self.conf:
            section = self.conf[name]
            if isinstance(section, cfg.ConfigOpts.GroupAttr):
                yield from ((name, option) for option in section)
            else:
                yield None, name

    def report(self) -> str:
        reports.Report.conf, reports.Report.section = self.conf, ('Workers', lambda: '-')
        return reports.Report(reports.Release()).run()

    def plant(self, group: str | None, name: str, value: str) -> None:
        self.conf.set_override(name, value, group=group)
        self.addCleanup(self.conf.clear_override, name, group=group)  # groups are shared

    def test_every_secret_option_is_hidden(self) -> None:
        named = re.compile('password|secret|_key$|_keys$|^connection$|transport_url')
        planted = []
        for group, name in self.names():
            if named.search(name):
                with contextlib.suppress(ValueError):  # not a text
                    self.plant(group, name, PLANTED)
                    planted.append(name)
        self.assertThat(
            planted,
            matchers.ContainsAll(['swift_store_key', 's3_store_secret_key', 'connection']),
        )
        self.assertNotIn(PLANTED, self.report())

    def test_a_login_in_a_url_is_hidden(self) -> None:
        self.plant(None, 'public_endpoint', f'https://user:{PLANTED}@image.example.org')
        text = self.report()
        self.assertIn('https://***@image.example.org', text)
        self.assertNotIn(PLANTED, text)
