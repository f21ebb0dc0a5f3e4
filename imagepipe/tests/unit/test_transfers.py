"""Transfers in the database: leases on its clock, and who wins when two want the same row."""

import threading
import uuid

import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain.transfer import Transfer, TransferKind, TransferState
from imagepipe.tests.fixtures.databases import DATABASES, use_database

LEASE = 60.0
EXPIRED = -1.0


class TransfersTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.db = use_database(self).database

    def add(self, *, lease: float = LEASE, **changes: object) -> Transfer:
        fields = {
            'id': str(uuid.uuid4()),
            'image_id': str(uuid.uuid4()),
            'kind': TransferKind.UPLOAD,
            'state': TransferState.OPEN,
            'object_name': 'name',
            'store': 'fast',
            'owner': 'host:1',
        }
        transfer = Transfer(**fields | changes)
        return self.db.run(lambda tx: tx.transfers.add(transfer, lease))

    def get(self, transfer: Transfer) -> Transfer | None:
        return self.db.read(lambda tx: tx.transfers.get(transfer.id))

    def renew(self, transfer: Transfer, lease: float = LEASE) -> bool:
        return self.db.run(lambda tx: tx.transfers.renew(transfer, lease))

    def take(self, owner: str = 'host:2') -> list[Transfer]:
        return self.db.run(lambda tx: tx.transfers.take_expired(owner, LEASE, 10))

    def test_what_is_written_is_read(self) -> None:
        transfer = self.add(reserved=7, identity={'inode': 2**40}, verdict={'format': 'raw'}, epoch=3)
        self.assertEqual(transfer, self.get(transfer))
        self.assertEqual([transfer], self.db.read(lambda tx: tx.transfers.of_image(transfer.image_id)))

    def test_a_lease_that_is_renewed_is_not_taken(self) -> None:
        transfer = self.add(lease=EXPIRED)
        self.assertTrue(self.renew(transfer))
        self.assertEqual([], self.take())

    def test_an_expired_lease_is_taken_once_and_its_owner_learns_it(self) -> None:
        transfer = self.add(lease=EXPIRED)
        (taken,) = self.take()
        self.assertEqual((transfer.id, 'host:2', 2), (taken.id, taken.owner, taken.epoch))
        self.assertEqual([], self.take('host:3'))
        self.assertFalse(self.renew(transfer))
        self.assertTrue(self.renew(taken))

    def test_the_owner_of_a_taken_transfer_cannot_finish_it(self) -> None:
        transfer = self.add(lease=EXPIRED)
        self.take()
        self.assertRaises(
            errors.TransferLost,
            self.db.run,
            lambda tx: tx.transfers.finish(transfer, size=1, digests={'md5': 'x'}),
        )
        self.assertEqual(TransferState.OPEN, self.get(transfer).state)

    def test_two_sweepers_at_once_take_each_transfer_once(self) -> None:
        expired = {self.add(lease=EXPIRED).id for _ in range(6)}
        start = threading.Barrier(3)
        taken: list[list[str]] = []

        def sweep(owner: str) -> None:
            start.wait()
            taken.append([transfer.id for transfer in self.take(owner)])

        threads = [threading.Thread(target=sweep, args=(f'host:{number}',)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = sorted(identifier for some in taken for identifier in some)
        self.assertEqual(len(set(found)), len(found))
        self.assertEqual(expired, set(found) | {transfer.id for transfer in self.take()})

    def test_a_finished_staging_is_found_with_all_that_was_learnt(self) -> None:
        transfer = self.add(kind=TransferKind.STAGE, store=None, reserved=100)
        finished = self.db.run(
            lambda tx: tx.transfers.finish(
                transfer,
                size=5,
                digests={'md5': 'ab'},
                verdict={'format': 'qcow2'},
                identity={'inode': 1, 'size': 5, 'mtime_ns': 2},
                reserved=5,
            )
        )
        found = self.db.read(lambda tx: tx.transfers.staged(transfer.image_id))
        self.assertEqual(
            (finished.size, finished.digests, finished.verdict, finished.identity),
            (found.size, found.digests, found.verdict, found.identity),
        )
        self.assertEqual((5, TransferState.FINISHED), (found.reserved, found.state))

    def test_a_staging_under_way_or_ended_is_not_staged(self) -> None:
        transfer = self.add(kind=TransferKind.STAGE)
        self.assertIsNone(self.db.read(lambda tx: tx.transfers.staged(transfer.image_id)))
        self.db.run(lambda tx: tx.transfers.end(transfer.id))
        self.assertIsNone(self.db.read(lambda tx: tx.transfers.staged(transfer.image_id)))

    def test_a_finished_transfer_never_expires(self) -> None:
        transfer = self.add(lease=EXPIRED)
        self.db.run(lambda tx: tx.transfers.finish(transfer, size=1, digests={}))
        self.assertEqual([], self.take())

    def test_ending_needs_the_expected_state_and_stops_the_owner(self) -> None:
        transfer = self.add()
        self.assertFalse(self.db.run(lambda tx: tx.transfers.end(transfer.id, (TransferState.FINISHED,))))
        self.assertTrue(self.db.run(lambda tx: tx.transfers.end(transfer.id)))
        self.assertFalse(self.db.run(lambda tx: tx.transfers.end(transfer.id)))
        self.assertFalse(self.renew(transfer))

    def test_an_ended_transfer_is_swept_when_its_owner_does_not_clean_up(self) -> None:
        transfer = self.add(lease=EXPIRED)
        self.db.run(lambda tx: tx.transfers.end(transfer.id))
        (taken,) = self.take()
        self.assertEqual(TransferState.ENDED, taken.state)

    def test_keeping_records_the_reservation(self) -> None:
        transfer = self.add()
        self.assertTrue(self.db.run(lambda tx: tx.transfers.keep(transfer, LEASE, reserved=64)))
        self.assertEqual(64, self.get(transfer).reserved)

    def test_a_deleted_transfer_is_gone_and_deleting_it_again_is_fine(self) -> None:
        transfer = self.add()
        for _ in range(2):
            self.db.run(lambda tx: tx.transfers.delete(transfer.id))
        self.assertIsNone(self.get(transfer))
