"""What is ordered and what goes wrong, and when: all of it drawn from a seed."""

import dataclasses
import enum
import random
from collections.abc import Callable, Iterator, Mapping

from imagepipe.domain.import_ import Method
from imagepipe.tests.fixtures.http_server import Fault as SourceFault

KIB = 1024
STORES = ('fast', 'cheap', 'far')
CONDUCTORS = ('conductor-1', 'conductor-2', 'conductor-3')
APIS = ('api-1', 'api-2')
#: No outage is longer.
LONGEST = 10.0
_DIRECT, _WEB = Method.GLANCE_DIRECT.value, Method.WEB_DOWNLOAD.value


class Then(enum.StrEnum):
    """What a client does when its import was accepted."""

    KEEP = 'keep'
    #: When it has ended.
    DELETE = 'delete'
    CANCEL = 'cancel'
    #: While it runs.
    DROP = 'drop'


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of source. data: 'noise', or a format of fixtures.disks; good: whether an image may be made."""

    name: str
    method: str = _WEB
    data: str = 'noise'
    disk_format: str = 'raw'
    good: bool = True
    fault: Callable[[int, random.Random], SourceFault] = lambda size, chance: SourceFault()
    expects: str = 'nothing'
    refused: bool = False
    weight: int = 2


def _drip(size: int, chance: random.Random) -> SourceFault:
    """Some seconds for the whole of it: time enough for something to happen meanwhile."""
    piece = max(4 * KIB, size // 16)
    return SourceFault(drip=(piece, chance.uniform(0.1, 0.5)))


KINDS = (
    Kind('staged', method=_DIRECT, weight=8),
    Kind('staged qcow2', method=_DIRECT, data='qcow2', disk_format='qcow2', weight=3),
    Kind('staged with a digest', method=_DIRECT, expects='the digest'),
    Kind('staged with a wrong digest', method=_DIRECT, expects='another digest', good=False),
    Kind('staged in a wrong format', method=_DIRECT, disk_format='qcow2', good=False),
    Kind('plain', weight=6),
    Kind('slow', fault=_drip, weight=14),
    Kind('slow with a digest', fault=_drip, expects='the digest', weight=4),
    Kind('qcow2', data='qcow2', disk_format='qcow2', weight=3),
    Kind('vmdk', data='vmdk', disk_format='vmdk', weight=2),
    Kind('cut off', fault=lambda size, _: SourceFault(cut_after=size // 2)),
    Kind('reset', fault=lambda size, _: SourceFault(cut_after=size // 3, reset=True)),
    # Its first answer only: an import has three attempts, and a fault may take the second one.
    Kind('flaky', fault=lambda _, __: SourceFault(flaky=(1, 10**6))),
    Kind('chunked', fault=lambda _, __: SourceFault(chunked=True, ranges=False)),
    Kind('once stalled', fault=lambda size, _: SourceFault(stall_after=size // 2, stalls=1)),
    Kind(
        'always stalled',
        fault=lambda size, _: SourceFault(stall_after=size // 2, ranges=False),
        good=False,
    ),
    Kind(
        'always cut off', fault=lambda _, __: SourceFault(cut_after=100, cuts=10**6, ranges=False), good=False
    ),
    Kind('shorter than it says', fault=lambda _, __: SourceFault(short_by=100), good=False),
    Kind('not found', fault=lambda _, __: SourceFault(status=404), good=False),
    Kind('broken', fault=lambda _, __: SourceFault(status=500), good=False),
    Kind('refused', refused=True, good=False),
    Kind('with a wrong digest', expects='another digest', good=False),
    Kind('in a wrong format', data='qcow2', disk_format='vmdk', good=False),
)
SIZES = (4 * KIB, 60 * KIB, 300 * KIB, 1000 * KIB, 4000 * KIB)
#: Only of the last orders images are kept to the end: there is one small disk.
_LAST = 100
_THEN: Mapping[Then, int] = {Then.KEEP: 6, Then.DELETE: 4, Then.CANCEL: 1, Then.DROP: 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """One import that a client wants, `at` seconds after the beginning."""

    number: int
    at: float
    kind: Kind
    size: int
    stores: tuple[str, ...]
    must_succeed: bool
    then: Then
    #: Seconds after the acceptance for what interrupts it.
    patience: float
    #: Whether the image may stay to the end.
    last: bool
    image_id: str
    seed: int

    @property
    def path(self) -> str:
        """Where its source is served."""
        return f'/{self.image_id}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong; `what` is a name in faults.FAULTS, and it is mended after some seconds."""

    at: float
    what: str
    target: str
    seconds: float

    @property
    def until(self) -> float:
        """When it is mended."""
        return self.at + self.seconds

    def __str__(self) -> str:
        return f'{self.what} {self.target}'.rstrip()


#: What may happen to what, and how often.
_CHANCES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ('kill', CONDUCTORS, 10),
    ('kill the supervisor of', CONDUCTORS, 4),
    ('kill a worker of', CONDUCTORS, 10),
    ('freeze', CONDUCTORS, 10),
    ('freeze a worker of', CONDUCTORS, 8),
    ('kill', APIS, 6),
    ('kill a worker of', APIS, 3),
    ('freeze', APIS, 4),
    ('cut off the database from', (*CONDUCTORS, *APIS), 6),
    ('hold up the database for', (*CONDUCTORS, *APIS), 6),
    ('break connections to the database of', (*CONDUCTORS, *APIS), 6),
    ('cut off the database', ('',), 3),
    ('hold up the database', ('',), 2),
    ('cut off the broker', ('',), 4),
    ('hold up the broker', ('',), 2),
    ('cut off the store', ('far',), 6),
    ('hold up the store', ('far',), 5),
    ('fill the disk', ('',), 5),
    ('restart the board', ('',), 4),
    ('freeze the board', ('',), 3),
    ('empty the board', ('',), 3),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All orders and faults of a run, by time."""

    seed: int
    orders: tuple[Order, ...]
    faults: tuple[Fault, ...]

    @classmethod
    def draw(cls, seed: int, *, imports: int, seconds: float, every: float = 1.5) -> 'Plan':
        """The plan of a seed: so many imports in so many seconds, and a fault about every so many seconds."""
        chance = random.Random(f'{seed}/orders')
        times = sorted(chance.uniform(0, seconds) for _ in range(imports))
        orders = tuple(
            _order(chance, number, at, last=imports - number <= _LAST) for number, at in enumerate(times)
        )
        return cls(seed=seed, orders=orders, faults=tuple(_faults(seed, seconds, every)))


def _order(chance: random.Random, number: int, at: float, *, last: bool) -> Order:
    (kind,) = chance.choices(KINDS, [kind.weight for kind in KINDS])
    (then,) = chance.choices(list(_THEN), list(_THEN.values()))
    (count,) = chance.choices((1, 2, 3), (5, 3, 2))
    return Order(
        number=number,
        at=at,
        kind=kind,
        size=chance.choices(SIZES, (2, 4, 4, 3, 1))[0],
        stores=tuple(chance.sample(STORES, count)),
        must_succeed=chance.random() < 0.5,
        then=Then.DELETE if then is Then.KEEP and not last else then,
        patience=chance.uniform(0, 4),
        last=last,
        image_id=_uuid(chance),
        seed=chance.getrandbits(32),
    )


def _uuid(chance: random.Random) -> str:
    digits = f'{chance.getrandbits(128):032x}'
    return '-'.join((digits[:8], digits[8:12], f'4{digits[13:16]}', f'a{digits[17:20]}', digits[20:]))


def _faults(seed: int, seconds: float, every: float) -> Iterator[Fault]:
    """Faults that do not meet at the same target: what is dead is not frozen, what is cut off not held up."""
    chance = random.Random(f'{seed}/faults')
    busy: dict[str, float] = {}
    at = 0.0
    while (at := at + chance.expovariate(1 / every)) < seconds:
        ((what, targets, _),) = chance.choices(_CHANCES, [weight for *_, weight in _CHANCES])
        target = chance.choice(targets)
        fault = Fault(at=at, what=what, target=target, seconds=chance.uniform(0.3, LONGEST))
        parts = befallen(fault)
        if all(busy.get(part, 0.0) <= at for part in parts):
            busy.update(dict.fromkeys(parts, fault.until))
            yield fault


def befallen(fault: Fault) -> tuple[str, ...]:
    """What must be whole for the fault to befall it."""
    if 'the database' in fault.what:
        return tuple(
            f'database of {name}' for name in ([fault.target] if fault.target else CONDUCTORS + APIS)
        )
    return (fault.target or fault.what.rpartition(' ')[2],)
