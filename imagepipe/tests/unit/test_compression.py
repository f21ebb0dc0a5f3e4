"""Decompression: the same bytes come out, or an error; never more than the caps, never much memory."""

import bz2
import gc
import gzip
import io
import lzma
import pathlib
import random
import tempfile
import tracemalloc
import zipfile
import zlib

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from imagepipe import errors
from imagepipe.formats import compression, zip_member
from imagepipe.formats.compression import Caps, Decompressor, detect, open_compressed
from imagepipe.tests.fixtures import images

MIB = 1024 * 1024
WIDE = Caps(max_bytes=1 << 40)
NOISE = random.Random(1).randbytes(MIB)
PACK = {'gzip': gzip.compress, 'bzip2': bz2.compress, 'xz': lzma.compress}


def unpacked(data: bytes, kind: str, caps: Caps = WIDE, size: int = -1) -> bytes:
    reader = Decompressor(io.BytesIO(data), kind, caps=caps)
    if size < 0:
        return reader.read()
    return b''.join(iter(lambda: reader.read(size), b''))


class Streams(testtools.TestCase):
    def failed(self, data: bytes, kind: str) -> None:
        self.assertRaises(errors.DecompressionFailed, unpacked, data, kind)

    def test_what_was_packed_comes_out(self):
        for kind, pack in PACK.items():
            for content in (b'', b'x', NOISE, bytes(5 * MIB)):
                self.assertEqual(content, unpacked(pack(content), kind))

    def test_reads_are_no_longer_than_asked(self):
        for kind, pack in PACK.items():
            content = NOISE[:3000]
            self.assertEqual(content, unpacked(pack(content), kind, size=1))
            reader = Decompressor(io.BytesIO(pack(bytes(8 * MIB))), kind, caps=WIDE)
            self.assertGreaterEqual(1000, len(reader.read(1000)))
            self.assertEqual(b'', reader.read(0))

    def test_a_source_that_gives_little_at_a_time(self):
        class Drip(io.BytesIO):
            def read(self, size=-1):
                return super().read(min(size, 7))

        for kind, pack in PACK.items():
            reader = Decompressor(Drip(pack(NOISE[:9000])), kind, caps=WIDE)
            self.assertEqual(NOISE[:9000], reader.read())

    def test_truncated_anywhere(self):
        for kind, pack in PACK.items():
            data = pack(NOISE[:2000])
            for length in [*range(0, 40), len(data) // 2, *range(len(data) - 12, len(data))]:
                self.failed(data[:length], kind)

    def test_damaged(self):
        for kind, pack in PACK.items():
            data = bytearray(pack(NOISE[:2000]))
            data[len(data) // 2] ^= 0xFF
            self.failed(bytes(data), kind)

    def test_what_it_is_not(self):
        for kind in PACK:
            self.failed(NOISE, kind)

    def test_several_members_and_other_data_behind(self):
        for kind, pack in PACK.items():
            self.failed(pack(b'one') + pack(b'two'), kind)
            self.failed(pack(b'one') + b'hidden', kind)
            self.failed(pack(b'one') + bytes(200_000) + b'hidden', kind)

    def test_padding_behind(self):
        for kind, pack in PACK.items():
            self.assertEqual(b'one', unpacked(pack(b'one') + bytes(200_000), kind))

    def test_an_absolute_cap(self):
        for kind, pack in PACK.items():
            self.assertEqual(NOISE, unpacked(pack(NOISE), kind, Caps(max_bytes=MIB)))
            self.assertRaises(errors.DecompressionBomb, unpacked, pack(NOISE), kind, Caps(max_bytes=MIB - 1))

    def test_a_ratio(self):
        for kind, pack in PACK.items():
            bomb = pack(bytes(8 * MIB))
            caps = Caps(max_bytes=1 << 40, max_ratio=250, ratio_floor=MIB)
            self.assertRaises(errors.DecompressionBomb, self.drain, bomb, kind, caps)
            self.assertEqual(8 * MIB, self.drain(bomb, kind, WIDE))

    def test_small_and_empty_images_are_no_bombs(self):
        for kind, pack in PACK.items():
            caps = Caps(max_bytes=1 << 40, max_ratio=2, ratio_floor=4 * MIB)
            self.assertEqual(4 * MIB, self.drain(pack(bytes(4 * MIB)), kind, caps))
            self.assertEqual(64 * MIB, Caps(max_bytes=1).ratio_floor)

    def test_memory_is_bounded(self):
        for kind, pack in PACK.items():
            # xz also keeps its dictionary, up to XZ_MEMORY
            bomb = pack(bytes(16 * MIB)) if kind != 'xz' else lzma.compress(bytes(16 * MIB), preset=0)
            gc.collect()
            tracemalloc.start()
            try:
                self.drain(bomb, kind, WIDE)
                self.assertLess(tracemalloc.get_traced_memory()[1], 8 * MIB, kind)
            finally:
                tracemalloc.stop()

    def drain(self, data: bytes, kind: str, caps: Caps) -> int:
        reader = Decompressor(io.BytesIO(data), kind, caps=caps)
        return sum(len(piece) for piece in iter(lambda: reader.read(MIB), b''))

    def test_an_xz_that_asks_for_gigabytes(self):
        filters = [{'id': lzma.FILTER_LZMA2, 'preset': 0, 'dict_size': 1 << 30}]
        packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=[{**filters[0], 'dict_size': 1 << 16}])
        data = bytearray(packer.compress(b'x' * 1000) + packer.flush())
        # dictionary size of the block header, and its CRC behind it
        at = data.index(b'\x21\x01', 12) + 2
        data[at] = 37
        end = 12 + (data[12] + 1) * 4
        data[end - 4 : end] = zlib.crc32(bytes(data[12 : end - 4])).to_bytes(4, 'little')
        self.failed(bytes(data), 'xz')

    def test_zstd_is_recognised_and_refused(self):
        error = self.assertRaises(errors.DecompressionFailed, unpacked, b'\x28\xb5\x2f\xfd', 'zstd')
        self.assertIn('zstd', error.message)

    def test_detection(self):
        for kind, pack in PACK.items():
            for content in (b'', NOISE):
                self.assertEqual(kind, detect(pack(content)[: compression.MAGIC_LENGTH]))
        self.assertEqual('zip', detect(b'PK\x03\x04'))
        self.assertEqual('zstd', detect(b'\x28\xb5\x2f\xfd'))
        for head in (b'', b'\x1f', b'BZh9', b'BZhello, world', b'PK\x05\x06', NOISE):
            self.assertIsNone(detect(head), head[:10])


class Files(testtools.TestCase):
    """open_compressed over real images and archives."""

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix='imagepipe-test-')
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name) / 'archive'

    def read(self, path: pathlib.Path, kind: str, caps: Caps = WIDE) -> int:
        reader = open_compressed(path, kind, caps=caps)
        try:
            return sum(len(piece) for piece in iter(lambda: reader.read(MIB), b''))
        finally:
            reader.close()

    def test_compressed_images(self):
        images.needs(self, *images.COMPRESSED)
        for kind, how in images.COMPRESSED.items():
            reader = open_compressed(images.built(kind), how, caps=WIDE)
            self.assertEqual(images.content(kind.split('.', maxsplit=1)[0]), reader.read(), kind)
            reader.close()

    def test_bombs(self):
        caps = Caps(max_bytes=1 << 40, max_ratio=250)
        for suffix, how in (('gz', 'gzip'), ('bz2', 'bzip2'), ('xz', 'xz'), ('zip', 'zip')):
            bomb = images.built(f'bomb.{suffix}')
            self.assertRaises(errors.DecompressionBomb, self.read, bomb, how, caps)
            self.assertRaises(errors.DecompressionBomb, self.read, bomb, how, Caps(max_bytes=100 * MIB))

    def test_stumps_and_damage(self):
        images.needs(self)
        for kind in ('truncated.gz', 'truncated.bz2', 'truncated.xz', 'truncated.zip', 'corrupt.gz',
                     'corrupt.zip', 'two.gz', 'two.zip'):  # fmt: skip
            how = {'gz': 'gzip', 'bz2': 'bzip2'}.get(kind.split('.')[1], kind.split('.')[1])
            self.assertRaises(errors.DecompressionFailed, self.read, images.built(kind), how)

    def zipped(self, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b'', zip64: bool = False) -> None:
        with zipfile.ZipFile(self.path, 'w', method) as archive:
            archive.comment = comment
            with archive.open('disk', 'w', force_zip64=zip64) as member:
                member.write(NOISE)

    def test_zips_of_all_sorts(self):
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            for comment in (b'', b'PK\x05', bytes(60000)):
                for zip64 in (False, True):
                    self.zipped(method, comment, zip64)
                    reader = open_compressed(self.path, 'zip', caps=WIDE)
                    self.assertEqual(NOISE, reader.read())
                    reader.close()

    def test_a_zip_written_to_a_pipe(self):
        """Sizes stand behind the data then."""

        class Pipe(io.BytesIO):
            def seekable(self):
                return False

        pipe = Pipe()
        with zipfile.ZipFile(pipe, 'w', zipfile.ZIP_DEFLATED) as archive, archive.open('d', 'w') as member:
            member.write(NOISE)
        self.path.write_bytes(pipe.getvalue())
        self.assertEqual(MIB, self.read(self.path, 'zip'))

    def test_zips_that_are_refused(self):
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self.zipped(method)
            self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')
        with zipfile.ZipFile(self.path, 'w'):
            """No member."""
        self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')
        self.zipped()
        data = bytearray(self.path.read_bytes())
        data[data.rindex(b'PK\x01\x02') + 8] |= zip_member.ENCRYPTED
        self.path.write_bytes(data)
        self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')

    def test_zips_cut_anywhere(self):
        self.zipped(zip64=True)
        data = self.path.read_bytes()
        end = data.rindex(b'PK\x01\x02')
        for length in [*range(40), *range(end, len(data))]:
            self.path.write_bytes(data[:length])
            self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')
            # and with the mark of the end at the very end
            self.path.write_bytes(data[:length] + b'PK\x05\x06')
            self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')

    def test_a_zip_that_lies_about_its_size(self):
        self.zipped()
        data = bytearray(self.path.read_bytes())
        at = data.rindex(b'PK\x01\x02') + 24
        data[at : at + 4] = (MIB - 1).to_bytes(4, 'little')
        self.path.write_bytes(data)
        self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')

    def test_a_stored_member_is_capped_too(self):
        self.zipped(zipfile.ZIP_STORED)
        self.assertRaises(errors.DecompressionBomb, self.read, self.path, 'zip', Caps(max_bytes=MIB - 1))

    def test_a_directory_of_gigabytes_is_not_read(self):
        self.zipped()
        data = bytearray(self.path.read_bytes())
        with open(self.path, 'wb') as file:
            file.write(data[:-22])
            file.seek(1 << 30)
            end = bytearray(data[-22:])
            end[12:16] = (1 << 30).to_bytes(4, 'little')
            end[16:20] = bytes(4)
            file.write(end)
        tracemalloc.start()
        try:
            self.assertRaises(errors.DecompressionFailed, self.read, self.path, 'zip')
            self.assertLess(tracemalloc.get_traced_memory()[1], 4 * MIB)
        finally:
            tracemalloc.stop()

    def test_an_unknown_kind_leaves_no_file_open(self):
        self.path.write_bytes(b'\x28\xb5\x2f\xfd')
        self.assertRaises(errors.DecompressionFailed, open_compressed, self.path, 'zstd', caps=WIDE)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(
        changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=5),
        length=st.integers(0, 400),
        front=st.booleans(),
    )
    def test_any_zip(self, changes, length, front):
        """Mutated archives unpack or fail with our errors."""
        buffer = io.BytesIO()
        archive = zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED)
        with archive, archive.open('disk', 'w', force_zip64=front) as member:
            member.write(b'some text, some text')
        data = bytearray(buffer.getvalue())
        for at, value in changes:
            data[at : at + len(value)] = value
        self.path.write_bytes(data[:length] if front else data)
        try:
            self.read(self.path, 'zip', Caps(max_bytes=MIB, max_ratio=10))
        except (errors.DecompressionFailed, errors.DecompressionBomb):
            return
