"""What a run of the suite consists of: the short form, unless the environment says otherwise.

IMAGEPIPE_CHAOS_SEED repeats what was ordered and what went wrong; without it a day has one plan, for the
processes of a run must agree on it. IMAGEPIPE_CHAOS_IMPORTS says how many imports there are for each pair of
board and database, IMAGEPIPE_CHAOS_RATE how many of them a second at most; IMAGEPIPE_CHAOS_PAIRS names the
pairs ('sql/postgresql,sql/mariadb', or 'all').
"""

import os
import time

from imagepipe.tests.fixtures.jobboards import KINDS

PAIRS = tuple((board, database) for board in KINDS for database in ('postgresql', 'mariadb'))
SEED = int(os.environ.get('IMAGEPIPE_CHAOS_SEED') or time.strftime('%Y%m%d', time.gmtime()))
IMPORTS = int(os.environ.get('IMAGEPIPE_CHAOS_IMPORTS') or '100')
RATE = float(os.environ.get('IMAGEPIPE_CHAOS_RATE') or '2.5')


def pairs() -> list[tuple[str, str]]:
    """The pairs of board and database of this run: PostgreSQL's own, and by the seed one of the others."""
    named = os.environ.get('IMAGEPIPE_CHAOS_PAIRS')
    if named == 'all':
        return list(PAIRS)
    if named:
        return [tuple(pair.split('/')) for pair in named.split(',')]
    first, *others = PAIRS
    return [first, others[SEED % len(others)]]


def databases() -> list[str]:
    """The databases of what is tried once, whatever the board: in the short form it is one by turns."""
    if os.environ.get('IMAGEPIPE_CHAOS_PAIRS') == 'all':
        return ['postgresql', 'mariadb']
    return [pairs()[-1][1]]
