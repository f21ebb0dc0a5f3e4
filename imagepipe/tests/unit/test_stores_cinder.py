"""The Cinder store: what becomes of volumes."""

import types

import testtools

from imagepipe.stores.cinder import CinderStore

NAME = '5c2b34a5-65e7-4a3b-8a3f-1d1dbb39b1b1.import.1.raw'


class Volume(types.SimpleNamespace):
    """As cinderclient gives it; what is being deleted cannot be deleted again."""

    def delete(self) -> None:
        if self.status == 'deleting':
            raise ValueError('Invalid volume: Volume status must be available or error')
        self.status = 'deleting'


class Store(CinderStore):
    """Over a list of volumes: the driver cannot be loaded without os_brick."""

    def __init__(self, volumes: list[Volume]) -> None:
        self.id = 'cinder'
        self._client = types.SimpleNamespace(volumes=types.SimpleNamespace(list=lambda search_opts: volumes))

    def _driver(self) -> object:
        return types.SimpleNamespace(get_cinderclient=lambda: self._client)


class CinderStoreTest(testtools.TestCase):
    def test_discard_deletes_each_volume_of_the_name_once(self):
        volumes = [Volume(name=f'image-{name}', status='available') for name in (NAME, NAME, 'another')]
        store = Store(volumes)
        for _ in range(2):
            store.discard(NAME)
            self.assertEqual(['deleting', 'deleting', 'available'], [volume.status for volume in volumes])
