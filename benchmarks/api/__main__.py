"""Glance and imagepipe side by side.

    PYTHONPATH=. .venv/bin/python -m benchmarks.api [CALL ...] [--short] [--limit] [--images 1000 20000]
        [--clients 1 8]

Prints for each call requests per second, p50 and p99 in milliseconds, and milliseconds of the workers'
CPU per request, of both, and their ratios. Both are asked in turns, so that whatever else the machine
does meets both. Ends with 1 when a target is missed.
"""

import argparse
import collections
import contextlib
import dataclasses
import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks.api import agreement, load, sites
from benchmarks.api.calls import CALLS, GROWTH, Call, World
from imagepipe.tests.fixtures import made_up

_HEAD = ('', 'req/s', '', '', 'p50 ms', '', 'p99 ms', '', 'CPU ms', '', '', 'target')
_SUBHEAD = ('', 'Glance', 'ours', 'ratio', 'Glance', 'ours', 'Glance', 'ours', 'Glance', 'ours', 'ratio', '')
_ROW = '{:<22}' + '{:>9}' * 11


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """How long each call is asked in each round, how many rounds, and how many requests at least."""

    seconds: float
    rounds: int
    least: int


FULL = Pace(seconds=4, rounds=3, least=3)
SHORT = Pace(seconds=1, rounds=1, least=2)


@dataclasses.dataclass
class Figures:
    """What was measured of one call to one service."""

    runs: list[load.Run] = dataclasses.field(default_factory=list)
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return statistics.median(run.rate for run in self.runs)

    @property
    def cost(self) -> float:
        """Milliseconds of CPU per request."""
        return 1000 * self.cpu / sum(len(run.latencies) for run in self.runs)

    def percentile(self, rank: int) -> float:
        """Milliseconds."""
        found = sorted(latency for run in self.runs for latency in run.latencies)
        return 1000 * found[min(len(found) - 1, len(found) * rank // 100)]


def measure(pair: Mapping[str, sites.Site], world: World, call: Call, clients: int, pace: Pace) -> dict:
    """Figures by service."""
    figures = collections.defaultdict(Figures)
    for _ in range(pace.rounds):
        for name, site in pair.items():
            messages = [call.messages(world, number, clients) for number in range(clients)]
            load.run(str(site.socket), messages[:1], call.status, seconds=0, least=1)
            before = site.cpu()
            run = load.run(str(site.socket), messages, call.status, seconds=pace.seconds, least=pace.least)
            figures[name].cpu += site.cpu() - before
            figures[name].runs.append(run)
    return figures


def show(call: Call, found: Mapping[str, Figures]) -> bool:
    """Print the row of a call; whether its target was met."""
    theirs, ours = found['Glance'], found['imagepipe']
    by_rate, by_cost = ours.rate / theirs.rate, theirs.cost / ours.cost
    print(
        _ROW.format(
            call.name,
            f'{theirs.rate:.1f}', f'{ours.rate:.1f}', f'{by_rate:.1f}',
            f'{theirs.percentile(50):.1f}', f'{ours.percentile(50):.1f}',
            f'{theirs.percentile(99):.1f}', f'{ours.percentile(99):.1f}',
            f'{theirs.cost:.2f}', f'{ours.cost:.2f}', f'{by_cost:.1f}',
            f'{call.target:.0f}',
        ),
        flush=True,
    )  # fmt: skip
    return by_rate >= call.target


def compare(count: int, identity: sites.Identity, arguments: argparse.Namespace) -> Mapping[str, float]:
    """Everything with so many images: our CPU by call, with one client."""
    pace = SHORT if arguments.short else FULL
    wanted = [call for call in CALLS if not arguments.calls or call.name in arguments.calls]
    costs: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        pair = {
            kind.name: stack.enter_context(kind(identity, count)) for kind in (sites.Glance, sites.Imagepipe)
        }
        seen = [image for image in made_up.make(count) if image.seen]
        world = World(identity.tokens, seen[::-1])
        agreement.check(pair, world)
        if arguments.limit:
            limit(stack.enter_context(sites.Bare(pair['imagepipe'])), pair['imagepipe'], world, wanted, pace)
        for clients in arguments.clients:
            print(f'\n{count} images, {clients} client{"s" if clients > 1 else ""}')
            print(_ROW.format(*_HEAD))
            print(_ROW.format(*_SUBHEAD))
            for call in wanted:
                found = measure(pair, world, call, clients, pace)
                arguments.missed |= not show(call, found)
                if clients == 1:
                    costs[call.name] = found['imagepipe'].cost
        memory = ', '.join(f'{name} {site.resident():.0f} MiB' for name, site in pair.items())
        print(f'resident memory of a worker: {memory}', flush=True)
    return costs


def limit(bare: sites.Site, ours: sites.Site, world: World, calls: Sequence[Call], pace: Pace) -> None:
    """Print what each GET costs at least, and what it costs."""
    print(
        f'\n{ours.count} images: milliseconds of CPU of WebOb, Routes, the statement and JSON alone, and all'
    )
    for call in calls:
        if call.method == 'GET':
            found = measure({'limit': bare, 'ours': ours}, world, call, 1, pace)
            least, all_ = found['limit'].cost, found['ours'].cost
            print(f'{call.name:<22}{least:>9.2f}{all_:>9.2f}{all_ / least:>9.1f}', flush=True)


def growth(costs: Sequence[Mapping[str, float]], counts: Sequence[int]) -> bool:
    """Print what a page costs with many images, in parts of what it costs with few; whether it is flat."""
    print(f'\nour CPU with {counts[-1]} images, in parts of that with {counts[0]}')
    flat = True
    for name, few in costs[0].items():
        print(f'{name:<22}{costs[-1][name] / few:>9.2f}')
        flat &= costs[-1][name] <= GROWTH * few
    return flat


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog='benchmarks.api', description=__doc__.split('\n')[0])
    parser.add_argument('calls', nargs='*', metavar='CALL', help=', '.join(call.name for call in CALLS))
    parser.add_argument('--images', type=int, nargs='+', default=[1000, 20000])
    parser.add_argument('--clients', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--limit', action='store_true', help='what the same answers would cost at least')
    parser.add_argument('--short', action='store_true', help='a second for each call: for development')
    arguments = parser.parse_args()
    arguments.missed = False
    with sites.Identity() as identity:
        costs = [compare(count, identity, arguments) for count in arguments.images]
    if len(costs) > 1 and costs[0]:
        arguments.missed |= not growth(costs, arguments.images)
    return int(arguments.missed)


if __name__ == '__main__':
    sys.exit(main())
