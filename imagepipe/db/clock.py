"""The database's clock: leases are compared on it, never on a worker's."""

import sqlalchemy as sa

_NOW = {
    'postgresql': 'extract(epoch from clock_timestamp())',
    'mysql': 'unix_timestamp(now(6))',
    'mariadb': 'unix_timestamp(now(6))',
    'sqlite': "((julianday('now') - 2440587.5) * 86400.0)",
}


def now(dialect: str) -> sa.ColumnElement[float]:
    """Seconds since the epoch, with a fraction, as an SQL expression."""
    return (
        sa.cast(sa.literal_column(_NOW[dialect]), sa.Double())
        if dialect != 'sqlite'
        else sa.literal_column(_NOW[dialect], sa.Double())
    )
