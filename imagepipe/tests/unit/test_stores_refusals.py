"""What drivers and their libraries raise, in our words."""

import errno

import fixtures
import testtools
from glance_store import exceptions as theirs
from swiftclient import ClientException

from imagepipe import errors
from imagepipe.stores.refusals import Border, translate


def foreign(name, module='rbd', **attributes):
    return type(name, (Exception,), {'__module__': module, **attributes})()


def boto(status, code):
    return foreign(
        'ClientError',
        'botocore.exceptions',
        response={'ResponseMetadata': {'HTTPStatusCode': status}, 'Error': {'Code': code}},
    )


def wrapped(outer, inner):
    try:
        try:
            raise inner
        except type(inner):
            raise outer  # noqa: B904  as the drivers do it
    except type(outer) as error:
        return error


class RefusalsTest(testtools.TestCase):
    def test_each_has_one_of_our_classes(self):
        for error, expected in (
            (theirs.NotFound(image='x'), errors.StoreObjectMissing),
            (theirs.StorageFull(), errors.StoreFull),
            (theirs.StorageWriteDenied(), errors.StoreDenied),
            (theirs.Forbidden(), errors.StoreDenied),
            (theirs.InUseByStore(), errors.StoreInUse),
            (theirs.HasSnapshot(), errors.StoreInUse),
            (theirs.BadStoreUri(uri='x'), errors.StorePermanent),
            (theirs.StoreAddDisabled(), errors.StoreReadOnly),
            (theirs.RemoteServiceUnavailable(), errors.StoreTransient),
            (theirs.TimeoutError(timeout=1), errors.StoreTransient),
            (theirs.BackendException('x'), errors.StoreTransient),
            (ClientException('x', http_status=503), errors.StoreTransient),
            (ClientException('x', http_status=401), errors.StoreDenied),
            (ClientException('x', http_status=413), errors.StoreFull),
            (ClientException('x', http_status=507), errors.StoreFull),
            (ClientException('x', http_status=404), errors.StoreObjectMissing),
            (ClientException('connection broken'), errors.StoreTransient),
            (boto(403, 'AccessDenied'), errors.StoreDenied),
            (boto(403, 'QuotaExceeded'), errors.StoreFull),
            (boto(503, 'SlowDown'), errors.StoreTransient),
            (boto(404, 'NoSuchKey'), errors.StoreObjectMissing),
            (boto(400, 'InvalidRequest'), errors.StorePermanent),
            (foreign('EndpointConnectionError', 'botocore.exceptions'), errors.StoreTransient),
            (foreign('ImageNotFound'), errors.StoreObjectMissing),
            (foreign('NoSpace'), errors.StoreFull),
            (foreign('ImageBusy'), errors.StoreInUse),
            (foreign('TimedOut', 'rados'), errors.StoreTransient),
            (foreign('PermissionError', 'rados'), errors.StoreDenied),
            (ConnectionResetError(), errors.StoreTransient),
            (TimeoutError(), errors.StoreTransient),
            (OSError(errno.ENOSPC, 'x'), errors.StoreFull),
            (OSError(errno.EROFS, 'x'), errors.StoreDenied),
        ):
            self.assertIs(expected, type(translate(error, 'fast')), repr(error))

    def test_what_a_driver_wraps_says_more_than_the_wrapping(self):
        for outer, inner, expected in (
            (theirs.BadStoreConfiguration(), boto(503, 'SlowDown'), errors.StoreTransient),
            (theirs.BadStoreConfiguration(), boto(403, 'AccessDenied'), errors.StoreDenied),
            (theirs.BadStoreUri(uri='x'), ConnectionRefusedError(), errors.StoreTransient),
            (theirs.BadStoreUri(uri='x'), ValueError(), errors.StorePermanent),
            (theirs.BackendException(), ClientException('x', http_status=507), errors.StoreFull),
        ):
            self.assertIs(expected, type(translate(wrapped(outer, inner), 'fast')))

    def test_a_defect_of_ours_is_not_hidden(self):
        for error in (TypeError('x'), KeyError('x'), KeyboardInterrupt()):
            self.assertIsNone(translate(error, 'fast'))

    def test_our_own_errors_pass_the_border(self):
        def cross():
            with Border('fast'):
                raise errors.SourceChanged

        self.assertRaises(errors.SourceChanged, cross)

    def test_no_credentials_in_sentence_or_log(self):
        logged = self.useFixture(fixtures.FakeLogger())

        def cross():
            with Border('fast'):
                raise ClientException('PUT swift+https://user:secret@host/c/o failed', http_status=500)

        error = self.assertRaises(errors.StoreTransient, cross)

        self.assertNotIn('secret', str(error) + logged.output)
        self.assertIn('fast', logged.output)
