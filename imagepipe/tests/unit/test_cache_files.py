"""The files of the image cache: who may write one, and which one is a copy."""

import hashlib
import pathlib

import fixtures
import testtools

from imagepipe import errors
from imagepipe.cache.files import CacheDirectory, NewCopy

DATA = b'the data of an image'
SIZE = len(DATA)
DIGEST = ('sha512', hashlib.sha512(DATA).hexdigest())


class FilesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.files = CacheDirectory(self.root)
        self.files.prepare()

    def begin(self, *, size=SIZE, digest=DIGEST):
        copy = NewCopy(self.files, 'an-image', self.files.begin('an-image', size), size=size, digest=digest)
        self.addCleanup(copy.abort)
        return copy

    def left(self):
        return sorted(
            path.relative_to(self.root).as_posix() for path in self.root.rglob('*') if path.is_file()
        )

    def test_one_writes_and_then_there_is_a_copy(self):
        copy = self.begin()
        self.assertIsNone(self.files.begin('an-image', len(DATA)))
        self.assertIsNone(self.files.open('an-image'))
        copy.write(DATA)
        copy.close()
        self.assertIsNone(self.files.begin('an-image', len(DATA)))
        self.assertEqual(['an-image'], self.left())
        with self.files.open('an-image') as found:
            self.assertEqual(DATA, found.read())
        self.assertEqual({'an-image': len(DATA)}, self.files.complete())

    def test_what_does_not_fit_is_no_copy(self):
        """Of a size that is wrong in the database the digest says nothing."""
        for size, digest, error in (
            (len(DATA) + 1, DIGEST, errors.ExpectedSizeMismatch),
            (len(DATA) - 1, DIGEST, errors.ExpectedSizeMismatch),
            (len(DATA), ('md5', DIGEST[1]), errors.DigestMismatch),
        ):
            copy = self.begin(size=size, digest=digest)
            copy.write(DATA)
            self.assertRaises(error, copy.close)
            copy.abort()
            self.assertEqual([], self.left())

    def test_whoever_stood_still_too_long_spoils_nothing_of_his_successor(self):
        first = self.begin()
        first.write(DATA)
        self.assertEqual(1, self.files.clean(-1))
        second = self.begin()
        self.assertRaises(errors.StoreTransient, first.close)
        first.abort()
        self.assertEqual(['incomplete/an-image'], self.left())
        second.write(DATA)
        second.close()
        self.assertEqual(['an-image'], self.left())

    def test_names_that_lead_elsewhere(self):
        (self.root / 'link').symlink_to('/etc/passwd')
        for name in ('../x', '.room.lock', '', 'link', 'incomplete'):
            self.assertIsNone(self.files.open(name), name)
        for name in ('../x', '.room.lock', ''):
            self.assertIsNone(self.files.begin(name, 1), name)
        self.assertEqual({}, self.files.complete())
