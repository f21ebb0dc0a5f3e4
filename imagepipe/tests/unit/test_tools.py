"""The commands of the README, as far as they can be tried without installing anything."""

import pathlib
import stat
import textwrap

import fixtures
import testtools

from imagepipe.tests.fixtures import commands, tools

TOOLS = commands.PROJECT / 'tools'

STORIES = """
    import unittest

    class Stories(unittest.TestCase):
        def test_good(self):
            pass

        def test_bad(self):
            self.fail('it is bad')

        def test_absent(self):
            self.skipTest('qemu-img is not installed')

        @unittest.expectedFailure
        def test_known(self):
            self.fail('as expected')
"""


class SummaryTest(testtools.TestCase):
    """What test.sh says at its end, of real runs of stestr in a directory of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.root / 'stories').mkdir()
        (self.root / 'stories' / '__init__.py').touch()
        (self.root / '.stestr.conf').write_text('[DEFAULT]\ntest_path=./stories\n')

    def summary(
        self, *, stories: str, names: str = '', ci: str = '', status: int = 0, expect: int = 0
    ) -> list[str]:
        (self.root / 'stories' / 'test_stories.py').write_text(textwrap.dedent(stories))
        ran = self.root / 'ran'
        ran.write_text('store: file\ndatabase: sqlite\nstore: file\n')
        env = {'CI': ci, 'PATH': f'{commands.BIN}:/usr/bin:/bin', 'PYTHONDONTWRITEBYTECODE': '1'}
        commands.run(self, 'bash', '-c', f'stestr run --serial {names} || true', cwd=self.root, env=env)
        argv = (commands.BIN / 'python', TOOLS / 'summary.py', '--ran', ran, '--status', status)
        return commands.run(self, *argv, cwd=self.root, env=env, expect=expect).splitlines()

    def test_a_good_run(self) -> None:
        printed = self.summary(stories=STORIES, names='"test_(good|known)"')
        self.assertEqual(['ran: database: sqlite', 'ran: store: file', '2 passed, 0 failed'], printed)

    def test_a_failed_test_is_named(self) -> None:
        printed = self.summary(stories=STORIES, names='"test_(good|bad)"', status=1, expect=1)
        self.assertIn('failed: stories.test_stories.Stories.test_bad', printed)
        self.assertEqual('1 passed, 1 failed', printed[-1])

    def test_a_skip_is_named_and_not_counted(self) -> None:
        printed = self.summary(stories=STORIES, names='"test_(good|absent)"')
        self.assertIn('skipped: stories.test_stories.Stories.test_absent: qemu-img is not installed', printed)
        self.assertEqual('1 passed, 0 failed', printed[-1])

    def test_in_ci_a_skip_is_a_failure(self) -> None:
        printed = self.summary(stories=STORIES, names='"test_(good|absent)"', ci='true', expect=1)
        self.assertEqual('1 passed, 1 failed', printed[-1])

    def test_a_worker_that_dies_is_a_failure(self) -> None:
        dying = STORIES + '\n        def test_dies(self):\n            import os\n            os._exit(3)\n'
        printed = self.summary(stories=dying, names='test_dies', status=1, expect=1)
        self.assertEqual('0 passed, 1 failed', printed[-1])

    def test_a_run_that_ended_badly_without_a_failed_test_is_a_failure(self) -> None:
        printed = self.summary(stories=STORIES, names='test_good', status=100, expect=1)
        self.assertEqual('1 passed, 1 failed', printed[-1])

    def test_a_run_without_a_test_is_a_failure(self) -> None:
        argv = (commands.BIN / 'python', TOOLS / 'summary.py', '--unrecorded')
        self.assertEqual('0 passed, 1 failed\n', commands.run(self, *argv, expect=1).partition('\n')[2])


class PackagesTest(testtools.TestCase):
    """environment.sh against a system whose dpkg-query, apt-get and sudo are ours."""

    def setUp(self) -> None:
        super().setUp()
        tools.need(self, 'bash', 'awk')
        self.bin = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.log = self.bin / 'log'
        self.log.touch()

    def program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def prepare(self, profile: str = '') -> str:
        """What prepare_packages says to the user."""
        script = f'source {TOOLS}/environment.sh; prepare_packages "{profile}" 2>&1'
        return commands.run(self, 'bash', '-c', script, env={'PATH': f'{self.bin}:/usr/bin:/bin'})

    def called(self, name: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(name)]

    def test_nothing_is_said_where_nothing_is_missing(self) -> None:
        self.program('dpkg-query', 'echo install ok installed')
        self.assertEqual('', self.prepare('test'))

    def test_what_is_missing_is_installed(self) -> None:
        self.program('dpkg-query', f'[ -e {self.bin}/done ] && echo install ok installed')
        self.program('id', 'echo 0')
        self.program('apt-get', f'[ "$1" = update ] || touch {self.bin}/done')
        self.assertIn('Installing Debian packages: python3-venv qemu-utils', self.prepare())
        (update, install) = self.called('apt-get')
        self.assertIn('qemu-utils', install)
        self.assertNotIn('xorriso', install)
        self.assertIn('update', update)

    def test_the_tests_want_more(self) -> None:
        self.program('dpkg-query', 'exit 1')
        self.program('id', 'echo 0')
        self.program('apt-get', '')
        said = self.prepare('test')
        self.assertIn('xorriso', said)
        self.assertIn('qemu-utils', said)

    def test_a_user_who_may_not_is_told_the_names_and_the_loss(self) -> None:
        self.program('dpkg-query', 'exit 1')
        self.program('id', 'echo 1000')
        self.program('sudo', 'exit 1')
        self.program('apt-get', '')
        said = self.prepare()
        self.assertIn('this user cannot install them: apt-get install python3-venv qemu-utils', said)
        self.assertIn('without bubblewrap: qemu-img runs with limits but without a sandbox', said)
        self.assertEqual([], self.called('apt-get'))

    def test_one_package_that_is_not_to_be_had_does_not_keep_the_others(self) -> None:
        self.program('dpkg-query', 'exit 1')
        self.program('id', 'echo 0')
        self.program('apt-get', 'case "$*" in *bubblewrap*) exit 100 ;; esac')
        self.prepare()
        single = [line.split()[-1] for line in self.called('apt-get') if line.count('utils') == 1]
        self.assertIn('qemu-utils', single)

    def test_another_system_is_told_the_names(self) -> None:
        (self.bin / 'only').mkdir()
        script = f'PATH={self.bin}/only; source {TOOLS}/environment.sh'
        for name in ('awk', 'cut', 'paste', 'dirname'):
            (self.bin / 'only' / name).symlink_to(f'/usr/bin/{name}')
        said = commands.run(self, 'bash', '-c', f'{script}; prepare_packages "" 2>&1')
        self.assertIn('not a Debian system', said)
        self.assertIn('qemu-utils', said)
