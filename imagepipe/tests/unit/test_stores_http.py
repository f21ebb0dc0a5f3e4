"""The http store: reading only, and what a web server can do wrong."""

import itertools
import os
import threading

import fixtures
import testtools

from imagepipe import errors
from imagepipe.sources.fetcher import Fetcher
from imagepipe.sources.limits import Limits
from imagepipe.sources.rules import UrlRules
from imagepipe.stores import loading
from imagepipe.stores.store import Store
from imagepipe.tests.fixtures import stores
from imagepipe.tests.fixtures.http_server import Fault, HttpServer

MIB = 1 << 20


class HttpStoreTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.server = self.useFixture(HttpServer())
        root = self.useFixture(fixtures.TempDir()).path
        conf = stores.configuration(
            {'cheap': 'file', 'web': 'http'}, 'cheap', cheap={'filesystem_store_datadir': root}
        )
        rules = UrlRules(allowed_networks=['127.0.0.0/8'], allowed_ports=[self.server.port, 9])
        self.fetcher = Fetcher(rules=rules, limits=Limits(max_reconnects=1, reconnect_delay=0.001))
        self.store = loading.load(conf, fetcher=self.fetcher)['web']
        self.data = os.urandom(2 * MIB + 11)

    def serve(self, fault=None):
        self.server.serve('/image', self.data, **({'fault': fault} if fault else {}))
        return self.server.url('/image')

    def read(self, url, offset=0):
        with self.store.open(url, offset) as reader:
            return reader.read()

    def test_it_is_a_store_that_takes_nothing(self):
        self.assertIsInstance(self.store, Store)
        self.assertTrue(self.store.read_only)
        self.store.check()
        for use in (
            lambda: self.store.put('x', None, 1),
            lambda: self.store.delete(self.serve()),
        ):
            self.assertRaises(errors.StoreReadOnly, use)
        self.assertRaises(errors.StorePermanent, self.store.names)

    def test_objects_are_read_whole_and_from_an_offset(self):
        url = self.serve()

        self.assertEqual(len(self.data), self.store.size(url))
        for offset in (0, 1, MIB, len(self.data), len(self.data) + 5):
            self.assertEqual(self.data[offset:], self.read(url, offset))

    def test_what_a_server_can_answer(self):
        for status, expected in (
            (404, errors.StoreObjectMissing),
            (403, errors.StoreDenied),
            (503, errors.StoreTransient),
            (429, errors.StoreTransient),
            (400, errors.StorePermanent),
        ):
            url = self.serve(Fault(status=status))

            self.assertRaises(expected, self.store.open, url)

    def test_a_server_that_does_not_tell_sizes(self):
        # Some answer HEAD with 403 and GET with the data; others do not tell, and may send for ever.
        self.assertEqual(len(self.data), self.store.size(self.serve(Fault(head_forbidden=True))))
        self.assertRaises(errors.StorePermanent, self.store.size, self.serve(Fault(chunked=True)))

    def test_a_body_that_ends_early_is_no_end(self):
        url = self.serve(Fault(cut_after=MIB))
        self.assertEqual(self.data, self.read(url))  # continued, since the server can tell the data again
        url = self.serve(Fault(cut_after=MIB, cuts=9, etag='', last_modified=''))

        self.assertRaises(errors.StoreTransient, self.read, url)

    def test_at_an_offset_only_the_rest_is_sent(self):
        url = self.serve()

        self.assertEqual(self.data[MIB:], self.read(url, MIB))
        self.assertEqual(f'bytes={MIB}-', self.server.requests[-1].range)

    def test_where_it_leads_is_checked_each_time(self):
        url = self.serve(Fault(redirect='http://169.254.169.254/latest/meta-data'))

        self.assertRaises(errors.StorePermanent, self.store.open, url)

    def test_a_reader_that_waits_ends_when_nobody_does(self):
        url = self.serve(Fault(stall_after=MIB))
        stopped = threading.Event()
        with self.store.open(url, cancelled=stopped.is_set) as reader:
            self.assertEqual(self.data[:MIB], reader.read(MIB))
            stopped.set()
            self.assertRaises(errors.ImportCancelled, reader.read, 1)
        self.server.release.set()

    def test_nor_is_an_answer_waited_for(self):
        url = self.serve(Fault(stall_after=0))
        asked = itertools.count()
        cancelled = lambda: bool(self.server.requests) and next(asked) > 0  # noqa: E731  while it waits
        self.assertRaises(errors.ImportCancelled, self.store.open, url, cancelled=cancelled)
        self.server.release.set()

    def test_a_server_that_is_not_there(self):
        self.assertRaises(errors.StoreTransient, self.store.open, 'http://127.0.0.1:9/x')
        self.assertRaises(errors.StoreTransient, self.store.size, 'http://127.0.0.1:9/x')

    def test_urls_that_are_no_web_addresses(self):
        for url in ('file:///etc/passwd', 'ftp://127.0.0.1/x', '', 'http://'):
            self.assertRaises(errors.StorePermanent, self.store.open, url)
