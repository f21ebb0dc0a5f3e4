"""The database's clock: leases are compared on it, never on a worker's."""

import sqlalchemy as sa

#: By way of UTC: a local time comes twice in the night in which summer time ends.
_MYSQL = "(timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1e6)"
_NOW = {
    'postgresql': 'extract(epoch from clock_timestamp())',
    'mysql': _MYSQL,
    'mariadb': _MYSQL,
    'sqlite': "((julianday('now') - 2440587.5) * 86400.0)",
}


def now(dialect: str) -> sa.ColumnElement[float]:
    """Seconds since the epoch, with a fraction, as an SQL expression."""
    return (
        sa.cast(sa.literal_column(_NOW[dialect]), sa.Double())
        if dialect != 'sqlite'
        else sa.literal_column(_NOW[dialect], sa.Double())
    )
