"""Two processes of the API, a conductor, and clients that change the same images at the same time.

IMAGEPIPE_HAMMER_SECONDS says for how long, IMAGEPIPE_HAMMER_SEED which requests are chosen; without
one it is new each time, and told when the test fails.
"""

import collections
import hashlib
import json
import os
import random
import re

import sqlalchemy as sa
import testscenarios
import testtools
from testtools import content

from imagepipe import quota
from imagepipe.db import schema
from imagepipe.domain.image import WITH_DATA
from imagepipe.domain.usage import Resource
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.hammer import OWNERS, STORES, Hammer
from imagepipe.tests.fixtures.workers import wait_until

SECONDS = float(os.environ.get('IMAGEPIPE_HAMMER_SECONDS', '8'))
SEED = int(os.environ.get('IMAGEPIPE_HAMMER_SEED') or random.SystemRandom().randrange(1 << 32))
_AGAIN = re.compile('A transaction is run again: (\\w+)')
_SERVED = re.compile(r' (\d+) INFO imagepipe.api.app ')


class HammerTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        overrides = {
            'api.workers': 2,
            'enabled_backends': 'fast:file,cheap:file,web:http',
            'default_log_levels': 'imagepipe.db.database=DEBUG',
            'show_multiple_locations': True,
            'transfers.delete_seconds': 2,
            # Counters with a limit are reserved from by another statement than those without.
            'user_image_quota': 1000,
            'user_storage_quota': '1TB',
        }
        self.cloud = self.useFixture(CloudFixture(self, kind=self.database_kind, overrides=overrides))
        self.db = self.cloud.parts.services.db
        self.sweeper = Sweeper(self.cloud.parts.services, interval=3600)
        self.hammer = Hammer(self.cloud, seed=SEED)

    def test_every_change_counts_and_nothing_is_left(self) -> None:
        self.addOnException(lambda _: self.tell())
        self.hammer.run(SECONDS)
        for import_id in (each for target in self.hammer.targets for each in target.imports):
            self.cloud.wait(import_id)
        self.hammer.look()
        self.assertEqual([], self.hammer.problems())
        wait_until(self.settled, 'the sweeper finishes')
        for target in self.hammer.alive:
            self.check_image(target)
        self.check_records()
        self.check_counters()
        self.delete_all()
        self.check_logs()
        if 'IMAGEPIPE_HAMMER_SECONDS' in os.environ:
            print(f'\n{self.id()}\n{self.figures()}')

    # What is there.

    def settled(self) -> bool:
        self.sweeper.sweep()
        gone = sa.or_(schema.locations.c.state != 'active', schema.locations.c.image_id.not_in(_IMAGES))
        return not self.rows(sa.select(schema.locations.c.id).where(gone))

    def check_image(self, target) -> None:
        image = self.db.read(lambda tx: tx.images.find(target.id))
        locations = self.db.read(lambda tx: tx.locations.of_primary(target.id))
        self.assertEqual(image.status in WITH_DATA, bool(locations), image)
        if target.uploaded:
            self.assertEqual((target.uploaded[0], True), (image.checksum, image.status in WITH_DATA))
        for location in locations:
            if location.store in STORES and image.checksum is not None:  # of a URL nobody knows it
                with self.cloud.parts.services.stores[location.store].open(location.url) as reader:
                    self.assertEqual(image.checksum, hashlib.md5(reader.read()).hexdigest())

    def check_records(self) -> None:
        """Rows, stores, staging and events agree, and nothing is there of images that are gone."""
        gone = [target.id for target in self.hammer.targets if target.deleted]
        self.assertEqual(sorted(target.id for target in self.hammer.alive), self.ids(_IMAGES))
        self.assertEqual(sorted(gone), self.ids(sa.select(schema.tombstones.c.id)))
        for table in (schema.locations, schema.representations, schema.transfers, schema.properties):
            left = self.rows(sa.select(table).where(table.c.image_id.in_(gone)))
            self.assertEqual([], left, table.name)
        urls = self.rows(sa.select(schema.locations.c.url).where(schema.locations.c.store != 'web'))
        self.assertEqual(sorted(url.removeprefix('file://') for (url,) in urls), self.files('stores'))
        staged = self.rows(sa.select(schema.transfers.c.kind, schema.transfers.c.state))
        self.assertEqual({('stage', 'finished')} if staged else set(), {tuple(row) for row in staged})
        self.assertEqual(len(staged), len(self.files('staging')))
        outbox = schema.outbox.c
        activated = self.rows(sa.select(outbox.payload).where(outbox.event_type == 'image.activate'))
        of_image = collections.Counter(json.loads(payload)['id'] for (payload,) in activated)
        self.assertLessEqual(set(of_image.values()), {1})

    def check_counters(self) -> None:
        """Counters are what the records say, though no sweep has put them right."""
        for owner in (*OWNERS, None):
            scope = quota.project(owner)
            found = self.db.snapshot(lambda tx, owner=owner: tx.accounts.of_project(owner))
            used = self.db.snapshot(
                lambda tx, scope=scope: {each: tx.usages.used(scope, each.value) for each in Resource}
            )
            self.assertEqual(found, used, scope)
        told = [
            line for text in self.cloud.logs().values() for line in text.splitlines() if 'The counter' in line
        ]
        self.assertEqual([], told)

    def delete_all(self) -> None:
        for target in self.hammer.alive:
            self.assertEqual(204, self.cloud.call('DELETE', f'/v2/images/{target.id}').status_code)
        wait_until(self.settled, 'the sweeper finishes')
        self.assertEqual(([], []), (self.files('stores'), self.files('staging')))
        self.assertEqual({0}, {used for (used,) in self.rows(sa.select(schema.usages.c.used))})

    def check_logs(self) -> None:
        """Both processes have served, and neither met anything unforeseen."""
        text = '\n'.join(self.cloud.logs().values())
        self.assertEqual([], [line for line in text.splitlines() if ' ERROR ' in line])
        self.assertNotIn('Traceback', text)
        self.assertEqual(2, len(set(_SERVED.findall(text))))

    def files(self, part: str) -> list[str]:
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.cloud.parts.path(part))
            for name in names
        )

    def rows(self, query: sa.Select) -> list[sa.Row]:
        with self.db.engine.connect() as connection:
            return list(connection.execute(query))

    def ids(self, query: sa.Select) -> list[str]:
        return sorted(found for (found,) in self.rows(query))

    # What is told.

    def tell(self) -> None:
        self.addDetail('figures', content.text_content(self.figures()))

    def figures(self) -> str:
        answers = self.hammer.answers
        text = '\n'.join(self.cloud.logs().values())
        lines = [f'seed {SEED}, {SECONDS:.0f} s, {sum(answers.values())} requests']
        lines += [f'{" ".join(map(str, key))}: {number}' for key, number in sorted(answers.items())]
        again = collections.Counter(_AGAIN.findall(text))
        return '\n'.join([*lines, f'transactions run again: {dict(again)}'])


_IMAGES = sa.select(schema.images.c.id)
