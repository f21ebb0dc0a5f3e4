"""The pump and its sinks."""

import errno
import hashlib
import io
import os
import threading

import fixtures
import testtools

from imagepipe import errors
from imagepipe.domain import names
from imagepipe.stores import streams
from imagepipe.tests.fixtures.streams import Drip, Recorder

MIB = 1 << 20


class BoomError(Exception):
    pass


class PumpTest(testtools.TestCase):
    def test_every_sink_sees_every_byte_in_order(self):
        for size in (0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 17):
            data = os.urandom(size)
            sinks = [Recorder(), Recorder()]

            self.assertEqual(size, streams.pump(io.BytesIO(data), sinks))

            for sink in sinks:
                self.assertEqual(data, sink.data)
                self.assertEqual((1, 0), (sink.closed, sink.aborted))

    def test_small_pieces_arrive_as_whole_chunks(self):
        data = os.urandom(2 * MIB + 100)
        sink = Recorder()

        streams.pump(Drip(data, 8191), [sink])

        self.assertEqual([MIB, MIB, 100], [len(chunk) for chunk in sink.chunks])
        self.assertEqual(data, sink.data)

    def test_a_reader_that_gives_more_than_asked(self):
        data = os.urandom(7 * MIB + 3)
        sink = Recorder()

        streams.pump(Drip(data, 3 * MIB + 5, obedient=False), [sink])

        self.assertEqual(data, sink.data)
        self.assertLessEqual(max(len(chunk) for chunk in sink.chunks), MIB)

    def test_short_data_needs_no_thread(self):
        sink = Recorder()

        streams.pump(io.BytesIO(b'x' * MIB), [sink])

        self.assertEqual({threading.get_ident()}, sink.threads)

    def test_long_data_gives_each_sink_and_each_algorithm_a_thread(self):
        sinks = [Recorder(), Recorder()]
        digests = streams.Digests(['md5', 'sha512'])
        data = os.urandom(3 * MIB)

        streams.pump(io.BytesIO(data), [*sinks, digests])

        self.assertEqual(2, len(sinks[0].threads | sinks[1].threads))
        self.assertEqual(2, len(digests.split()))
        self.assertEqual(
            {'md5': hashlib.md5(data).hexdigest(), 'sha512': hashlib.sha512(data).hexdigest()},
            digests.results(),
        )

    def test_memory_is_a_few_chunks_when_a_sink_is_slow(self):
        reader = Drip(bytes(64 * MIB), MIB)
        too_far, first_write_done = threading.Event(), threading.Event()

        def watch(given):
            if given > 8 * MIB and not first_write_done.is_set():
                too_far.set()

        def give_the_reader_time():
            if not first_write_done.is_set():
                too_far.wait(0.2)
                first_write_done.set()

        reader.on_read = watch
        streams.pump(reader, [Recorder(before_write=give_the_reader_time)])

        self.assertFalse(too_far.is_set(), 'the reader ran away from a slow sink')


class PumpFailureTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        before = set(threading.enumerate())
        self.addCleanup(lambda: self.assertEqual(set(), set(threading.enumerate()) - before))

    def assert_aborted_once(self, *sinks):
        self.assertEqual([1] * len(sinks), [sink.aborted for sink in sinks])

    def test_a_sink_that_fails_ends_the_transfer(self):
        for size in (10, 64 * MIB):
            good, bad = Recorder(), Recorder(fail_at_write=BoomError())

            self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(size)), [good, bad])

            self.assert_aborted_once(good, bad)
            self.assertEqual((0, 0), (good.closed, bad.closed))

    def test_after_a_failure_the_rest_is_not_read(self):
        reader = Drip(bytes(256 * MIB), MIB)

        self.assertRaises(BoomError, streams.pump, reader, [Recorder(fail_at_write=BoomError())])

        self.assertLess(reader.given, 256 * MIB)

    def test_a_sink_that_fails_while_another_one_is_full(self):
        gate = threading.Event()
        slow, bad = Recorder(gate=gate), Recorder(fail_at_write=BoomError(), before_failing=gate.set)

        self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(64 * MIB)), [slow, bad])

        self.assert_aborted_once(slow, bad)

    def test_a_sink_that_fails_in_close_aborts_those_already_closed(self):
        for size in (10, 8 * MIB):
            good, bad = Recorder(), Recorder(fail_at_close=BoomError())

            self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(size)), [good, bad])

            self.assert_aborted_once(good, bad)

    def test_a_reader_that_fails(self):
        for fail_at in (0, 10, 8 * MIB):
            sink = Recorder()

            self.assertRaises(
                BoomError,
                streams.pump,
                Drip(bytes(16 * MIB), MIB, fail_at=fail_at, error=BoomError()),
                [sink],
            )

            self.assert_aborted_once(sink)
            self.assertEqual(0, sink.closed)

    def test_progress_sees_the_bytes_and_cancels(self):
        seen = []
        sink = Recorder()

        def progress(total):
            seen.append(total)
            if total >= 3 * MIB:
                raise BoomError

        self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(9 * MIB)), [sink], progress=progress)

        self.assertEqual([MIB, 2 * MIB, 3 * MIB], seen)
        self.assert_aborted_once(sink)
        self.assertEqual(0, sink.closed)

    def test_more_than_the_limit(self):
        for limit in (0, 5, 2 * MIB):
            sink = Recorder()
            reader = Drip(bytes(limit + 1), 4096)

            self.assertRaises(errors.SizeCapExceeded, streams.pump, reader, [sink], limit=limit)

            self.assert_aborted_once(sink)
        self.assertEqual(2 * MIB, streams.pump(io.BytesIO(bytes(2 * MIB)), [Recorder()], limit=2 * MIB))

    def test_an_abort_that_raises_does_not_keep_others_from_theirs(self):
        bad, good = Recorder(fail_at_write=BoomError(), fail_at_abort=ValueError()), Recorder()

        self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(4 * MIB)), [bad, good])

        self.assert_aborted_once(bad, good)

    def test_the_first_error_is_the_one_that_is_raised(self):
        first = Recorder(fail_at_write=BoomError('first'))
        second = Recorder(fail_at_close=BoomError('second'))

        error = self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(4 * MIB)), [first, second])

        self.assertEqual('first', str(error))


class FileSinkTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.root, 'data')

    def test_the_file_holds_the_data(self):
        data = os.urandom(3 * MIB + 1)

        streams.pump(io.BytesIO(data), [streams.FileSink(self.path)])

        with open(self.path, 'rb') as file:
            self.assertEqual(data, file.read())
        self.assertEqual(0, os.stat(self.path).st_mode & 0o137)

    def test_a_failed_transfer_leaves_no_file(self):
        for size in (1, 3 * MIB):
            sinks = [streams.FileSink(self.path), Recorder(fail_at_close=BoomError())]

            self.assertRaises(BoomError, streams.pump, io.BytesIO(bytes(size)), sinks)

            self.assertEqual([], os.listdir(self.root))

    def test_an_existing_file_is_not_touched(self):
        with open(self.path, 'wb') as file:
            file.write(b'theirs')

        self.assertRaises(errors.StagingUnavailable, streams.FileSink, self.path)

        with open(self.path, 'rb') as file:
            self.assertEqual(b'theirs', file.read())

    def test_a_directory_that_is_missing(self):
        self.assertRaises(errors.StagingUnavailable, streams.FileSink, self.path + '/no/such')

    def test_no_room_is_the_error_the_caller_chose(self):
        sink = streams.FileSink(self.path, translate=lambda error: errors.StoreFull(store=error.errno))
        replacement = os.open('/dev/full', os.O_WRONLY)
        os.dup2(replacement, sink._fd)
        os.close(replacement)

        error = self.assertRaises(errors.StoreFull, streams.pump, io.BytesIO(b'x'), [sink])
        self.assertEqual(errno.ENOSPC, error.facts['store'])
        self.assertEqual([], os.listdir(self.root))


class StagedFileTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path

    def test_reads_the_file(self):
        path = os.path.join(self.root, 'data')
        with open(path, 'wb') as file:
            file.write(b'0123456789')

        with streams.StagedFile(path) as staged:
            self.assertEqual((10, path), (staged.size, str(staged.path)))
            self.assertEqual([b'0123', b'456789', b''], [staged.read(4), staged.read(), staged.read()])

    def test_a_file_that_is_gone_was_lost(self):
        name = names.object_name('image-1', 'import-1', 1, 'data')

        error = self.assertRaises(errors.StagingLost, streams.StagedFile, os.path.join(self.root, name))

        self.assertIn('image-1', str(error))

    def test_what_cannot_be_opened_is_unavailable(self):
        with open(os.path.join(self.root, 'file'), 'wb'):
            pass

        self.assertRaises(errors.StagingUnavailable, streams.StagedFile, os.path.join(self.root, 'file', 'x'))
