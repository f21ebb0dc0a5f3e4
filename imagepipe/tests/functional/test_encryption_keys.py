"""Keys of encrypted images: deleted with the image where its properties say so, as the caller."""

from collections.abc import Mapping
from typing import ClassVar

import testtools

from imagepipe import errors
from imagepipe.operations import pending_deletes
from imagepipe.tests.fixtures.pipeline import OURS, PipelineFixture
from imagepipe.tests.fixtures.signing import SECRET, SigningFixture

DATA = b'encrypted' * 100


class KeyCase(testtools.TestCase):
    overrides: ClassVar[Mapping[str, object]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.keys = self.useFixture(SigningFixture())
        self.pipe = self.useFixture(
            PipelineFixture(
                self, memory=['far'], works=False, overrides={**self.keys.options(), **self.overrides}
            )
        )

    def encrypted(self, key: str, policy: str | None = 'on_image_deletion') -> str:
        """An active image that names a key."""
        told = {'cinder_encryption_key_id': key, 'cinder_encryption_key_deletion_policy': policy}
        image_id = self.pipe.image(**{name: value for name, value in told.items() if value is not None})
        self.assertEqual(204, self.pipe.put(image_id, DATA, store='far').status_int)
        return image_id

    def is_there(self, key: str) -> bool:
        return (self.keys.directory / key).exists()

    def stays(self, key: str, reason: str) -> None:
        """DELETE of an image with this key succeeds, and says in the log why the key is not deleted."""
        self.pipe.delete(self.encrypted(key))
        self.assertIn(reason, self.pipe.log.output)
        self.pipe.check_records()


class DeleteTest(KeyCase):
    def test_a_key_goes_with_its_image(self) -> None:
        key, other = self.keys.put(SECRET, project=OURS), self.keys.put(SECRET)
        self.pipe.delete(self.encrypted(key))
        self.assertEqual((False, True), (self.is_there(key), self.is_there(other)))

    def test_and_with_one_that_never_had_data(self) -> None:
        key = self.keys.put(SECRET)
        self.pipe.delete(
            self.pipe.image(
                cinder_encryption_key_id=key, cinder_encryption_key_deletion_policy='on_image_deletion'
            )
        )
        self.assertFalse(self.is_there(key))

    def test_a_key_that_is_to_stay(self) -> None:
        for policy in (None, 'do_not_delete', 'ON_IMAGE_DELETION'):
            key = self.keys.put(SECRET)
            self.pipe.delete(self.encrypted(key, policy))
            self.assertTrue(self.is_there(key), policy)

    def test_an_image_that_stays_keeps_its_key(self) -> None:
        key = self.keys.put(SECRET)
        image_id = self.encrypted(key)
        self.assertEqual(404, self.pipe.call('DELETE', f'/v2/images/{image_id}', as_='theirs').status_int)
        self.pipe.memory['far'].fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.assertEqual(409, self.pipe.call('DELETE', f'/v2/images/{image_id}').status_int)
        self.assertTrue(self.is_there(key))
        self.pipe.memory['far'].heal()
        self.pipe.delete(image_id)
        self.assertFalse(self.is_there(key))

    def test_a_key_that_cannot_be_deleted(self) -> None:
        foreign = self.keys.put(SECRET, project='theirs')
        self.stays(foreign, f'Key {foreign} stays in the key manager')
        self.assertTrue(self.is_there(foreign))
        absent = '00000000-0000-4000-8000-000000000000'
        self.stays(absent, f'Key {absent} stays in the key manager')
        (self.keys.directory / 'precious').touch()
        self.stays('../x/../precious', "'../x/../precious': that is not the id of one")
        self.stays('precious', "'precious': that is not the id of one")
        self.assertTrue(self.is_there('precious'))
        (self.keys.directory / 'away').touch()
        mine = self.keys.put(SECRET)
        self.stays(mine, 'nobody answers')
        self.assertTrue(self.is_there(mine))


class DelayedTest(KeyCase):
    overrides: ClassVar[Mapping[str, object]] = {'delayed_delete': True, 'scrub_time': 3600}

    def test_it_goes_at_once_even_if_the_image_can_be_restored(self) -> None:
        key = self.keys.put(SECRET)
        image_id = self.encrypted(key)
        self.pipe.delete(image_id)
        self.assertFalse(self.is_there(key))
        pending_deletes.restore(self.pipe.services, image_id)
        self.assertEqual(DATA, self.pipe.download(image_id))


class NoKeyManagerTest(KeyCase):
    overrides: ClassVar[Mapping[str, object]] = {'key_manager.backend': ''}

    def test_the_image_is_deleted(self) -> None:
        self.stays(self.keys.put(SECRET), 'there is no key manager')
