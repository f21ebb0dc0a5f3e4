"""policy.yaml is edited while the service runs: the next request obeys, on each worker process."""

import os
from concurrent import futures

import fixtures
import testtools

from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.workers import wait_until

WORKERS = 2
#: Requests at a time, so that no worker stays idle.
_CROWD = 8


class PolicyReloadTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        self.cloud = self.useFixture(
            CloudFixture(
                self,
                conducts=False,
                overrides={'api.workers': WORKERS, 'oslo_policy.policy_file': self.path},
            )
        )

    def test_the_next_request_obeys(self):
        self.every_worker_answers(200)
        self.write('"get_images": "!"\n')
        self.every_worker_answers(403)
        self.write('"get_images": "@"\n')
        self.every_worker_answers(200)
        self.write('"get_images: "!"\n')  # broken: what held before holds on
        self.every_worker_answers(200)
        os.unlink(self.path)
        self.every_worker_answers(200)

    def write(self, text):
        """As an editor does it: whole, in the place of what was there."""
        new = f'{self.path}.new'
        with open(new, 'w') as file:
            file.write(text)
        os.rename(new, self.path)

    def every_worker_answers(self, status):
        """Each answer is this one, from the first on, until each worker has given one."""
        workers = {str(worker.pid) for worker in self.cloud.api_workers()}
        self.assertEqual(WORKERS, len(workers))
        found = set()
        with futures.ThreadPoolExecutor(_CROWD) as pool:

            def all_have_answered():
                answers = list(pool.map(lambda _: self.cloud.call('GET', '/v2/images'), range(_CROWD)))
                self.assertEqual({status}, {answer.status_code for answer in answers})
                found.update(map(self.worker_of, answers))
                return workers <= found

            wait_until(all_have_answered, 'every worker answers')

    def worker_of(self, answer):
        """The process that answered, by its log."""
        request_id = answer.headers['x-openstack-request-id']

        def told():
            lines = '\n'.join(self.cloud.logs().values()).splitlines()
            return next((line for line in lines if request_id in line), None)

        return wait_until(told, 'the answer is logged').split()[2]
