"""The progress of an import in a terminal: one row for each step, redrawn in place or told line by line."""

import dataclasses
import datetime
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TextIO

from imagepipe.cmd import tables
from imagepipe.cmd.speech import say

_BAR = 16
#: Told anew, where nothing can be redrawn, whenever so much more of a step is done.
_QUARTERS = 4
_SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'
#: State -> symbol, symbol in ASCII, colour by its ANSI number.
_LOOKS = {
    'pending': ('·', '.', 2),
    'waiting': ('·', '.', 33),
    'running': ('', '', 36),
    'done': ('✔', '+', 32),
    'failed': ('✘', 'x', 31),
    'skipped': ('·', '.', 2),
    'reverting': ('↶', '<', 33),
    'reverted': ('↶', '<', 33),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One step as it is shown; `seconds` since its start, up to its end."""

    name: str
    state: str
    done: int | None = None
    total: int | None = None
    seconds: float | None = None
    attempt: int = 1
    error: str | None = None

    @property
    def fraction(self) -> float | None:
        """How much of the bytes is done, from 0 to 1."""
        if self.state == 'done' or not self.total or self.done is None:
            return None
        return min(1.0, self.done / self.total)

    @property
    def rate(self) -> float | None:
        """Bytes a second since the start."""
        return self.done / self.seconds if self.done and self.seconds and self.seconds > 0.001 else None

    @property
    def remaining(self) -> float | None:
        """Seconds left at this rate."""
        if self.state != 'running' or not self.rate or not self.total or self.done >= self.total:
            return None
        return (self.total - self.done) / self.rate


class Display(Protocol):
    """Shows rows; close() leaves what was shown last."""

    def show(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


def rows_of(record: Mapping[str, object], now: datetime.datetime | None = None) -> list[Row]:
    """The steps of an import as GET /v2/imports/{id} answers it.

    now: the service's time, where it is known better than by the newest thing that the record tells of.
    """
    now = now or _newest(record)
    rows = [
        Row(
            name=step['name'], state=step['state'], done=step['bytes_done'], total=step['bytes_total'],
            seconds=_seconds(step, now), attempt=step['attempt'], error=step['error_code'],
        )
        for step in record['steps']
    ]  # fmt: skip
    if record['state'] == 'accepted' and rows:
        rows[0] = dataclasses.replace(rows[0], state='waiting')
    return rows


def _newest(record: Mapping[str, object]) -> datetime.datetime | None:
    """The latest time on record; None where nothing has begun."""
    times = [record.get('updated_at')]
    for step in record['steps']:
        times += [step['started_at'], step['updated_at']]
    return max((datetime.datetime.fromisoformat(time) for time in times if time), default=None)


class Clock:
    """The service's time as a watched import tells it; our own clock, maybe wrong, lends its pace."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        #: The service's time when our clock was at zero, as late as any look has shown that to be.
        self._zero: datetime.datetime | None = None

    def now(self, record: Mapping[str, object]) -> datetime.datetime | None:
        """What it is at least; it never goes back. None where nothing has begun."""
        newest = _newest(record)
        if newest is None:
            return None
        passed = datetime.timedelta(seconds=self._seconds())
        self._zero = max(self._zero or newest - passed, newest - passed)
        return self._zero + passed


def _seconds(step: Mapping[str, str | None], now: datetime.datetime | None) -> float | None:
    if step['started_at'] is None:
        return None
    end = now if step['finished_at'] is None else datetime.datetime.fromisoformat(step['finished_at'])
    return max(0.0, (end - datetime.datetime.fromisoformat(step['started_at'])).total_seconds())


def words(row: Row) -> str:
    """What a row says besides its name and symbol."""
    told = [*_TELLERS[row.state](row), *([f'attempt {row.attempt}'] if row.attempt > 1 else [])]
    return ', '.join(part for part in told if part)


def _nothing(_row: Row) -> Iterable[str]:
    return ()


def _waiting(_row: Row) -> Iterable[str]:
    return ('waits for a worker',)


def _skipped(_row: Row) -> Iterable[str]:
    return ('skipped',)


def _running(row: Row) -> Iterable[str | None]:
    if row.fraction is not None:
        # From 99.5 % on, "100 %" would say that it is over.
        yield f'{min(99, int(row.fraction * 100)) if row.done < row.total else 100} %'
        yield f'{tables.size(row.done)} of {tables.size(row.total)}'
    elif row.done:
        yield tables.size(row.done)
    else:
        yield tables.duration(row.seconds)
    yield _rate(row)
    if row.remaining is not None:
        yield f'{tables.duration(row.remaining)} left'


def _done(row: Row) -> Iterable[str | None]:
    yield tables.size(row.done)
    yield tables.duration(row.seconds)
    yield _rate(row)


def _failed(row: Row) -> Iterable[str | None]:
    yield 'failed'
    yield row.error


def _undoing(_row: Row) -> Iterable[str]:
    return ('is undone',)


def _undone(row: Row) -> Iterable[str | None]:
    return ('failed, undone', row.error) if row.error else ('undone',)


def _rate(row: Row) -> str | None:
    return None if row.rate is None else f'{tables.size(int(row.rate))}/s'


_TELLERS = {
    'pending': _nothing,
    'waiting': _waiting,
    'running': _running,
    'done': _done,
    'failed': _failed,
    'skipped': _skipped,
    'reverting': _undoing,
    'reverted': _undone,
}


class Screen:
    """Redraws the rows in place: for terminals."""

    def __init__(self, stream: TextIO, *, colours: bool, unicode: bool) -> None:
        self._stream = stream
        self._colours = colours
        self._unicode = unicode
        self._height = 0
        self._frame = 0
        self._stream.write('\x1b[?25l')

    def show(self, rows: Sequence[Row]) -> None:
        """Draw the rows over those drawn before."""
        width, height = shutil.get_terminal_size()
        rows = _fitting(rows, height - 2)
        names = max((len(row.name) for row in rows), default=0)
        drawn = [self._drawn(row, names, width - 1) for row in rows]
        up = f'\x1b[{self._height}A' if self._height else ''
        self._stream.write(up + ''.join(f'\r{line}\x1b[K\n' for line in drawn) + '\x1b[J')
        self._stream.flush()
        self._height = len(drawn)
        self._frame += 1

    def close(self) -> None:
        """Give the cursor back."""
        self._stream.write('\x1b[?25h')
        self._stream.flush()

    def _drawn(self, row: Row, names: int, width: int) -> str:
        symbol = self._symbol(row)
        text = f'  {symbol} {tables.text(row.name):<{names}}  {self._bar(row)}{words(row)}'.rstrip()[:width]
        if not self._colours:
            return text
        colour = f'\x1b[{_LOOKS[row.state][2]}m'
        if row.state in ('pending', 'skipped'):
            return f'{colour}{text}\x1b[0m'
        return f'  {colour}{text[2:3]}\x1b[0m{text[3:]}'

    def _symbol(self, row: Row) -> str:
        if row.state == 'running':
            frames = _SPINNER if self._unicode else '|/-\\'
            return frames[self._frame % len(frames)]
        unicode, ascii_, _ = _LOOKS[row.state]
        return unicode if self._unicode else ascii_

    def _bar(self, row: Row) -> str:
        if row.state != 'running' or row.fraction is None:
            return ''
        full = int(row.fraction * _BAR)
        return ('█' if self._unicode else '#') * full + ('░' if self._unicode else '.') * (_BAR - full) + ' '


class Lines:
    """One line for each change: for files, pipes and simple terminals."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: dict[str, tuple[object, ...]] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Tell what is new."""
        for row in rows:
            mark = (row.state, row.attempt, int((row.fraction or 0) * _QUARTERS))
            if row.state in ('pending', 'skipped') or self._told.get(row.name) == mark:
                continue
            self._told[row.name] = mark
            told = [row.state] if row.state in ('running', 'done') else []
            say(f'{tables.text(row.name)}: {", ".join(filter(None, [*told, words(row)]))}', self._stream)

    def close(self) -> None:
        """Nothing to do."""


def open_display(stream: TextIO) -> Display:
    """The display that this stream can show."""
    if not stream.isatty() or os.environ.get('TERM', 'dumb') == 'dumb':
        return Lines(stream)
    unicode = 'utf' in (stream.encoding or '').lower()
    return Screen(stream, colours=not os.environ.get('NO_COLOR'), unicode=unicode)


class Stopwatch:
    """The row of something that this process does itself."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._started = time.monotonic()

    def row(self, state: str, done: int, error: str | None = None) -> Row:
        """The row at this moment."""
        return Row(
            name=self._name, state=state, done=done, total=self._total, error=error,
            seconds=time.monotonic() - self._started,
        )  # fmt: skip


def _fitting(rows: Sequence[Row], height: int) -> Sequence[Row]:
    """Rows that fit on the screen: those that wait or are long over give way."""
    if len(rows) <= height:
        return rows
    at_work = next((number for number, row in enumerate(rows) if row.state == 'running'), 0)
    first = max(0, min(at_work, len(rows) - height))
    return rows[first : first + height]
