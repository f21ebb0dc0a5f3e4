"""Locations changed by PATCH (reference, section 6.5)."""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping

import fixtures
import testtools
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.operations import deletion, removals
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures.api import V20
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

DATA = os.urandom(5000)
SHA512, MD5 = (hashlib.new(name, DATA).hexdigest() for name in ('sha512', 'md5'))
DIGESTS = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512, 'checksum': MD5}


def add(url: str, position: str = '-', **more: object) -> dict[str, object]:
    return {'op': 'add', 'path': f'/locations/{position}', 'value': {'url': url, 'metadata': {}, **more}}


def replace(*locations: Mapping[str, object]) -> dict[str, object]:
    return {'op': 'replace', 'path': '/locations', 'value': list(locations)}


def remove(position: object) -> dict[str, object]:
    return {'op': 'remove', 'path': f'/locations/{position}'}


def at(url: str, **metadata: object) -> dict[str, object]:
    return {'url': url, 'metadata': metadata}


class PatchCase(testtools.TestCase):
    """No worker runs: these calls are done when they are answered."""

    overrides: dict[str, object] = {}

    def setUp(self) -> None:
        super().setUp()
        self.vault = InMemoryStore('vault', weight=5)
        self.pipeline = self.useFixture(
            PipelineFixture(
                self,
                memory=[self.vault],
                works=False,
                overrides={
                    'enabled_backends': 'fast:file,cheap:file,web:http',
                    'show_multiple_locations': True,
                    'transfers.delete_seconds': 0.5,
                    **self.overrides,
                },
            )
        )
        self.urls = [self.serve() for _ in range(3)]

    def serve(self, data: bytes = DATA) -> str:
        """A URL with this data."""
        path = f'/{uuidutils.generate_uuid()}'
        self.pipeline.source.serve(path, data)
        return self.pipeline.source.url(path)

    def keep(self, data: bytes = DATA) -> str:
        """The URL of an object in the store for services."""
        name = uuidutils.generate_uuid()
        self.vault.contents[name] = data
        return self.vault.url(name)

    def located(self, *urls: str) -> str:
        """An image that lies at these places."""
        image_id = self.pipeline.image()
        self.patched(image_id, *(add(url) for url in urls), as_='service_admin')
        return image_id

    def patched(
        self, image_id: str, *operations: Mapping[str, object], as_: str = 'ours'
    ) -> dict[str, object]:
        response = self.pipeline.patch(image_id, *operations, as_=as_)
        self.assertEqual(200, response.status_int, response.text)
        return response.json

    def refused(
        self, expected: int, image_id: str, *operations: Mapping[str, object], as_: str = 'ours'
    ) -> None:
        """Answered with this code, and nothing is stored."""
        before = self.pipeline.call('GET', f'/v2/images/{image_id}', as_='admin').json
        response = self.pipeline.patch(image_id, *operations, as_=as_)
        self.assertEqual(expected, response.status_int, f'{operations}: {response.text}')
        self.assertEqual(before, self.pipeline.call('GET', f'/v2/images/{image_id}', as_='admin').json)

    def shown(self, image_id: str) -> list[str]:
        return [location['url'] for location in self.pipeline.show(image_id)['locations']]


class AddTest(PatchCase):
    def test_the_first_one_makes_the_image_active(self) -> None:
        image_id = self.pipeline.image()
        self.assertEqual([], self.pipeline.show(image_id)['locations'])
        image = self.patched(image_id, add(self.urls[0], validation_data=DIGESTS))
        self.assertEqual(
            ('active', len(DATA), MD5, 'sha512', SHA512, None, [at(self.urls[0], store='web')]),
            tuple(
                image[name]
                for name in (
                    'status',
                    'size',
                    'checksum',
                    'os_hash_algo',
                    'os_hash_value',
                    'virtual_size',
                    'locations',
                )
            ),
        )
        self.assertEqual(DATA, self.pipeline.download(image_id))
        self.assertEqual((len(DATA), 0), self.pipeline.used())

    def test_nobody_reads_it_so_nothing_is_known_of_it(self) -> None:
        image = self.patched(self.pipeline.image(), replace(at(self.urls[0]), at(self.urls[1], note='slow')))
        self.assertEqual(('active', None, None), (image['status'], image['checksum'], image['os_hash_algo']))
        self.assertEqual([{'store': 'web'}, {'note': 'slow', 'store': 'web'}],
                         [location['metadata'] for location in image['locations']])  # fmt: skip

    def test_more_of_them(self) -> None:
        image_id = self.located(self.urls[0])
        response = self.pipeline.patch(
            image_id, {'add': '/locations/0', 'value': at(self.urls[1])}, media=V20
        )
        self.assertEqual(200, response.status_int, response.text)
        self.patched(image_id, add(self.urls[2], '77'))
        self.assertEqual(self.urls, self.shown(image_id))
        self.assertEqual((3 * len(DATA), 0), self.pipeline.used())

    def test_formats_in_the_same_patch(self) -> None:
        image_id = self.pipeline.image(None)
        formats = [{'op': 'add', 'path': '/disk_format', 'value': 'raw'},
                   {'op': 'add', 'path': '/container_format', 'value': 'bare'}]  # fmt: skip
        self.refused(400, image_id, add(self.urls[0]))
        self.refused(400, image_id, add(self.urls[0]), *formats)
        self.assertEqual('active', self.patched(image_id, *formats, add(self.urls[0]))['status'])

    def test_refusals(self) -> None:
        queued, active, staged = self.pipeline.image(), self.located(self.urls[0]), self.pipeline.image()
        self.pipeline.stage(staged, b'data')
        web, other = self.urls[1], self.serve(DATA + b'x')
        for expected, image_id, operation in (
            (409, staged, add(web)),
            (400, active, add(web, 'x')), (400, active, add(web, '-1')), (400, active, add(web, '')),
            (400, queued, {'op': 'add', 'path': '/locations', 'value': at(web)}),
            (400, queued, {'op': 'add', 'path': '/locations/-/url', 'value': web}),
            (400, queued, {'op': 'add', 'path': '/locations/-', 'value': web}),
            (400, queued, {'op': 'add', 'path': '/locations/-', 'value': {'url': web}}),
            (400, queued, {'op': 'add', 'path': '/locations/-', 'value': {'metadata': {}}}),
            (400, queued, {'op': 'add', 'path': '/locations/-', 'value': at(web, size=1)}),
            (400, queued, {'op': 'replace', 'path': '/locations', 'value': at(web)}),
            (400, queued, add('http://127.0.0.1/' + 'x' * 255)),
            (400, active, add(self.urls[0])),  # it has that one
            (400, active, add(other)),  # other bytes
            (400, queued, add(self.serve(b''))),
            (400, queued, add(self.pipeline.source.url('/nothing'))),
            (400, queued, add('http://169.254.169.254/')), (400, queued, add('http://127.0.0.1:1/')),
            (403, queued, add('file:///etc/passwd')), (403, queued, add('rbd://a/b/c/d')),
            (403, queued, replace()), (403, active, replace()),
            (400, active, replace(at(web))), (400, active, replace(at(self.urls[0]), at(web))),
            (400, queued, replace(at(web), at(web))),
        ):  # fmt: skip
            self.refused(expected, image_id, operation)
        self.assertEqual(200, self.pipeline.patch(queued, add(web)).status_int)

    def test_who_may(self) -> None:
        image_id = self.pipeline.image(visibility='community')
        vault = self.keep()
        for expected, caller, url in (
            (403, 'reader', self.urls[0]), (403, 'theirs', self.urls[0]), (403, 'ours', vault),
            (403, 'admin', vault), (400, 'service_admin', 'file:///etc/passwd'),
            (400, 'service_admin', 'swift+config://a/b/c'), (400, 'service_admin', 'ftp://a/b'),
        ):  # fmt: skip
            self.refused(expected, image_id, add(url), as_=caller)
        image = self.patched(image_id, add(vault), as_='service_admin')
        self.assertEqual([at(vault, store='vault')], image['locations'])

    def test_validation_data(self) -> None:
        fields = (
            {**DIGESTS, 'os_hash_algo': 'sha256'}, {**DIGESTS, 'os_hash_value': 'x' * 128},
            {**DIGESTS, 'os_hash_value': SHA512[1:]}, {**DIGESTS, 'checksum': 'x' * 32},
        )  # fmt: skip
        image_id = self.pipeline.image()
        for given in fields:
            self.refused(409, image_id, add(self.urls[0], validation_data=given))
        for given in ({'checksum': MD5}, {**DIGESTS, 'checksum': MD5[1:]}, {**DIGESTS, 'more': 'x'}, []):
            self.refused(400, image_id, add(self.urls[0], validation_data=given))
        first = {**at(self.urls[0]), 'validation_data': DIGESTS}
        second = {**at(self.urls[1]), 'validation_data': {**DIGESTS, 'checksum': MD5[::-1]}}
        self.refused(409, image_id, replace(first, second))
        self.patched(image_id, replace(first, {**second, 'validation_data': DIGESTS}))
        self.patched(image_id, add(self.urls[2], validation_data=DIGESTS))  # what is known already
        again = {**DIGESTS, 'os_hash_value': SHA512[::-1]}
        self.refused(409, image_id, add(self.serve(), validation_data=again))
        self.refused(409, self.located(self.urls[0]), add(self.urls[1], validation_data=DIGESTS))


class ReplaceAndRemoveTest(PatchCase):
    def test_metadata_are_replaced(self) -> None:
        image_id = self.located(*self.urls[:2])
        image = self.patched(image_id, replace(at(self.urls[1], note='b'), at(self.urls[0], store='web')))
        self.assertEqual([at(self.urls[0], store='web'), at(self.urls[1], note='b', store='web')],
                         image['locations'])  # fmt: skip

    def test_removing_deletes_the_data_that_is_ours(self) -> None:
        vault = self.keep()
        image_id = self.located(self.urls[0], vault)
        self.assertEqual([vault, self.urls[0]], self.shown(image_id))
        self.patched(image_id, remove(0), {'op': 'replace', 'path': '/name', 'value': 'less'}, as_='admin')
        self.assertEqual(([self.urls[0]], {}), (self.shown(image_id), self.vault.contents))
        self.assertEqual((len(DATA), 0), self.pipeline.used())

    def test_what_is_somebody_elses_stays_there(self) -> None:
        image_id = self.located(*self.urls)
        self.patched(image_id, remove(2), remove(0), as_='admin')
        self.assertEqual([self.urls[1]], self.shown(image_id))
        methods = {request.method for request in self.pipeline.source.requests}
        self.pipeline.delete(image_id)
        self.assertEqual({'GET'}, methods)
        self.assertEqual(([], (0, 0)), (self.pipeline.locations(), self.pipeline.used()))

    def test_a_store_that_keeps_it_fails_the_whole_patch(self) -> None:
        image_id = self.located(self.urls[0], self.keep())
        for failure, expected in ((errors.StoreInUse, 409), (errors.StoreDenied, 403)):
            self.vault.fail_on('delete', failure)
            operations = remove(0), {'op': 'replace', 'path': '/name', 'value': 'other'}
            response = self.pipeline.patch(image_id, *operations, as_='admin')
            self.assertEqual(expected, response.status_int)
            shown = self.pipeline.show(image_id)
            self.assertEqual((None, 2), (shown['name'], len(shown['locations'])))

    def test_refusals(self) -> None:
        image_id, one = self.located(*self.urls[:2]), self.located(self.urls[0])
        deactivated = self.located(*self.urls[:2])
        self.pipeline.deactivate(deactivated)
        for expected, target, operations, caller in (
            (403, image_id, [remove(0)], 'ours'), (403, one, [remove(0)], 'admin'),
            (403, image_id, [remove(0), remove(0)], 'admin'),
            (400, image_id, [remove(2)], 'admin'), (400, image_id, [remove('-')], 'admin'),
            (400, image_id, [remove('x')], 'admin'),
            (400, image_id, [{'op': 'remove', 'path': '/locations'}], 'admin'),
            (409, deactivated, [remove(0)], 'admin'), (409, self.pipeline.image(), [remove(0)], 'admin'),
            # It is refused before anything is deleted.
            (409, image_id, [remove(0), {'op': 'remove', 'path': '/nothing'}], 'admin'),
        ):  # fmt: skip
            self.refused(expected, target, *operations, as_=caller)

    def test_what_the_same_patch_removes_is_not_added_again(self) -> None:
        image_id = self.located(*self.urls[:2])
        self.refused(400, image_id, remove(0), add(self.urls[0]), as_='service_admin')
        self.assertEqual(self.urls[:2], self.shown(image_id))


class InsteadTest(PatchCase):
    """A patch adds a location and removes the only one there was: the image is never without data."""

    def setUp(self) -> None:
        super().setUp()
        self.old, self.new = self.keep(), self.keep()
        self.image_id = self.located(self.old)
        self.name = {'op': 'replace', 'path': '/name', 'value': 'moved'}

    def moved(self) -> int:
        """What is answered to the patch."""
        value = at(self.new, note='new')
        operations = {'op': 'add', 'path': '/locations/-', 'value': value}, remove(0), self.name
        return self.pipeline.patch(self.image_id, *operations, as_='service_admin').status_int

    def lies_at(self, url: str, *, name: str | None) -> None:
        """There and nowhere else, and nothing else is counted."""
        shown = self.pipeline.show(self.image_id)
        self.assertEqual(('active', name), (shown['status'], shown['name']))
        self.assertEqual([url], self.shown(self.image_id))
        self.assertEqual(DATA, self.pipeline.download(self.image_id))
        self.assertEqual((len(DATA), 0), self.pipeline.used())
        self.assertEqual(['active'], [row.state for row in self.pipeline.locations(self.image_id)])

    def objects(self) -> list[str]:
        return sorted(map(self.vault.url, self.vault.contents))

    def before_the_delete(self, what: Callable[[], object]) -> None:
        """`what` happens when the store is asked to delete, the first time."""
        delete = self.vault.delete

        def deleting(url: str) -> None:
            self.vault.delete = delete
            what()
            delete(url)

        self.vault.delete = deleting

    def test_it_lies_there_then(self) -> None:
        seen = []
        self.before_the_delete(lambda: seen.append(self.pipeline.download(self.image_id)))
        self.assertEqual((200, [DATA]), (self.moved(), seen))
        self.lies_at(self.new, name='moved')
        self.assertEqual([self.new], self.objects())
        (location,) = self.pipeline.show(self.image_id)['locations']
        self.assertEqual({'note': 'new', 'store': 'vault'}, location['metadata'])

    def test_it_stays_where_it_is_if_the_store_keeps_it(self) -> None:
        for failure, expected in ((errors.StoreInUse, 409), (errors.StoreDenied, 403)):
            self.vault.fail_on('delete', failure)
            self.assertEqual(expected, self.moved())
            self.lies_at(self.old, name=None)
        self.assertEqual(sorted((self.old, self.new)), self.objects())

    def test_a_process_that_dies_in_the_middle_leaves_it_whole(self) -> None:
        """Before the store was asked, and when it has answered."""
        for module, function in ((removals, 'remove_bytes'), (deletion, 'conclude')):
            with fixtures.MonkeyPatch(f'{module.__name__}.{function}', lambda *_: sys.exit()):
                self.assertRaises(SystemExit, self.moved)
            self.assertEqual(DATA, self.pipeline.download(self.image_id))
            wait_until(lambda: self.pipeline.sweep() or len(self.pipeline.locations()) == 1, 'the sweep')
            self.lies_at(self.new, name=None)
            self.assertEqual([self.new], self.objects())
            self.new = self.keep()

    def test_whoever_removes_the_new_one_meanwhile_has_removed_it(self) -> None:
        third = self.keep()
        self.before_the_delete(
            lambda: self.patched(self.image_id, add(third), remove(0), as_='service_admin')
        )
        self.assertEqual(200, self.moved())
        self.lies_at(third, name='moved')
        self.assertEqual([third], self.objects())


class RefusedTest(PatchCase):
    """Members may remove locations here, and nothing is removed for a patch that is refused."""

    def setUp(self) -> None:
        policy = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(policy, 'w') as file:
            file.write('"delete_image_location": "role:member"\n')
        self.overrides = {'oslo_policy.policy_file': policy}
        super().setUp()

    def test_whatever_it_is_that_may_not_be(self) -> None:
        image_id = self.located(self.urls[0], self.keep())
        for expected, name, value in (
            (403, 'visibility', 'public'), (403, 'owner', 'theirs'), (413, 'tags', [*map(str, range(200))]),
        ):  # fmt: skip
            operation = {'op': 'replace', 'path': f'/{name}', 'value': value}
            self.refused(expected, image_id, remove(0), operation)
        self.assertEqual(1, len(self.vault.contents))
        self.patched(image_id, remove(0))
        self.assertEqual({}, self.vault.contents)


class LimitedTest(PatchCase):
    overrides = {'image_location_quota': 2, 'user_storage_quota': str(3 * len(DATA))}

    def test_quotas(self) -> None:
        image_id = self.located(*self.urls[:2])
        self.refused(413, image_id, add(self.urls[2]))
        self.refused(413, self.pipeline.image(), replace(*map(at, self.urls)))
        self.refused(413, self.pipeline.image(), replace(*map(at, self.urls[:2])))
        self.located(self.urls[2])

    def test_what_is_removed_makes_room_and_nothing_is_removed_for_what_has_none(self) -> None:
        image_id, other = self.located(self.urls[0]), self.keep()
        self.located(self.keep(), self.keep())
        self.refused(413, image_id, add(self.urls[1]), remove(0), add(self.urls[2]), as_='admin')
        self.assertEqual(self.urls[:1], self.shown(image_id))
        self.patched(image_id, add(other), remove(0), as_='service_admin')
        self.assertEqual(([other], (3 * len(DATA), 0)), (self.shown(image_id), self.pipeline.used()))

    def test_no_more_urls_are_looked_at_than_there_may_be(self) -> None:
        image_id = self.pipeline.image()
        asked = len(self.pipeline.source.requests)
        many = [f'{self.urls[0]}?{number}' for number in range(9)]
        self.refused(413, image_id, replace(*map(at, many)))
        self.refused(413, image_id, *map(add, many))
        self.assertEqual(asked, len(self.pipeline.source.requests))


class HiddenTest(PatchCase):
    overrides = {'show_multiple_locations': False}

    def test_what_is_not_shown_is_not_changed(self) -> None:
        image_id = self.pipeline.image()
        for operation in (add(self.urls[0]), replace(at(self.urls[0]))):
            self.refused(403, image_id, operation)
        self.refused(403, image_id, remove(0), as_='admin')
        self.assertNotIn('locations', self.pipeline.show(image_id))
