"""How the next import is chosen: by an index, in every lane, however many wait and have ended."""

import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import FLOWS, Import, ImportState, Method, Plan
from imagepipe.tests.fixtures.databases import DATABASES, use_database
from imagepipe.tests.fixtures.plans import explain

COUNT = 1500
QUEUE = 'ix_imports_queue'
PLAN = Plan(
    disk_format='raw',
    container_format='bare',
    must_succeed=True,
    digests=(),
    os_hash_algo='sha512',
    targets=(),
)


class PlansTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.db = use_database(self).database
        self.db.run(self.fill)
        if self.database_kind != 'sqlite':
            word = {'postgresql': 'ANALYZE imports', 'mariadb': 'ANALYZE TABLE imports'}[self.database_kind]
            with self.db.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
                connection.exec_driver_sql(word)

    def fill(self, tx: Transaction) -> None:
        """Of three imports one waits and two have ended; every tenth is small."""
        for number in range(COUNT):
            state = ImportState.ACCEPTED if number % 3 == 0 else ImportState.SUCCEEDED
            tx.imports.add(
                Import(
                    id=uuidutils.generate_uuid(),
                    image_id=uuidutils.generate_uuid(),
                    method=Method.WEB_DOWNLOAD,
                    state=state,
                    plan=PLAN,
                    owner=f'project-{number % 7}',
                    small=number % 10 == 0,
                )
            )

    def test_the_next_one_is_found_by_an_index(self) -> None:
        for small_only in (False, True):
            used, scanned, text = explain(
                self.db,
                self.database_kind,
                lambda tx, small_only=small_only: self.assertEqual(
                    50, len(tx.imports.claimable(50, FLOWS.values(), small_only=small_only))
                ),
            )
            self.assertIn(QUEUE, used, text)
            self.assertEqual(set(), scanned, text)

    def test_a_turn_and_the_load_of_a_host_are_found_by_indexes(self) -> None:
        used, scanned, text = explain(
            self.db, self.database_kind, lambda tx: tx.imports.load('host', unknown=0)
        )
        self.assertEqual(({'ix_imports_claim_host'}, set()), (used, scanned), text)
        record = Import(
            id='x', image_id='x', method=Method.WEB_DOWNLOAD, state=ImportState.ACCEPTED, plan=PLAN,
            owner='project-1',
        )  # fmt: skip
        used, scanned, text = explain(self.db, self.database_kind, lambda tx: tx.imports._turn(record))
        self.assertEqual(set(), scanned, text)
