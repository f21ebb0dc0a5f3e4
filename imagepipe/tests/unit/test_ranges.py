"""Which bytes a Range means (reference, section 8.2)."""

import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain.ranges import RangeRequest


def _cases(cases: list[tuple[str, object]]) -> list[tuple[str, dict]]:
    return [(repr(text), {'text': text, 'expected': expected}) for text, expected in cases]


class RangeTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = _cases(
        [
            ('bytes=0-0', (0, 1)),
            ('bytes=0-99', (0, 100)),
            ('bytes=10-19', (10, 20)),
            ('bytes=90-', (90, 100)),
            ('bytes=90-1000', (90, 100)),
            ('bytes=-1', (99, 100)),
            ('bytes=-100', (0, 100)),
            ('bytes=-1000', (0, 100)),
            ('Bytes = 5-6 ', (5, 7)),
        ]
    )

    def test_resolves(self) -> None:
        self.assertEqual(self.expected, RangeRequest(text=self.text).resolve(100))


class RefusedRangeTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = _cases(
        [
            ('bytes=100-', 416),
            ('bytes=100-200', 416),
            ('bytes=20-10', 416),
            ('bytes=-0', 416),
            ('bytes=-', 416),
            ('bytes=a-b', 416),
            ('bytes=1-2x', 416),
            ('items=0-1', 416),
            ('0-1', 416),
            ('bytes=--1', 416),
            ('bytes=0-1,5-6', 400),
            ('bytes=0-1, 5-6', 400),
        ]
    )

    def test_is_refused(self) -> None:
        error = self.assertRaises(errors.ImagepipeError, RangeRequest(text=self.text).resolve, 100)
        self.assertEqual(self.expected, error.status)
        if error.status == 416:
            self.assertEqual({'Content-Range': 'bytes */100'}, error.headers)


class OldRangeTest(testscenarios.WithScenarios, testtools.TestCase):
    """A Content-Range in a request, as old clients send it."""

    scenarios = _cases(
        [
            ('bytes 0-9/*', (0, 10)),
            ('bytes 10-19/100', (10, 20)),
            ('bytes 90-199/200', (90, 100)),
            ('bytes 90-199/*', None),
            ('bytes 100-199/200', None),
            ('bytes 9-0/*', None),
            ('bytes=0-9', None),
        ]
    )

    def test_works_like_a_range(self) -> None:
        request = RangeRequest(text=self.text, content=True)
        if self.expected is None:
            self.assertRaises(errors.RangeNotSatisfiable, request.resolve, 100)
        else:
            self.assertEqual(self.expected, request.resolve(100))


class EmptyDataTest(testtools.TestCase):
    def test_no_range_of_nothing_exists(self) -> None:
        for text in ('bytes=0-', 'bytes=-1', 'bytes=0-0'):
            self.assertRaises(errors.RangeNotSatisfiable, RangeRequest(text=text).resolve, 0)
