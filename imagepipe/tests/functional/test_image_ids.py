"""Ids that clients choose: who may, and that one is never there for a second image."""

import contextlib
import io
import os

import testscenarios

from imagepipe.cmd import manage
from imagepipe.tests.fixtures.api import new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.together import together
from imagepipe.tests.functional.test_tags import ImageCase

TAKEN = 'imagepipe.image.id_taken'


class IdsCase(ImageCase):
    def create(self, image_id, *, as_='ours'):
        return self.api.call('POST', '/v2/images', {'id': image_id}, as_=as_)

    def purge(self, *words):
        config = os.path.join(self.api.root, 'etc', 'imagepipe.conf')
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = manage.main(['--config-file', config, 'db', 'purge', *words])
        self.assertEqual(0, status)


class NeverAgainTest(testscenarios.WithScenarios, IdsCase):
    scenarios = DATABASES

    def test_an_id_that_was_used_once_is_never_available_again_also_after_a_purge(self):
        image_id = new_id()
        self.assertEqual(image_id, self.assert_status(201, self.create(image_id)).json['id'])
        for as_ in ('ours', 'theirs', 'admin'):
            self.assert_error(409, TAKEN, self.create(image_id, as_=as_))
        self.assert_status(204, self.api.call('DELETE', f'/v2/images/{image_id}'))
        for as_ in ('ours', 'theirs', 'admin'):
            self.assert_error(409, TAKEN, self.create(image_id, as_=as_))
        self.purge('--age_in_days', '0', '--max_rows', '-1')
        for as_ in ('ours', 'theirs', 'admin'):
            self.assert_error(409, TAKEN, self.create(image_id, as_=as_))

    def test_creates_and_deletes_of_one_id_at_the_same_time(self):
        for _ in range(5):
            image_id = new_id()
            answers = together(*[(self.create, image_id)] * 4)
            self.assertEqual([201, 409, 409, 409], sorted(answer.status_int for answer in answers))
            gone, *again = together(
                (self.api.call, 'DELETE', f'/v2/images/{image_id}'), *[(self.create, image_id)] * 3
            )
            self.assert_status(204, gone)
            self.assertEqual([409] * 3, [answer.status_int for answer in again])
            self.assert_status(404, self.api.call('GET', f'/v2/images/{image_id}'))


class WhoMayChooseTest(IdsCase):
    def test_whoever_may_create_until_the_operator_says_otherwise(self):
        self.assert_status(201, self.create(new_id()))
        self.assert_error(403, 'imagepipe.policy.forbidden', self.create(new_id(), as_='reader'))
        with open(f'{self.api.root}/etc/policy.yaml', 'w') as file:
            file.write('"set_image_id": "rule:context_is_admin"\n')
        image_id = new_id()
        self.assert_error(403, 'imagepipe.policy.forbidden', self.create(image_id))
        self.assert_status(404, self.api.call('GET', f'/v2/images/{image_id}', as_='admin'))
        self.assert_status(201, self.create(image_id, as_='admin'))
        self.assert_status(201, self.api.call('POST', '/v2/images', {}))
