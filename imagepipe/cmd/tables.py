"""What people read: tables, attributes in columns, sizes and durations."""

from collections.abc import Mapping, Sequence

_UNITS = ('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')
GAP = '  '


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their longest cell; no line ends with blanks. None shows as '-'."""
    cells = [list(headers), *([text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return '\n'.join(_line(row, widths) for row in cells)


def attributes(pairs: Mapping[str, object], *, indent: str = '') -> str:
    """One attribute a line, its value in a column of its own."""
    width = max(map(len, pairs))
    return '\n'.join(f'{indent}{name:<{width}}{GAP}{text(value)}' for name, value in pairs.items())


def text(value: object) -> str:
    """A cell. Line breaks and control characters of foreign text cannot spoil the terminal."""
    if value is None or value == '':
        return '-'
    return ''.join(char if char.isprintable() else '\N{REPLACEMENT CHARACTER}' for char in str(value))


def size(count: int | None) -> str | None:
    """Bytes with a unit, such as '1.4 GiB'."""
    if count is None:
        return None
    power = 0
    while count >= 1024 ** (power + 1) * 0.9995 and power < len(_UNITS) - 1:
        power += 1
    return f'{count} bytes' if power == 0 else f'{count / 1024**power:.1f} {_UNITS[power]}'


def exact(count: int | None) -> str | None:
    """Bytes with a unit and to the byte."""
    shown = size(count)
    return shown if count is None or count < 1024 else f'{shown} ({count} bytes)'


def duration(seconds: float | None) -> str | None:
    """A time span, such as '0.25 s' or '3 min 05 s'."""
    if seconds is None:
        return None
    if seconds < 9.95:
        return f'{seconds:.2f} s' if seconds < 0.995 else f'{seconds:.1f} s'
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60:02} s'
    return f'{whole // 3600} h {whole % 3600 // 60:02} min'


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(f'{cell:<{width}}' for cell, width in zip(cells, widths, strict=True)).rstrip()
