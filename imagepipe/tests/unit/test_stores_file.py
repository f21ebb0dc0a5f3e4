"""The file store: taking files over, copying, replacing, several directories, faults."""

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import fixtures
import testtools

from imagepipe import errors
from imagepipe.stores import copying
from imagepipe.stores.file import UNFINISHED, Datadir, FileStore
from imagepipe.stores.streams import StagedFile
from imagepipe.tests.fixtures import stores
from imagepipe.tests.fixtures.streams import Drip

MIB = 1 << 20
NAME = 'image.import.1.data'


class FileStoreCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = Path(self.useFixture(fixtures.TempDir()).path)
        self.store = self.make(self.root / 'images')

    def make(self, *paths, **options):
        store = FileStore('fast', [Datadir(Path(path)) for path in paths], **options)
        store.prepare()
        return store

    def staged(self, data=b'staged', **options):
        path = self.root / f'staged-{len(os.listdir(self.root))}'
        path.write_bytes(data)
        reader = StagedFile(path, **options)
        self.addCleanup(reader.close)
        return reader

    def path(self, url):
        return Path(url.removeprefix('file://'))

    def unfinished(self):
        return os.listdir(self.root / 'images' / UNFINISHED)


class TakeOverTest(FileStoreCase):
    def test_a_staged_file_becomes_the_object_without_a_copy(self):
        staged = self.staged()

        path = self.path(self.store.put(NAME, staged, 6))

        self.assertTrue(path.samefile(staged.path))
        self.assertEqual([], self.unfinished())

    def test_put_again_is_a_success_with_the_same_file(self):
        staged = self.staged()
        first = self.store.put(NAME, staged, 6)

        self.assertEqual(first, self.store.put(NAME, staged, 6))

        self.assertEqual(2, self.path(first).stat().st_nlink)
        self.assertEqual([], self.unfinished())

    def test_another_file_of_the_same_name_is_replaced(self):
        old = self.store.open(self.store.put(NAME, io.BytesIO(b'old'), 3))
        self.addCleanup(old.close)

        url = self.store.put(NAME, self.staged(b'new'), 3)

        self.assertEqual(b'new', self.path(url).read_bytes())
        self.assertEqual(b'old', old.read(), 'a reader keeps the object that it opened')

    def test_the_object_outlives_the_staged_file(self):
        staged = self.staged(b'data')
        url = self.store.put(NAME, staged, 4)

        staged.path.unlink()

        self.assertEqual(b'data', self.store.open(url).read())

    def test_a_file_replaced_after_it_was_opened_is_not_taken_for_it(self):
        staged = self.staged(b'right')
        other = self.root / 'other'
        other.write_bytes(b'wrong')
        other.rename(staged.path)

        url = self.store.put(NAME, staged, 5)

        self.assertEqual(b'right', self.path(url).read_bytes())

    def test_the_mode_is_that_of_the_option(self):
        store = self.make(self.root / 'images', file_perm=0o644)

        for stream in (self.staged(), io.BytesIO(b'stream')):
            self.assertEqual(0o644, self.path(store.put(NAME, stream, 6)).stat().st_mode & 0o777)

    def test_progress_is_told_once_all_bytes_are_there(self):
        seen = []

        self.store.put(NAME, self.staged(progress=seen.append), 6)

        self.assertEqual(6, seen[-1])


class OtherFileSystemTest(FileStoreCase):
    """Staging on another file system, where no link is possible."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('os.link', self.refuse))
        self.data = os.urandom(3 * MIB) + bytes(5 * MIB) + os.urandom(100)

    def refuse(self, *args, **kwargs):
        raise OSError(errno.EXDEV, 'another file system')

    def put_and_compare(self):
        seen = []
        url = self.store.put(NAME, self.staged(self.data, progress=seen.append), len(self.data))
        self.assertEqual(self.data, self.path(url).read_bytes())
        self.assertEqual(len(self.data), seen[-1])
        self.assertEqual(sorted(seen), seen)
        self.assertEqual([], self.unfinished())
        return self.path(url)

    def test_it_is_copied(self):
        self.put_and_compare()

    def test_without_help_of_the_kernel(self):
        def refuse(*args):
            raise OSError(errno.EOPNOTSUPP, 'not here')

        self.useFixture(fixtures.MonkeyPatch('os.copy_file_range', refuse))
        self.put_and_compare()

    def test_holes_stay_holes(self):
        staged = self.staged(b'x')
        with open(staged.path, 'r+b') as file:
            file.truncate(256 * MIB)
        with StagedFile(staged.path) as sparse:
            path = self.path(self.store.put(NAME, sparse, 256 * MIB))

        self.assertEqual(256 * MIB, path.stat().st_size)
        self.assertLess(path.stat().st_blocks * 512, MIB)

    def test_a_cancelled_copy_leaves_nothing(self):
        def cancel(done):
            raise errors.ImportCancelled

        self.assertRaises(
            errors.ImportCancelled,
            self.store.put,
            NAME,
            self.staged(self.data, progress=cancel),
            len(self.data),
        )
        self.assertEqual([], list(self.store.names()))

    def test_a_source_that_shrinks_is_no_success(self):
        self.useFixture(fixtures.MonkeyPatch('os.copy_file_range', lambda *args: 0))
        staged = self.staged(self.data)
        os.truncate(staged.path, 10)

        self.assertRaises(errors.StoreTransient, self.store.put, NAME, staged, len(self.data))
        self.assertEqual([], list(self.store.names()))


class StreamTest(FileStoreCase):
    def test_thin_leaves_zeros_out(self):
        data = os.urandom(MIB) + bytes(16 * MIB)
        thin = self.make(self.root / 'images', thin=True)

        path = self.path(thin.put(NAME, io.BytesIO(data), len(data)))

        self.assertEqual(data, path.read_bytes())
        self.assertLess(path.stat().st_blocks * 512, 3 * MIB)

    def test_nothing_shows_under_the_name_before_it_is_complete(self):
        listed = []
        stream = Drip(bytes(8 * MIB), MIB)
        stream.on_read = lambda given: listed.append((self.root / 'images' / NAME).exists())

        self.store.put(NAME, stream, 8 * MIB)

        self.assertEqual({False}, set(listed))

    def test_the_same_name_twice_at_once(self):
        first, second = b'1' * 4 * MIB, b'2' * 4 * MIB
        meet = threading.Barrier(2)
        urls = []

        def put(data):
            stream = Drip(data, MIB)
            stream.on_read = lambda given: given == 2 * MIB and meet.wait(30)
            urls.append(self.store.put(NAME, stream, len(data)))

        threads = [threading.Thread(target=put, args=(data,)) for data in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(2, len(urls))
        self.assertIn(self.path(urls[0]).read_bytes(), (first, second))
        self.assertEqual([], self.unfinished())

    def test_the_same_name_from_several_processes(self):
        script = (
            'import io, sys\n'
            'from pathlib import Path\n'
            'from imagepipe.stores.file import Datadir, FileStore\n'
            'store = FileStore("fast", [Datadir(Path(sys.argv[1]))])\n'
            'sys.stdin.read()\n'
            'for _ in range(20):\n'
            '    store.put(sys.argv[2], io.BytesIO(sys.argv[3].encode() * 100000), 100000)\n'
        )
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', script, self.root / 'images', NAME, mark], stdin=subprocess.PIPE
            )
            for mark in 'abc'
        ]
        for process in processes:
            process.stdin.close()

        self.assertEqual([0, 0, 0], [process.wait() for process in processes])

        data = self.store.open(f'file://{self.root}/images/{NAME}').read()
        self.assertIn(data, [mark * 100000 for mark in (b'a', b'b', b'c')])
        self.assertEqual([], self.unfinished())

    def test_a_killed_process_leaves_parts_that_are_named_and_discarded(self):
        script = (
            'import sys\n'
            'from pathlib import Path\n'
            'from imagepipe.stores.file import Datadir, FileStore\n'
            'class Stream:\n'
            '    def __init__(self): self.left = 3\n'
            '    def read(self, size=-1):\n'
            '        self.left -= 1\n'
            '        if self.left < 0: print("written", flush=True); sys.stdin.read()\n'
            '        return bytes(1 << 20)\n'
            'FileStore("fast", [Datadir(Path(sys.argv[1]))]).put(sys.argv[2], Stream(), None)\n'
        )
        process = subprocess.Popen(
            [sys.executable, '-c', script, self.root / 'images', NAME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.assertEqual(b'written\n', process.stdout.readline())
        process.kill()
        process.wait()

        self.assertEqual(1, len(self.unfinished()))
        self.assertEqual([NAME], list(self.store.names()))
        self.assertRaises(errors.StoreObjectMissing, self.store.open, f'file://{self.root}/images/{NAME}')
        self.store.discard(NAME)

        self.assertEqual([], self.unfinished())


class UrlTest(FileStoreCase):
    def test_only_what_lies_in_the_store_is_opened(self):
        (self.root / 'secret').write_bytes(b'secret')
        (self.root / 'images-of-others').mkdir()
        (self.root / 'images-of-others' / 'x').write_bytes(b'secret')
        images = self.root / 'images'
        (images / 'link').symlink_to(self.root / 'secret')
        (images / 'folder').symlink_to(self.root)
        (images / UNFINISHED / 'x~1').write_bytes(b'part')
        os.mkfifo(images / 'pipe')

        for path in (
            '/etc/passwd',
            f'{images}/../secret',
            f'{images}/link',
            f'{images}/folder/secret',
            f'{images}-of-others/x',
            f'{images}/{UNFINISHED}/x~1',
            f'{images}/pipe',
            f'{images}/.',
            f'{images}',
            'images/x',
            f'{images}/x\0y',
        ):
            for use in (self.store.open, self.store.size):
                self.assertRaises(errors.StorePermanent, use, f'file://{path}')
        self.assertRaises(errors.StorePermanent, self.store.delete, f'file://{self.root}/secret')
        self.assertTrue((self.root / 'secret').exists())

    def test_a_data_directory_behind_a_link(self):
        (self.root / 'alias').symlink_to(self.root / 'images')
        store = self.make(self.root / 'alias')

        url = store.put(NAME, io.BytesIO(b'data'), 4)

        self.assertEqual(b'data', store.open(url).read())
        self.assertEqual(b'data', self.store.open(url.replace('alias', 'images')).read())

    def test_names_that_are_no_file_names(self):
        for name in ('', '.', '..', '../x', 'a/b', '.hidden', 'a~b', 'a\0b'):
            self.assertRaises(ValueError, self.store.put, name, io.BytesIO(b''), 0)
            self.assertRaises(ValueError, self.store.discard, name)

    def test_the_reader_is_a_file_for_the_server(self):
        reader = self.store.open(self.store.put(NAME, io.BytesIO(b'0123456789'), 10), 4)
        self.addCleanup(reader.close)

        self.assertEqual(b'456789', os.read(reader.fileno(), 100))
        reader.seek(2)
        self.assertEqual((2, b'23'), (reader.tell(), reader.read(2)))


class OutageTest(FileStoreCase):
    """A data directory that is not there is an outage, never an empty store."""

    def setUp(self):
        super().setUp()
        self.url = self.store.put(NAME, io.BytesIO(b'data'), 4)
        (self.root / 'images').rename(self.root / 'unmounted')

    def test_nothing_is_missing_while_it_is_away(self):
        for use in (
            lambda: self.store.open(self.url),
            lambda: self.store.size(self.url),
            lambda: self.store.delete(self.url),
            lambda: self.store.discard(NAME),
            lambda: self.store.put(NAME, io.BytesIO(b'x'), 1),
            lambda: self.store.put(NAME, self.staged(), 6),
            self.store.check,
        ):
            self.assertRaises(errors.StoreTransient, use)

    def test_a_listing_fails_instead_of_being_short(self):
        error = self.assertRaises(errors.ImagepipeError, self.store.names)

        self.assertIsInstance(error, errors.StoreTransient)

    def test_a_bare_mount_point_is_no_empty_store(self):
        (self.root / 'images').mkdir()
        self.test_nothing_is_missing_while_it_is_away()
        self.test_a_listing_fails_instead_of_being_short()
        self.assertEqual([], os.listdir(self.root / 'images'))
        (self.root / 'images').rmdir()
        self.test_it_works_again_without_a_restart()

    def test_it_works_again_without_a_restart(self):
        (self.root / 'unmounted').rename(self.root / 'images')

        self.assertEqual(b'data', self.store.open(self.url).read())

    def test_errno_by_errno(self):
        (self.root / 'unmounted').rename(self.root / 'images')
        for number, expected in (
            (errno.ESTALE, errors.StoreTransient),
            (errno.EIO, errors.StoreTransient),
            (errno.ETIMEDOUT, errors.StoreTransient),
            (errno.ENOSPC, errors.StoreFull),
            (errno.EDQUOT, errors.StoreFull),
            (errno.EACCES, errors.StoreDenied),
            (errno.EROFS, errors.StoreDenied),
        ):

            def fail(*args, number=number, **kwargs):
                raise OSError(number, os.strerror(number))

            with fixtures.MonkeyPatch('imagepipe.stores.file.os.fsync', fail):
                self.assertRaises(expected, self.store.put, NAME, self.staged(), 6)
            self.assertEqual([], self.unfinished())


class SeveralDirectoriesTest(FileStoreCase):
    def setUp(self):
        super().setUp()
        self.low, self.high = self.root / 'low', self.root / 'high'
        self.several = FileStore('fast', [Datadir(self.low, 1), Datadir(self.high, 2)])
        self.several.prepare()

    def test_the_highest_priority_with_room_is_taken(self):
        self.assertEqual(self.high / NAME, self.path(self.several.put(NAME, io.BytesIO(b'x'), 1)))

    def test_without_room_anywhere(self):
        self.assertRaises(errors.StoreFull, self.several.put, NAME, io.BytesIO(b'x'), 1 << 60)

    def test_the_next_directory_when_the_first_has_no_room(self):
        with fixtures.MonkeyPatch(
            'imagepipe.stores.file.Datadir.free', lambda self: 10 if self.priority == 1 else 1
        ):
            url = self.several.put(NAME, io.BytesIO(b'12345'), 5)

        self.assertEqual(self.low / NAME, self.path(url))

    def test_objects_are_found_discarded_and_replaced_in_all_of_them(self):
        (self.low / NAME).write_bytes(b'old')
        self.several.put(NAME, io.BytesIO(b'new'), 3)
        self.assertFalse((self.low / NAME).exists())
        (self.low / 'other').write_bytes(b'x')

        self.assertEqual(sorted([NAME, 'other']), list(self.several.names()))
        self.several.discard(NAME)
        self.several.discard('other')

        self.assertEqual([], list(self.several.names()))


class CopyingTest(FileStoreCase):
    def test_across_file_systems(self):
        driver = self.useFixture(stores.TinyFile(self))
        data = os.urandom(300_000)

        url = driver.store.put(NAME, driver.stream(data), len(data))

        self.assertEqual(data, driver.store.open(url).read())

    def test_extents_of_files_with_holes(self):
        for parts in ([(0, b'x')], [(MIB, b'x')], [(0, b'x'), (9 * MIB, b'y')], []):
            source, target = self.root / 'source', self.root / 'target'
            with open(source, 'wb') as file:
                for offset, data in parts:
                    file.seek(offset)
                    file.write(data)
                file.truncate(12 * MIB)
            moved = []
            with open(source, 'rb') as one, open(target, 'wb') as other:
                copying.copy(one.fileno(), other.fileno(), 12 * MIB, moved.append)

            self.assertEqual(source.read_bytes(), target.read_bytes())
            self.assertEqual(12 * MIB, sum(moved))
