"""Upgrades: what an older version began is ended by this one, whatever it was in the middle of."""

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.domain import steps
from imagepipe.domain.import_ import FLOWS, GUARDED, ImportState
from imagepipe.tests.fixtures import former
from imagepipe.tests.fixtures.stories import SUCCESS, Ending, check_aftermath
from imagepipe.tests.fixtures.workers import wait_until

ENDINGS = {
    'reverting': Ending(
        state=ImportState.FAILED, error_code='imagepipe.store.permanent', error_step=steps.store('cheap')
    )
}


class RecordedTest(testscenarios.WithScenarios, testtools.TestCase):
    """Imports of the first version, each as its worker left it when it was killed."""

    scenarios = [
        *((f'sqlite,{name}', {'kind': 'sqlite', 'name': name}) for name in former.IMPORTS),
        *(
            (f'postgresql,{name}', {'kind': 'postgresql', 'name': name})
            for name in ('fetching', 'between-stores', 'reverting')
        ),
    ]

    def test_a_conductor_of_today_ends_what_the_first_version_began(self):
        story = self.useFixture(former.RecordedStory(self, self.name, kind=self.kind))
        record = story.record
        self.assertEqual((1, FLOWS['glance-direct']), (record.flow_version, record.flow_version))
        story.expire()
        worker = story.workers.start()
        story.wait_end()
        worker.kill()
        check_aftermath(story, ENDINGS.get(self.name, SUCCESS))


class FormerCodeTest(testtools.TestCase):
    """A rolling upgrade: the database first, then one process after the other."""

    def test_former_code_works_on_the_new_schema_beside_todays(self):
        code = self.useFixture(former.CodeFixture()).path
        cloud = self.useFixture(former.FormerCloud(self, kind='postgresql', code=code))
        self.assertEqual({former.RELEASE}, self._releases(cloud))
        self._check_works(cloud, b'by former code alone')
        # Conductors first.
        cloud.stop_conductor()
        waiting = self._accept(cloud, b'accepted by the former API')
        cloud.conduct()
        self._check_active(cloud, *waiting)
        # And then the API; a conductor that is the last to be restarted runs what it accepts.
        cloud.serve()
        self._check_works(cloud, b'by new code alone')
        cloud.stop_conductor()
        guarded = self._guard(cloud, self._accept(cloud, b'accepted with duties of which it knows nothing'))
        waiting = self._accept(cloud, b'accepted by the new API')
        cloud.conduct(code)
        self.assertEqual({former.RELEASE}, self._releases(cloud))
        self._check_active(cloud, *waiting)
        cloud.stop_conductor()
        self.assertEqual('accepted', cloud.call('GET', f'/v2/imports/{guarded[1]}').json()['state'])
        cloud.conduct()
        self._check_active(cloud, *guarded)

    def _guard(self, cloud, waiting):
        """As it is accepted that has a signature."""
        columns = schema.imports.c
        numbered = sa.update(schema.imports).values(flow_version=FLOWS[GUARDED])
        numbered = numbered.where(columns.id == waiting[1])
        cloud.parts.services.db.run(lambda tx: tx.connection.execute(numbered))
        return waiting

    def _releases(self, cloud):
        """Of the workers, as they say themselves."""
        releases = sa.select(schema.workers.c.version)
        read = cloud.parts.services.db.read
        return wait_until(
            lambda: set(read(lambda tx: tx.connection.execute(releases).scalars().all())), 'a worker is there'
        )

    def _check_works(self, cloud, data):
        """What a client does in a day."""
        image_id, import_id, data = self._accept(cloud, data)
        self._check_active(cloud, image_id, import_id, data)
        patch = [{'op': 'add', 'path': '/os_distro', 'value': 'debian'}]
        kind = {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
        patched = cloud.call('PATCH', f'/v2/images/{image_id}', json=patch, headers=kind)
        self.assertEqual('debian', patched.json()['os_distro'])
        uploaded = cloud.image()
        self.assertEqual(204, cloud.call('PUT', f'/v2/images/{uploaded}/file', data=data).status_code)
        listed = cloud.call('GET', '/v2/images?status=active').json()['images']
        self.assertTrue({image_id, uploaded} <= {image['id'] for image in listed})
        for each in (image_id, uploaded):
            self.assertEqual(204, cloud.call('DELETE', f'/v2/images/{each}').status_code)

    def _accept(self, cloud, data):
        image_id = cloud.image()
        cloud.stage(image_id, data)
        return image_id, cloud.start(image_id, stores=['fast', 'cheap']), data

    def _check_active(self, cloud, image_id, import_id, data):
        record = cloud.wait(import_id)
        self.assertEqual((ImportState.SUCCEEDED, None), (record.state, record.error_code))
        found = cloud.call('GET', f'/v2/images/{image_id}').json()
        self.assertEqual(('active', ['cheap', 'fast']), (found['status'], sorted(found['stores'].split(','))))
        self.assertEqual(data, cloud.call('GET', f'/v2/images/{image_id}/file').content)
