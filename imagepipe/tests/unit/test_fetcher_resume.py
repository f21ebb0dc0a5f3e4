"""A download whose connection breaks: continued, or failed; never joined from two versions."""

import time
from email.utils import formatdate

from imagepipe import errors
from imagepipe.sources.reasons import Reason
from imagepipe.tests.fixtures.fetching import FetcherTestCase, some_bytes
from imagepipe.tests.fixtures.http_server import OLD, Fault

DATA = some_bytes(300_000)


class ResumeTest(FetcherTestCase):
    def serve(self, **fault) -> str:
        self.server.serve('/image', DATA, fault=Fault(**fault))
        return self.server.url('/image')

    def ranges(self) -> list[str | None]:
        return [request.range for request in self.server.requests]

    def test_continued_where_it_broke(self):
        for reset in (False, True):
            self.server.requests.clear()
            self.assertEqual(DATA, self.fetch(self.serve(cut_after=123_456, reset=reset)))
            self.assertEqual(None, self.ranges()[0])
            self.assertEqual(2, len(self.server.requests))
            self.assertEqual('"', self.server.requests[1].headers['if-range'][0])

    def test_continued_exactly_at_the_byte(self):
        self.assertEqual(DATA, self.fetch(self.serve(cut_after=123_456)))
        self.assertEqual([None, 'bytes=123456-'], self.ranges())

    def test_bytes_that_were_read_before_the_break_are_kept(self):
        download = self.open(self.serve(cut_after=100_000))
        self.assertEqual(DATA[:99_999], download.read(99_999))
        self.assertEqual(DATA[99_999:], download.read(1_000_000))

    def test_continued_again_and_again(self):
        self.assertEqual(DATA, self.fetch(self.serve(cut_after=80_000, cuts=3)))
        self.assertEqual([None, 'bytes=80000-', 'bytes=160000-', 'bytes=240000-'], self.ranges())

    def test_continued_at_the_very_beginning(self):
        self.assertEqual(DATA, self.fetch(self.serve(cut_after=0)))
        self.assertEqual([None, None], self.ranges())

    def test_not_more_often_than_allowed(self):
        download = self.open(self.serve(cut_after=10, cuts=1000))
        error = self.assertRaises(errors.SourceTruncated, download.read)
        self.assertEqual({'found': 50, 'expected': len(DATA)}, error.facts)
        self.assertEqual(5, len(self.server.requests))

    def test_a_failed_or_closed_download_never_looks_complete(self):
        for chunked in (False, True):
            download = self.open(self.serve(cut_after=1000, accept_ranges='none', chunked=chunked))
            self.assertRaises(errors.ImagepipeError, download.read)
            self.assertRaises(ValueError, download.read)
        download = self.open(self.serve(chunked=True))
        download.read(1000)
        download.close()
        self.assertRaises(ValueError, download.read)

    def test_by_date_where_there_is_no_etag(self):
        self.assertEqual(DATA, self.fetch(self.serve(cut_after=1000, etag='')))
        self.assertEqual(OLD, self.server.requests[1].headers['if-range'])

    def test_chunked_data_that_is_cut_off_is_continued(self):
        download = self.open(self.serve(cut_after=100_000, chunked=True))
        self.assertEqual(DATA, download.read())
        self.assertEqual(2, len(self.server.requests))

    def test_chunked_data_whose_end_is_cut_off_is_complete(self):
        download = self.open(self.serve(cut_after=len(DATA), chunked=True))
        self.assertEqual((DATA, len(DATA)), (download.read(), download.total))

    def test_without_a_strong_validator_it_fails_to_be_tried_anew(self):
        just_now = formatdate(time.time() + 60, usegmt=True)
        for fault in (
            {'etag': '', 'last_modified': ''},
            {'etag': 'W/"weak"'},
            {'etag': 'unquoted'},
            {'etag': '', 'last_modified': just_now},
            {'etag': '', 'last_modified': 'yesterday'},
            {'accept_ranges': 'none'},
        ):
            self.server.requests.clear()
            download = self.open(self.serve(cut_after=1000, reset=True, **fault))
            self.assertIsNone(download.validator)
            error = self.assertRaises(errors.ImagepipeError, download.read)
            self.assertTrue(error.transient)
            self.assertEqual(1, len(self.server.requests))

    def test_a_short_body_is_never_the_end(self):
        for chunked in (False, True):
            download = self.open(self.serve(short_by=1, etag='', last_modified='', chunked=chunked))
            error = self.assertRaises(errors.ImagepipeError, download.read)
            expected = errors.SourceUnavailable if chunked else errors.SourceTruncated
            self.assertEqual((expected, True), (type(error), error.transient))

    def test_a_server_that_is_always_short(self):
        download = self.open(self.serve(short_by=1))
        error = self.assertRaises(errors.SourceTruncated, download.read)
        self.assertEqual({'found': len(DATA) - 1, 'expected': len(DATA)}, error.facts)

    def test_other_data_is_noticed(self):
        for change in ('data', 'etag', 'total', 'first', 'last'):
            download = self.open(self.serve(cut_after=1000, changed_on_resume=change))
            error = self.assertRaises(errors.SourceChanged, download.read)
            self.assertTrue(error.transient)

    def test_data_replaced_in_between_is_noticed(self):
        for etag in (None, ''):
            fault = Fault(stall_after=1000, stalls=1, etag=etag)
            self.server.serve('/image', DATA, fault=fault)
            download = self.open(self.server.url('/image'), fetcher=self.fetcher(read_timeout=0.3))
            changed = Fault(etag=etag, last_modified='Tue, 07 Jan 2025 10:00:00 GMT')
            self.server.serve('/image', DATA[::-1], fault=changed)
            self.assertRaises(errors.SourceChanged, download.read)

    def test_data_replaced_before_the_first_byte_is_noticed(self):
        download = self.open(self.serve(cut_after=0))
        self.server.serve('/image', DATA[::-1])
        self.assertRaises(errors.SourceChanged, download.read)

    def test_bytes_past_the_end_are_not_read(self):
        download = self.open(self.serve(cut_after=1000))
        self.server.serve('/image', DATA, fault=Fault(unframed=True, long_by=50))
        self.assertEqual(DATA, download.read())

    def test_a_server_that_cannot_continue(self):
        download = self.open(self.serve(cut_after=1000, ranges=False))
        error = self.assertRaises(errors.SourceUnavailable, download.read)
        self.assertEqual((Reason.NO_RESUME, True), (error.facts['reason'], error.transient))
        self.assertEqual([None, 'bytes=1000-'], self.ranges())

    def test_a_server_that_is_gone_for_a_while(self):
        download = self.open(self.serve(cut_after=1000))
        self.server.serve('/image', DATA, fault=Fault(flaky=(3, 4)))
        self.assertEqual(DATA, download.read())
        self.assertEqual(5, len(self.server.requests))

    def test_a_server_that_is_gone_for_good(self):
        download = self.open(self.serve(cut_after=1000))
        self.server.serve('/image', DATA, fault=Fault(status=500))
        error = self.assertRaises(errors.SourceUnavailable, download.read)
        self.assertEqual((Reason.SERVER_ERROR, 5), (error.facts['reason'], len(self.server.requests)))

    def test_data_that_is_gone(self):
        download = self.open(self.serve(cut_after=1000))
        self.server.serve('/image', DATA, fault=Fault(status=404))
        error = self.assertRaises(errors.SourceNotFound, download.read)
        self.assertEqual(({'status': 404}, 2), (error.facts, len(self.server.requests)))

    def test_retry_after_is_obeyed_within_bounds(self):
        asked: list[float] = []
        fetcher = self.fetcher(max_retry_after=0.05, max_reconnects=2)
        download = self.open(self.serve(cut_after=1000), fetcher=fetcher)
        pause = download._watch.pause
        download._watch.pause = lambda seconds: (asked.append(seconds), pause(seconds))
        self.server.serve('/image', DATA, fault=Fault(status=503, retry_after='3600'))
        self.assertRaises(errors.SourceUnavailable, download.read)
        self.assertEqual([0.001, 0.05], asked)

    def test_the_delay_doubles_while_nothing_comes_and_has_a_bound(self):
        asked: list[float] = []
        fetcher = self.fetcher(max_reconnects=7)
        download = self.open(self.serve(cut_after=1000), fetcher=fetcher)
        download._watch.pause = asked.append
        self.server.serve('/image', DATA, fault=Fault(status=500))
        self.assertRaises(errors.SourceUnavailable, download.read)
        self.assertEqual([0.001, 0.002, 0.004, 0.008, 0.01, 0.01, 0.01], asked)

    def test_the_delay_begins_anew_after_progress(self):
        asked: list[float] = []
        download = self.open(self.serve(cut_after=100_000, cuts=3))
        download._watch.pause = asked.append
        self.assertEqual(DATA, download.read())
        self.assertEqual([0.001, 0.001], asked)


class OffsetTest(FetcherTestCase):
    """Continuing a download in another process."""

    def setUp(self) -> None:
        super().setUp()
        self.server.serve('/image', DATA)
        self.url = self.server.url('/image')

    def test_from_an_offset_under_a_validator(self):
        first = self.open(self.url)
        first.read(1000)
        second = self.open(self.url, offset=first.offset, validator=first.validator)
        self.assertEqual((1000, len(DATA)), (second.offset, second.total))
        self.assertEqual(DATA[1000:], second.read())

    def test_from_the_end(self):
        download = self.open(self.url, offset=len(DATA), validator=self.open(self.url).validator)
        self.assertEqual((b'', len(DATA)), (download.read(), download.total))

    def test_past_the_end_or_under_another_validator_it_begins_anew(self):
        validator = self.open(self.url).validator
        for offset, condition in (
            (len(DATA) + 1, validator),
            (1000, '"another"'),
            (1000, OLD[:-5] + '1 GMT'),
        ):
            self.assertRaises(errors.SourceChanged, self.open, self.url, offset=offset, validator=condition)

    def test_without_a_validator_it_begins_anew(self):
        self.assertRaises(errors.SourceChanged, self.open, self.url, offset=1000)

    def test_a_validator_that_splits_the_request_is_refused(self):
        self.server.requests.clear()
        self.assertRaises(errors.SourceInvalid, self.open, self.url, offset=1, validator='"a"\r\nX-Evil: 1')
        self.assertEqual([], self.server.requests)
