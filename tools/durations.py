"""How long classes of tests take: stestr deals them to its workers by that, and a new clone has no history.

    durations.py seed    before a run: where stestr has no history, it gets what durations.txt says
    durations.py save    after a run: write durations.txt, a line for each class that takes long

A line has the seconds of a class and one of its tests, which stands for all of them.
"""

import collections
import pathlib
import re
import sys
from dbm import dumb

from stestr import config_file
from stestr.repository import util

NOTED = pathlib.Path(__file__).with_name('durations.txt')
TIMES = pathlib.Path('.stestr', 'times.dbm')
#: Seconds; shorter classes make no difference.
LONG = 4.0


def seed() -> None:
    """Begin stestr's repository, unless there is one."""
    if TIMES.parent.exists():
        return
    util.get_repo_initialise(repo_url=str(pathlib.Path.cwd()))
    with dumb.open(str(TIMES), 'c') as times:
        for line in NOTED.read_text().splitlines():
            seconds, test = line.split(' ', 1)
            times[test] = seconds


def save() -> None:
    """Note the classes of stestr's last runs."""
    group = re.compile(config_file.TestrConf('.stestr.conf').group_regex)
    classes: dict[str, dict[str, float]] = collections.defaultdict(dict)
    with dumb.open(str(TIMES), 'r') as times:
        for test, seconds in times.items():
            name = test.decode()
            classes[group.match(name).group()][name] = float(seconds)
    totals = {min(tests): sum(tests.values()) for name, tests in classes.items() if '.chaos.' not in name}
    lines = [f'{seconds:.0f} {test}\n' for test, seconds in sorted(totals.items()) if seconds >= LONG]
    NOTED.write_text(''.join(lines))


if __name__ == '__main__':
    {'seed': seed, 'save': save}[sys.argv[1]]()
