"""Any bytes, in any pieces: inspection answers, quickly, and the same however they arrive."""

import itertools
import time

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from imagepipe import errors
from imagepipe.formats import inspection
from imagepipe.formats.inspection import Rules, Verdict, judge
from imagepipe.tests.fixtures import images

KINDS = ('qcow2', 'vmdk', 'vmdk-footer', 'vhd', 'vhdx', 'vdi', 'iso-plain', 'raw', 'luks1', 'vmdk-text')
#: Where the formats keep what decides.
HOT = (0, 8, 16, 60, 64, 72, 0x4C, 446, 512, 576, 1024, 32768, 65536, 131072, 196608, 262144, 1 << 20,
       2 << 20, (2 << 20) + 65536)  # fmt: skip
MAGICS = (
    b'QFI\xfb',
    b'KDMV',
    b'COWD',
    b'conectix',
    b'vhdxfile',
    b'QED\0',
    b'LUKS\xba\xbe',
    b'# x\nversion=1\n',
    b'',
)

rounds = settings(max_examples=80, deadline=None, derandomize=True, database=None)
mutations = st.lists(
    st.tuples(st.sampled_from(HOT), st.integers(0, 700), st.binary(min_size=1, max_size=16)), max_size=6
)
cuts = st.lists(st.one_of(st.integers(0, 2000), st.integers(0, 4 << 20)), max_size=30)


def inspected(data: bytes, cut_at: list[int]) -> Verdict:
    """The verdict over `data` that arrives in pieces."""
    inspector = inspection.Inspector()
    edges = [0, *sorted(min(cut, len(data)) for cut in cut_at), len(data)]
    for start, end in itertools.pairwise(edges):
        inspector.write(data[start:end])
    inspector.close()
    return inspector.verdict


def mutated(kind: str, changes: list[tuple[int, int, bytes]], length: int) -> bytes:
    data = bytearray(images.content(kind)[:length])
    for base, offset, value in changes:
        at = base + offset
        if at + len(value) <= len(data):
            data[at : at + len(value)] = value
    return bytes(data)


class AnyBytes(testtools.TestCase):
    def setUp(self):
        super().setUp()
        images.needs(self, 'iso-plain')

    @rounds
    @given(magic=st.sampled_from(MAGICS), data=st.binary(max_size=2048), cut_at=cuts)
    def test_random_bytes(self, magic, data, cut_at):
        self.same(magic + data, cut_at)

    @rounds
    @given(kind=st.sampled_from(KINDS), changes=mutations, length=st.integers(0, 4 << 20), cut_at=cuts)
    def test_mutated_and_truncated_images(self, kind, changes, length, cut_at):
        self.same(mutated(kind, changes, length), cut_at)

    @rounds
    @given(at=st.integers(0, 4 << 20), changes=mutations, cut_at=cuts)
    def test_vhdx_metadata_anywhere(self, at, changes, cut_at):
        """The region tables point to where the attacker likes, behind the stream too."""
        data = bytearray(mutated('vhdx', changes, 4 << 20))
        for table in (192 * 1024, 256 * 1024):
            entries = bytes(data[table : table + 65536])
            found = entries.find(bytes.fromhex('06a27c8b90479a4bb8fe575f050f886e'))
            if found > 0:
                data[table + found + 16 : table + found + 24] = at.to_bytes(8, 'little')
        self.same(bytes(data), cut_at)

    def same(self, data: bytes, cut_at: list[int]) -> None:
        started = time.process_time()
        whole = inspected(data, [])
        self.assertLess(time.process_time() - started, 2.0)
        self.assertEqual(whole, inspected(data, cut_at))
        self.assertEqual(len(data), whole.size)
        for disk_format in ('raw', 'qcow2', 'vmdk', 'iso', 'ami'):
            try:
                judge(whole, disk_format=disk_format, container_format='bare', rules=Rules())
            except (errors.FormatMismatch, errors.FormatAmbiguous, errors.FormatUnsafe):
                continue

    def test_one_byte_at_a_time(self):
        for kind in ('vmdk-footer', 'qcow2', 'vmdk-text', 'iso-plain'):
            data = (
                images.content(kind)[-900_000:] if kind == 'vmdk-footer' else images.content(kind)[:900_000]
            )
            self.assertEqual(inspected(data, []), inspected(data, list(range(len(data)))), kind)

    def test_vhdx_in_odd_pieces(self):
        data = images.content('vhdx')
        for piece in (1021, 65536, 65537, 1 << 20):
            pieces = list(range(0, len(data), piece))
            self.assertEqual(inspected(data, []), inspected(data, pieces))
        self.assertEqual((), inspected(data, []).findings)
