"""What people see of an import in a terminal, in a file, and in tables."""

import datetime
import io
import os
import re

import fixtures
import testtools

from imagepipe.cmd import display, import_record, tables
from imagepipe.cmd.display import Lines, Row, Screen

START = datetime.datetime(2026, 4, 1, 12, 0, 0, tzinfo=datetime.UTC)
MIB = 1 << 20


def at(seconds):
    """A moment as the API writes it."""
    if seconds is None:
        return None
    moment = START + datetime.timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(timespec='microseconds') + 'Z'


def step(name, state='pending', *, done=None, total=None, started=None, finished=None, attempt=0, error=None):
    return {
        'name': name, 'state': state, 'bytes_done': done, 'bytes_total': total, 'attempt': attempt,
        'started_at': at(started), 'finished_at': at(finished), 'updated_at': None, 'error_code': error,
        'worker': None,
    }  # fmt: skip


def shown(*steps, state='running', after=10.0):
    """The rows of an import with these steps, `after` seconds after its start."""
    return display.rows_of({'state': state, 'steps': steps}, START + datetime.timedelta(seconds=after))


STORY = [
    shown(step('stage'), step('store:fast'), state='accepted'),
    shown(step('stage', 'running', done=1 * MIB, total=8 * MIB, started=9.0, attempt=1), step('store:fast')),
    shown(step('stage', 'running', done=1 * MIB, total=8 * MIB, started=9.0, attempt=1), step('store:fast')),
    shown(
        step('stage', 'running', done=6 * MIB, total=8 * MIB, started=8.0, attempt=2), step('store:fast'),
        after=10.0,
    ),
    shown(
        step('stage', 'done', done=8 * MIB, total=8 * MIB, started=8.0, finished=12.0, attempt=2),
        step('store:fast', 'running', started=12.0, attempt=1), after=12.5,
    ),
    shown(
        step('stage', 'done', done=8 * MIB, total=8 * MIB, started=8.0, finished=12.0, attempt=2),
        step('store:fast', 'failed', started=12.0, finished=13.0, attempt=1, error='imagepipe.store.full'),
    ),
    shown(
        step('stage', 'reverting', done=8 * MIB, total=8 * MIB, started=8.0, attempt=2),
        step('store:fast', 'reverted', started=12.0, finished=13.0, attempt=1, error='imagepipe.store.full'),
    ),
    shown(
        step('stage', 'reverted', done=8 * MIB, started=8.0, finished=14.0, attempt=2),
        step('store:fast', 'reverted', started=12.0, finished=13.0, attempt=1, error='imagepipe.store.full'),
        step('activate', 'skipped'),
    ),
]  # fmt: skip


class LinesTest(testtools.TestCase):
    def test_one_line_for_each_change(self) -> None:
        told = io.StringIO()
        lines = Lines(told)
        for rows in STORY:
            lines.show(rows)
        lines.close()
        self.assertEqual([
            'stage: waits for a worker',
            'stage: running, 12 %, 1.0 MiB of 8.0 MiB, 1.0 MiB/s, 7.0 s left',
            'stage: running, 75 %, 6.0 MiB of 8.0 MiB, 3.0 MiB/s, 0.67 s left, attempt 2',
            'stage: done, 8.0 MiB, 4.0 s, 2.0 MiB/s, attempt 2',
            'store:fast: running, 0.50 s',
            'store:fast: failed, imagepipe.store.full',
            'stage: is undone, attempt 2',
            'store:fast: failed, undone, imagepipe.store.full',
            'stage: undone, attempt 2',
        ], told.getvalue().splitlines())  # fmt: skip

    def test_a_long_step_is_told_at_each_quarter(self) -> None:
        told = io.StringIO()
        lines = Lines(told)
        for done in range(0, 101):
            lines.show([Row(name='stage', state='running', done=done * MIB, total=100 * MIB, seconds=1.0)])
        percents = re.findall(r'(\d+) %', told.getvalue())
        self.assertEqual(['0', '25', '50', '75', '100'], percents)

    def test_a_stream_that_is_no_terminal_gets_lines(self) -> None:
        self.assertIsInstance(display.open_display(io.StringIO()), Lines)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = 'utf-8'

    def isatty(self):
        return True


class ScreenTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        for name, value in {'COLUMNS': '60', 'LINES': '24', 'TERM': 'xterm', 'NO_COLOR': '1'}.items():
            self.useFixture(fixtures.EnvironmentVariable(name, value))

    def frames(self, stories, **kinds):
        """What the terminal shows after each story: the screen redraws its own lines only."""
        stream = Terminal()
        screen = Screen(stream, **{'colours': False, 'unicode': True, **kinds})
        frames, lines, row = [], [], 0
        seen = len(stream.getvalue())
        for rows in stories:
            screen.show(rows)
            text = stream.getvalue()[seen:]
            seen = len(stream.getvalue())
            up = re.match(r'\x1b\[(\d+)A', text)
            row -= int(up.group(1)) if up else 0
            for line in text.split('\n')[:-1]:
                del lines[row : row + 1]
                lines.insert(row, re.sub(r'\x1b\[\d*[AKJ]|\r', '', line))
                row += 1
            del lines[row:]
            frames.append(list(lines))
        screen.close()
        return frames, stream.getvalue()

    def test_rows_are_redrawn_in_place(self) -> None:
        frames, written = self.frames(STORY)
        self.assertEqual(['  · stage       waits for a worker', '  · store:fast'], frames[0])
        self.assertEqual(
            ['  ⠙ stage       ██░░░░░░░░░░░░░░ 12 %, 1.0 MiB of 8.0 MiB, ', '  · store:fast'], frames[1]
        )
        self.assertEqual(
            ['  ✔ stage       8.0 MiB, 4.0 s, 2.0 MiB/s, attempt 2', '  ⠼ store:fast  0.50 s'], frames[4]
        )
        self.assertEqual([
            '  ↶ stage       undone, attempt 2',
            '  ↶ store:fast  failed, undone, imagepipe.store.full',
            '  · activate    skipped',
        ], frames[-1])  # fmt: skip
        self.assertTrue(written.startswith('\x1b[?25l') and written.endswith('\x1b[?25h'), 'the cursor')

    def test_no_line_is_wider_than_the_terminal(self) -> None:
        long = Row(name='store:' + 'x' * 90, state='failed', error='imagepipe.' + 'y' * 90)
        frames, _ = self.frames([[long]])
        self.assertEqual(59, len(frames[0][0]))

    def test_more_steps_than_lines_show_those_at_work(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('LINES', '5'))
        steps = [Row(name=f'step-{number}', state='done') for number in range(10)]
        steps[8] = Row(name='step-8', state='running')
        frames, _ = self.frames([steps])
        self.assertEqual(3, len(frames[0]))
        self.assertIn('step-8', frames[0][1])

    def test_ascii_where_the_terminal_has_no_more(self) -> None:
        frames, _ = self.frames(STORY, unicode=False)
        for frame in frames:
            ''.join(frame).encode('ascii')

    def test_colours_only_where_wanted(self) -> None:
        self.assertIn('\x1b[32m', self.frames(STORY, colours=True)[1])
        self.assertNotIn('\x1b[32m', self.frames(STORY)[1])

    def test_a_terminal_that_can_do_nothing_gets_lines(self) -> None:
        self.assertIsInstance(display.open_display(Terminal()), Screen)
        self.useFixture(fixtures.EnvironmentVariable('TERM', 'dumb'))
        self.assertIsInstance(display.open_display(Terminal()), Lines)

    def test_a_foreign_name_cannot_steer_the_terminal(self) -> None:
        _, written = self.frames([[Row(name='store:\x1b[2Jx', state='pending')]])
        self.assertNotIn('\x1b[2J', written)


class RowTest(testtools.TestCase):
    def test_what_is_done_is_at_no_fraction(self) -> None:
        self.assertIsNone(Row(name='s', state='done', done=1, total=2).fraction)

    def test_a_total_that_was_too_small_ends_at_everything(self) -> None:
        row = Row(name='s', state='running', done=3, total=2, seconds=1.0)
        self.assertEqual((1.0, None), (row.fraction, row.remaining))

    def test_nearly_everything_is_not_everything(self) -> None:
        row = Row(name='s', state='running', done=9999, total=10000, seconds=1.0)
        self.assertIn('99 %', display.words(row))


class ClockTest(testtools.TestCase):
    """START, when the service ran these steps, is not the time here."""

    def record(self, sign: float) -> dict[str, object]:
        running = {
            **step('stage', 'running', done=2 * MIB, total=8 * MIB, started=5.0),
            'updated_at': at(sign),
        }
        return {'state': 'running', 'updated_at': at(4.0), 'steps': [running, step('store:fast')]}

    def test_a_step_has_run_until_its_last_sign(self) -> None:
        row, _ = display.rows_of(self.record(9.0))
        self.assertEqual((4.0, MIB / 2, 12.0), (row.seconds, row.rate, row.remaining))
        self.assertRegex(import_record.steps(self.record(9.0)), r'  12:00:05\.000Z  4\.0 s  ')

    def test_while_it_is_watched_time_passes(self) -> None:
        here = [1000.0]
        clock = display.Clock(lambda: here[0])
        for passed, sign, seconds in (
            (0.0, 9.0, 4.0),
            (2.5, 9.0, 6.5),
            (1.0, 13.0, 8.0),
            (1.0, 13.0, 9.0),
            (1.0, 14.5, 10.0),
        ):
            here[0] += passed
            record = self.record(sign)
            row, _ = display.rows_of(record, clock.now(record))
            self.assertEqual(seconds, row.seconds)

    def test_before_anything_has_begun(self) -> None:
        record = {'state': 'accepted', 'steps': [step('stage')]}
        (row,) = display.rows_of(record, display.Clock().now(record))
        self.assertEqual(('waiting', None), (row.state, row.seconds))


class TablesTest(testtools.TestCase):
    def test_columns(self) -> None:
        self.assertEqual(
            'ID   STATE\n1    done\n222  -', tables.table(['ID', 'STATE'], [[1, 'done'], [222, None]])
        )

    def test_sizes(self) -> None:
        told = [tables.size(count) for count in (0, 1023, 1024, 1536, MIB - 1, 3 << 30, None)]
        self.assertEqual(['0 bytes', '1023 bytes', '1.0 KiB', '1.5 KiB', '1.0 MiB', '3.0 GiB', None], told)

    def test_durations(self) -> None:
        told = [tables.duration(span) for span in (0.004, 0.25, 0.999, 9.94, 9.96, 59.6, 185, 7500, None)]
        self.assertEqual(
            ['0.00 s', '0.25 s', '1.0 s', '9.9 s', '10 s', '1 min 00 s', '3 min 05 s', '2 h 05 min', None],
            told,
        )

    def test_line_breaks_of_others_do_not_break_lines(self) -> None:
        self.assertNotIn(os.linesep, tables.text('a\nb'))
