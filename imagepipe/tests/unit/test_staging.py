"""Staging in a directory."""

import io
import os

import fixtures
import testtools

from imagepipe import errors
from imagepipe.stores import streams
from imagepipe.stores.staging import StagingDirectory
from imagepipe.tests.fixtures import stores


class StagingTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.useFixture(fixtures.TempDir()).path, 'deep', 'staging')
        self.staging = StagingDirectory(self.root)

    def stage(self, name, data=b'data'):
        streams.pump(io.BytesIO(data), [self.staging.sink(name)])

    def test_what_was_staged_is_read_back(self):
        self.stage('a.b.1.data', b'0123456789')

        with self.staging.open('a.b.1.data') as staged:
            self.assertEqual((10, b'0123456789'), (staged.size, staged.read()))
        self.assertEqual(['a.b.1.data'], list(self.staging.names()))

    def test_new_removes_what_an_earlier_run_left(self):
        self.stage('a.b.1.data')
        os.makedirs(self.staging.path('a.b.1.work') / 'deep')

        self.assertFalse(self.staging.new('a.b.1.data').exists())
        self.assertFalse(self.staging.new('a.b.1.work').exists())

    def test_discard_is_total(self):
        self.stage('a.b.1.data')
        os.makedirs(self.staging.path('a.b.1.work') / 'deep')

        for _ in range(2):
            self.staging.discard('a.b.1.data')
            self.staging.discard('a.b.1.work')

        self.assertEqual([], os.listdir(self.root))

    def test_names_are_listed_by_prefix_and_hidden_files_are_not_ours(self):
        for name in ('a.b.1.data', 'a.b.2.data', 'a.c.1.data', '.nfs0001'):
            if name.startswith('.'):
                with open(os.path.join(self.root, name), 'wb'):
                    continue
            self.stage(name)

        self.assertEqual(['a.b.1.data', 'a.b.2.data'], list(self.staging.names('a.b.')))
        self.assertEqual(3, len(list(self.staging.names())))

    def test_names_that_would_leave_the_directory_are_refused(self):
        for name in ('', '.', '..', '../x', 'a/b', '/etc/passwd', '.hidden', 'a\0b', 'a\n', 'x' * 201):
            self.assertRaises(ValueError, self.staging.path, name)
            self.assertRaises(ValueError, self.staging.discard, name)

    def test_a_symbolic_link_is_never_followed(self):
        os.makedirs(self.root)
        os.symlink('/etc/passwd', os.path.join(self.root, 'link'))

        self.assertRaises(errors.StagingUnavailable, self.staging.identity, 'link')
        self.staging.discard('link')

        self.assertTrue(os.path.exists('/etc/passwd'))

    def test_the_identity_changes_with_the_bytes(self):
        self.assertIsNone(self.staging.identity('a'))
        self.stage('a', b'one')
        first = self.staging.identity('a')
        self.assertEqual(first, self.staging.identity('a'))

        with open(self.staging.path('a'), 'r+b') as file:
            file.write(b'two')

        self.assertEqual({'inode', 'size', 'mtime_ns'}, set(first))
        self.assertNotEqual(first, self.staging.identity('a'))

    def test_the_age_is_that_of_the_last_write(self):
        self.stage('a')
        found = os.stat(self.staging.path('a'))
        os.utime(self.staging.path('a'), (found.st_atime - 3600, found.st_mtime - 3600))

        self.assertGreaterEqual(self.staging.age('a'), 3600)
        self.assertLess(self.staging.age('a'), 3700)
        self.assertIsNone(self.staging.age('absent'))

    def test_free_bytes_stay_within_the_capacity(self):
        self.staging.check()
        self.assertGreater(self.staging.free_bytes(), 0)
        capped = StagingDirectory(self.root, capacity=1 << 20)

        self.stage('a', os.urandom(512 << 10))

        self.assertLessEqual(capped.free_bytes(), 512 << 10)
        self.stage('b', os.urandom(1 << 20))
        self.assertEqual(0, capped.free_bytes())

    def test_check_leaves_nothing(self):
        self.staging.check()

        self.assertEqual([], os.listdir(self.root))


class FullStagingTest(testtools.TestCase):
    def test_no_room_is_its_own_error_and_leaves_nothing(self):
        driver = self.useFixture(stores.TinyFile(self))
        staging = StagingDirectory(driver.root / 'images')

        self.assertRaises(
            errors.StagingFull, streams.pump, io.BytesIO(os.urandom(2 << 20)), [staging.sink('a')]
        )

        self.assertEqual([], list(staging.names()))
        self.assertLess(staging.free_bytes(), 2 << 20)


class BrokenStagingTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        blocked = os.path.join(self.useFixture(fixtures.TempDir()).path, 'file')
        with open(blocked, 'wb'):
            pass
        self.staging = StagingDirectory(os.path.join(blocked, 'staging'))

    def test_every_use_says_unavailable(self):
        for use in (
            self.staging.check,
            self.staging.free_bytes,
            self.staging.used_bytes,
            self.staging.names,
            lambda: self.staging.new('a'),
            lambda: self.staging.sink('a'),
            lambda: self.staging.open('a'),
            lambda: self.staging.discard('a'),
            lambda: self.staging.identity('a'),
            lambda: self.staging.age('a'),
        ):
            self.assertRaises(errors.StagingUnavailable, use)

    def test_a_directory_that_was_never_made_has_no_listing(self):
        staging = StagingDirectory(os.path.join(self.useFixture(fixtures.TempDir()).path, 'never'))

        self.assertRaises(errors.StagingUnavailable, staging.names)
