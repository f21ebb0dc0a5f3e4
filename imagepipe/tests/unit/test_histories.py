"""The judge of concurrent histories is judged itself."""

import testtools

from imagepipe.tests.fixtures.histories import History


class HistoryTest(testtools.TestCase):
    def test_what_may_be_seen(self) -> None:
        """Writes as (value, began, ended); what a look from 10 to 11 may show."""
        for writes, possible in (
            ([('a', 0, 1)], {'a'}),
            ([('a', 0, 1), ('b', 2, 3)], {'b'}),
            ([('a', 0, 3), ('b', 2, 4)], {'a', 'b'}),
            ([('a', 0, 1), ('b', 2, 3), ('c', 2, 4)], {'b', 'c'}),
            ([('a', 0, 9), ('b', 2, 3)], {'a', 'b'}),
            # The look overlaps a write, or comes before it.
            ([('a', 0, 1), ('b', 9, 12)], {'a', 'b'}),
            ([('a', 0, 1), ('b', 10.5, 12)], {'a', 'b'}),
            ([('a', 0, 1), ('b', 12, 13)], {'a'}),
            # The slow one may have been the last, though another began after a third had ended.
            ([('a', 0, 1), ('b', 2, 9), ('c', 3, 4), ('d', 5, 6)], {'b', 'd'}),
        ):
            for value in 'abcdx':
                history = History()
                for written, began, ended in writes:
                    history.wrote(('cell',), written, began, ended)
                history.saw(('cell',), value, 10, 11)
                problems = list(history.problems())
                self.assertEqual(value in possible, problems == [], (writes, value, problems))

    def test_each_cell_has_its_own_history(self) -> None:
        history = History()
        history.wrote(('one',), 1, 0, 1)
        history.wrote(('two',), 2, 0, 1)
        history.saw(('one',), 2, 3, 4)
        self.assertEqual(["('one',) was shown as 2, and could be [1]"], list(history.problems()))
