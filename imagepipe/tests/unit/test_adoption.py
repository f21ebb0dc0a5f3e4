"""What becomes of an image of Glance: its status, its stores, and whether it is written at all."""

import collections
import dataclasses
import datetime

import testtools

from imagepipe import errors
from imagepipe.cmd.import_glance import _as_text
from imagepipe.domain.adoption import GlanceImage, Known, Outcome, Place, Report, outcome
from imagepipe.domain.image import Image, Status
from imagepipe.secrets import GlanceLocations

THEN = datetime.datetime(2026, 1, 2, 3, 4, 5)
LATER = THEN + datetime.timedelta(seconds=1)
IMAGE = Image(
    id='an-image',
    status=Status.ACTIVE,
    size=3,
    checksum='abc',
    created_at=THEN,
    updated_at=THEN,
    properties={'os_glance_import_task': 'a task', 'os_distro': 'debian'},
    tags=frozenset({'b', 'a'}),
)


def found(deleted_at=None, places=(), **attributes):
    return GlanceImage(
        image=dataclasses.replace(IMAGE, **attributes), deleted_at=deleted_at, places=tuple(places)
    )


def place(url='file:///there/an-image', store=None, **metadata):
    told = metadata if store is None else {**metadata, 'store': store}
    return Place(url=url, store=store, metadata=told, created_at=THEN)


class OutcomeTest(testtools.TestCase):
    def test_every_case(self):
        there, changed, deleted = found(), found(name='another'), found(deleted_at=THEN)
        adopted = Known(version=THEN, digest=there.digest, adopted=THEN)
        touched = Known(version=LATER, digest=there.digest, adopted=THEN)
        created, buried = Known(version=THEN), Known(buried=True)
        buried_since = Known(buried=True, digest=there.digest, adopted=THEN)
        for known, image, expected in (
            (Known(), there, Outcome.NEW),
            (Known(), deleted, Outcome.TOMBSTONE),
            (Known(), None, Outcome.UNCHANGED),
            (buried, there, Outcome.DELETED_HERE),
            (buried, deleted, Outcome.UNCHANGED),
            (buried_since, there, Outcome.DELETED_HERE),
            (buried_since, None, Outcome.UNCHANGED),
            (created, there, Outcome.CREATED_HERE),
            (created, deleted, Outcome.CREATED_HERE),
            (adopted, there, Outcome.UNCHANGED),
            (adopted, changed, Outcome.CHANGED),
            (adopted, deleted, Outcome.REMOVED),
            (adopted, None, Outcome.REMOVED),
            (touched, there, Outcome.UNCHANGED),
            (touched, changed, Outcome.CHANGED_HERE),
            (touched, deleted, Outcome.CHANGED_HERE),
            (touched, None, Outcome.CHANGED_HERE),
        ):
            self.assertIs(expected, outcome(known, image), (known, image))

    def test_what_makes_a_difference(self):
        digests = [
            each.digest
            for each in (
                found(), found(name='x'), found(tags=frozenset({'a'})), found(properties={}),
                found(updated_at=LATER), found(places=[place()]), found(places=[place(), place()]),
                found(places=[place(store='fast')]), found(deleted_at=THEN),
            )
        ]  # fmt: skip
        self.assertEqual(len(set(digests)), len(digests))
        self.assertEqual(digests[0], found(tags=frozenset(['a', 'b'])).digest)


class HereTest(testtools.TestCase):
    def here(self, **more):
        return found(**more).here({}, {}).image

    def test_statuses(self):
        for status in Status:
            unfinished = status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING)
            image = self.here(status=status)
            self.assertIs(Status.QUEUED if unfinished else status, image.status)
            self.assertEqual((None, None) if unfinished else (3, 'abc'), (image.size, image.checksum))

    def test_properties_about_imports_stay_there(self):
        self.assertEqual({'os_distro': 'debian'}, self.here().properties)

    def test_stores(self):
        stores = {'theirs': 'ours', 'rbd': 'fast'}
        kinds = {'file': 'only-file', 'rbd': 'only-rbd'}
        for given, expected in (
            (place(store='theirs'), ('ours', {'store': 'ours'})),
            (place(store='same', speed='slow'), ('same', {'store': 'same', 'speed': 'slow'})),
            (place(), ('only-file', {})),
            (place('rbd://a/b/c/snap'), ('fast', {})),
            (place('vsphere://host/x'), ('vsphere', {})),
        ):
            (here,) = found(places=[given]).here(stores, kinds).places
            self.assertEqual(expected, (here.store, here.metadata))
            self.assertEqual(given.url, here.url)

    def test_an_image_without_data_has_no_locations(self):
        for status in (Status.QUEUED, Status.SAVING, Status.KILLED):
            self.assertEqual((), found(status=status, places=[place()]).here({}, {}).places)


class LocationsTest(testtools.TestCase):
    """What Glance encrypted is decrypted in functional.test_import_glance."""

    KEY = '0123456789abcdef'

    def test_what_is_not_encrypted_stays(self):
        for key in (None, self.KEY):
            self.assertEqual('rbd://a/b', GlanceLocations(key).decrypt('rbd://a/b'))

    def test_what_cannot_be_read(self):
        for key, stored in (
            (None, 'AAAA'), (self.KEY, 'AAAA'), (self.KEY, ''), (self.KEY, 'é'), (self.KEY, 'QUJD' * 8),
        ):  # fmt: skip
            refused = self.assertRaises(errors.GlanceLocationUnreadable, GlanceLocations(key).decrypt, stored)
            self.assertNotIn(self.KEY, str(refused))

    def test_a_key_of_another_length(self):
        refused = self.assertRaises(errors.ConfigurationInvalid, GlanceLocations, 'short')
        self.assertNotIn('short', str(refused))


class ReportTest(testtools.TestCase):
    def test_what_an_operator_reads(self):
        report = Report(statuses=collections.Counter(saving=2), stores=collections.Counter(slow=1))
        for number in range(22):
            report.note(f'image-{number:02}', Outcome.CREATED_HERE)
        report.note('new', Outcome.NEW)
        self.assertFalse(report.complete)
        lines = _as_text(report, dry_run=True).splitlines()
        self.assertEqual(
            [
                'IMAGES                    NUMBER',
                'new                       1',
                'left alone: created here  22',
                '',
                'STATUS IN GLANCE  NUMBER  WHAT BECOMES OF IT',
                'saving            2       queued here: its data waits to be uploaded again',
                '',
                'STORE THAT IS NOT CONFIGURED HERE  LOCATIONS',
                'slow                               1',
                '',
                'LEFT ALONE  WHY',
                'image-00    left alone: created here',
            ],
            lines[:12],
        )
        self.assertEqual('There are 2 more of these: --format json lists them all.', lines[-3])
        self.assertEqual('Nothing was changed: this was a dry run.', lines[-1])

    def test_nothing_at_all(self):
        self.assertEqual(
            'Glance has no images and no metadata definitions.', _as_text(Report(), dry_run=False)
        )
        self.assertTrue(Report().complete)
