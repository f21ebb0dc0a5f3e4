"""Quotas as tenants meet them: never passed by requests at once, and given back however it ends."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

import testscenarios
import testtools

from imagepipe import errors, quota
from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import Import, ImportState, Method, Plan, Target
from imagepipe.domain.usage import Resource
from imagepipe.jobs.rooms import Rooms
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import transfers
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import OURS, PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

AT_ONCE = 16
FIT = 5
SIZE = 1000
DATA = b'x' * SIZE
FORMATS = {'disk_format': 'raw', 'container_format': 'bare'}
#: In the order of Resource: images, uploading, bytes, staged.
NOTHING = (0, 0, 0, 0)


class QuotaCase(testtools.TestCase):
    database_kind = 'sqlite'
    overrides: Mapping[str, object] = {}
    works = False

    def setUp(self) -> None:
        super().setUp()
        self.pipe = self.useFixture(
            PipelineFixture(self, kind=self.database_kind, overrides=self.overrides, works=self.works)
        )
        self.services = self.pipe.services
        self.sweeper = Sweeper(self.services, interval=60)

    def used(self, owner: str = OURS) -> tuple[int, ...]:
        found = self.services.db.snapshot(lambda tx: self.services.quota.used(tx, owner))
        return tuple(found.values())

    def check_used(self, *used: int, owner: str = OURS) -> None:
        """The counters say so, and the records too."""
        self.assertEqual(used, self.used(owner))
        counted = self.services.db.snapshot(lambda tx: tx.accounts.of_project(owner))
        self.assertEqual(used, tuple(counted[resource] for resource in Resource))
        area = self.services.db.snapshot(
            lambda tx: (tx.usages.used(quota.STAGING, quota.BYTES), tx.accounts.staged())
        )
        self.assertEqual(area[0], area[1])

    def refused(self, code: str, response: object) -> None:
        error = response.json['error']
        self.assertEqual((413, code), (response.status_int, error['error_code']), error)


class Given:
    """Limits that a test changes."""

    shown = False
    found: Mapping[str, int] = {}

    def of(self, owner: str | None) -> Mapping[str, int]:
        return self.found


class AtOnceTest(testscenarios.WithScenarios, QuotaCase):
    """Sixteen requests at once, of which five fit."""

    scenarios = DATABASES

    def together(self, ask: Callable[[int], object]) -> Counter:
        """Status of the answers, and the codes of errors."""
        start = threading.Barrier(AT_ONCE)
        answers: list[tuple[int, str | None]] = []

        def run(number: int) -> None:
            start.wait()
            response = ask(number)
            refusal = response.json['error']['error_code'] if response.status_int >= 400 else None
            answers.append((response.status_int, refusal))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Counter(answers)

    def setUp(self) -> None:
        super().setUp()
        self.limits = Given()
        self.services = self.pipe.with_parts(quota=quota.Quota(self.limits))

    def limit(self, **limits: int) -> None:
        """Other limits from now on."""
        self.limits.found = limits

    def check(self, answers: Counter, status: int, code: str) -> None:
        self.assertEqual({(status, None): FIT, (413, code): AT_ONCE - FIT}, dict(answers))

    def test_never_pass_a_limit_together(self) -> None:
        pipe = self.pipe
        images = [pipe.image() for _ in range(AT_ONCE)]
        self.limit(images=AT_ONCE + FIT)
        answers = self.together(lambda number: pipe.call('POST', '/v2/images', {}))
        self.check(answers, 201, 'imagepipe.quota.images')
        count = AT_ONCE + FIT
        self.check_used(count, 0, 0, 0)

        self.limit(bytes=FIT * SIZE + 1)
        answers = self.together(lambda number: pipe.put(images[number], DATA))
        self.check(answers, 204, 'imagepipe.quota.storage')
        self.check_used(count, 0, FIT * SIZE, 0)

        images = [pipe.image() for _ in range(AT_ONCE)]
        count += AT_ONCE
        self.limit(staged=FIT * SIZE + 1)
        answers = self.together(lambda number: pipe.put(images[number], DATA, to='stage'))
        self.check(answers, 204, 'imagepipe.quota.staged')
        self.check_used(count, FIT, FIT * SIZE, FIT * SIZE)

        images = [pipe.image() for _ in range(AT_ONCE)]
        count += AT_ONCE
        self.limit(uploading=2 * FIT)
        url = pipe.serve('source', DATA)
        answers = self.together(lambda number: pipe.ask(images[number], uri=url))
        self.check(answers, 202, 'imagepipe.quota.uploading')
        self.check_used(count, 2 * FIT, FIT * SIZE, FIT * SIZE)

        self.sweeper._counters()
        self.check_used(count, 2 * FIT, FIT * SIZE, FIT * SIZE)


class ReleasedTest(QuotaCase):
    """However it ends, what was counted for it is given back."""

    overrides = {
        'user_staging_quota': f'{2 * SIZE}B',
        'user_uploading_quota': 1,
        'import_flow.fetch_attempts': 1,
    }

    def test_an_image_without_data_counts(self) -> None:
        image_id = self.pipe.image()
        self.check_used(1, 0, 0, 0)
        self.pipe.delete(image_id)
        self.check_used(*NOTHING)

    def test_an_upload(self) -> None:
        image_id = self.pipe.image()
        self.assertEqual(400, self.pipe.put(image_id, DATA, announced=2 * SIZE).status_int)
        self.check_used(1, 0, 0, 0)
        self.assertEqual(204, self.pipe.put(image_id, DATA, chunked=True).status_int)
        self.check_used(1, 0, SIZE, 0)
        self.pipe.delete(image_id)
        self.check_used(*NOTHING)

    def test_staged_data(self) -> None:
        image_id, other = self.pipe.image(), self.pipe.image()
        self.refused('imagepipe.quota.staged', self.pipe.put(image_id, b'x' * (2 * SIZE + 1), to='stage'))
        response = self.pipe.put(image_id, b'x' * (2 * SIZE + 1), to='stage', chunked=True)
        self.refused('imagepipe.quota.staged', response)
        self.check_used(2, 0, 0, 0)
        self.pipe.stage(image_id, DATA, chunked=True)
        self.check_used(2, 1, 0, SIZE)
        self.refused('imagepipe.quota.uploading', self.pipe.put(other, DATA))
        self.refused('imagepipe.quota.uploading', self.pipe.ask(other, uri=self.pipe.serve(other, DATA)))
        self.pipe.delete(image_id)
        self.check_used(1, 0, 0, 0)

    def test_a_transfer_whose_process_was_killed(self) -> None:
        image_id = self.pipe.image()
        image = self.services.db.read(lambda tx: tx.images.find(image_id))
        transfer = transfers.new(
            self.services, image, transfers.TransferKind.STAGE, part='staged', reserved=SIZE
        )
        self.services.db.run(lambda tx: transfers.record(self.services, tx, transfer, image, {}))
        self.check_used(1, 1, 0, SIZE)
        self.services.db.run(lambda tx: tx.transfers.renew(transfer, -1))
        self.sweeper._transfers()
        self.check_used(1, 0, 0, 0)

    def test_an_import_that_is_not_run_yet_is_deleted_with_its_image(self) -> None:
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        import_id = self.pipe.start(image_id, stores=['fast', 'cheap'])
        self.check_used(1, 1, 2 * SIZE, SIZE)
        self.pipe.delete(image_id)
        self.pipe.work()
        wait_until(lambda: self.services.db.read(lambda tx: not tx.imports.get(import_id).live), 'it ends')
        self.check_used(*NOTHING)

    def test_a_cancelled_import(self) -> None:
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        import_id = self.pipe.start(image_id)
        self.assertEqual(202, self.pipe.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
        self.pipe.work()
        self.pipe.wait(import_id)
        self.check_used(1, 0, 0, 0)

    def test_an_image_that_is_given_away(self) -> None:
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        import_id = self.pipe.start(image_id, stores=['fast', 'cheap'])
        self.give(image_id, 'theirs')
        # Who asked for the import has its reservation until it ends.
        self.check_used(0, 0, 2 * SIZE, SIZE)
        self.check_used(1, 1, 0, 0, owner='theirs')
        self.pipe.work()
        wait_until(lambda: self.services.db.read(lambda tx: not tx.imports.get(import_id).live), 'it ends')
        self.check_used(*NOTHING)
        self.check_used(1, 0, 2 * SIZE, 0, owner='theirs')
        self.give(image_id, OURS)
        self.check_used(1, 0, 2 * SIZE, 0)
        self.check_used(*NOTHING, owner='theirs')

    def test_copies_of_an_active_image(self) -> None:
        """copy-image leaves the image as it is; its import counts as uploading by itself."""
        image_id = self.pipe.image()
        self.assertEqual(204, self.pipe.put(image_id, DATA).status_int)
        target = Target(store='cheap', disk_format='raw', representation_id='r', location_id='l')
        plan = Plan(
            disk_format='raw', container_format='bare', targets=(target,), must_succeed=True,
            digests=('md5',), os_hash_algo='sha512', limits={Resource.UPLOADING.value: 1},
        )  # fmt: skip
        owner = {'id': image_id, 'image_id': image_id, 'owner': OURS}
        limits, rooms = self.services.quota, Rooms(self.services.quota)

        def accept(tx: object) -> None:
            reserved = limits.reserve_import(tx, OURS, SIZE, plan, copies=True)
            tx.imports.add(
                Import(
                    **owner,
                    method=Method.COPY_IMAGE,
                    state=ImportState.ACCEPTED,
                    plan=plan,
                    reserved=reserved,
                )
            )

        def commit(tx: object) -> None:
            rooms.settle(tx, tx.imports.get(image_id), 0, owner=OURS)
            tx.imports.to(image_id, [ImportState.ACCEPTED], ImportState.COMMITTED)

        self.services.db.run(accept)
        self.check_used(1, 1, 2 * SIZE, 0)
        self.assertRaises(errors.UploadingCountExceeded, self.services.db.run, accept)
        self.services.db.run(commit)
        self.check_used(1, 0, SIZE, 0)

    def give(self, image_id: str, owner: str) -> None:
        change = {'op': 'replace', 'path': '/owner', 'value': owner}
        self.assertEqual(200, self.pipe.patch(image_id, change, as_='admin').status_int)

    def test_the_sweeper_counts_for_projects_that_have_no_counter(self) -> None:
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        self.services.db.run(lambda tx: tx.connection.execute(schema.usages.delete()))
        self.assertEqual(NOTHING, self.used())
        self.sweeper._counters()
        self.check_used(1, 1, 0, SIZE)

    def test_what_waits_for_its_delayed_delete_counts_for_nobody(self) -> None:
        image_id = self.pipe.image()
        self.assertEqual(204, self.pipe.put(image_id, DATA).status_int)
        status = schema.images.update().values(status=Status.PENDING_DELETE.value)
        self.services.db.run(lambda tx: tx.connection.execute(status))
        self.sweeper._counters()
        self.check_used(*NOTHING)


class ImportedTest(QuotaCase):
    """Imports that run, in a project that may stage little."""

    works = True
    overrides = {'user_staging_quota': f'{SIZE}B', 'import_flow.fetch_attempts': 1}

    def test_a_source_that_does_not_fit_into_staging(self) -> None:
        for fault in (None, Fault(chunked=True)):
            image_id = self.pipe.image()
            import_id = self.pipe.start(image_id, uri=self.pipe.serve(image_id, DATA + b'x', fault))
            found = self.pipe.wait(import_id)
            self.assertEqual('imagepipe.quota.staged', found['error']['code'], found)
            self.pipe.delete(image_id)
        self.check_used(*NOTHING)

    def test_one_that_fits(self) -> None:
        image_id = self.pipe.image()
        self.pipe.succeed(self.pipe.start(image_id, uri=self.pipe.serve(image_id, DATA)))
        self.check_used(1, 0, SIZE, 0)

    def test_an_import_is_refused_at_once_where_nothing_is_left(self) -> None:
        staged, image_id = self.pipe.image(), self.pipe.image()
        self.pipe.stage(staged, DATA)
        self.refused('imagepipe.quota.staged', self.pipe.ask(image_id, uri=self.pipe.serve(image_id, DATA)))
        self.check_used(2, 1, 0, SIZE)
