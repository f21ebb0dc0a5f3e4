"""What is asked of both services, and how many times as fast imagepipe is meant to be."""

import dataclasses
import itertools
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from benchmarks.api import load
from imagepipe.tests.fixtures.made_up import MadeUp

#: What the number of the images of a page may cost more of CPU with twenty times as many in the service.
GROWTH = 1.10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One row of the table. target: the ratio of CPU and of requests per second to reach."""

    name: str
    target: float
    caller: str = 'member'
    method: str = 'GET'
    status: int = 200

    def messages(self, world: 'World', number: int, clients: int) -> Iterator[bytes]:
        """The requests of one of several clients."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class World:
    """What requests need to know: tokens by caller, and the images that our member sees, newest first."""

    tokens: Mapping[str, str]
    seen: Sequence[MadeUp]

    @property
    def own(self) -> Sequence[MadeUp]:
        return [image for image in self.seen if image.owner == 'ours']

    @property
    def middle(self) -> MadeUp:
        return self.seen[len(self.seen) // 2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class List(Call):
    """A list; values: query parameters, of which `marker` may name an attribute of the world."""

    query: Mapping[str, object]
    in_the_middle: bool = False
    target: float = 20

    def path(self, world: World) -> str:
        marker = {'marker': world.middle.id} if self.in_the_middle else {}
        return f'/v2/images?{urlencode({**self.query, **marker})}'

    def messages(self, world: World, number: int, clients: int) -> Iterator[bytes]:
        return itertools.repeat(load.request('GET', self.path(world), world.tokens[self.caller]))


class Show(Call):
    """One of our images at random."""

    def messages(self, world: World, number: int, clients: int) -> Iterator[bytes]:
        some = random.Random(number).sample(world.own, min(200, len(world.own)))
        token = world.tokens[self.caller]
        return itertools.cycle([load.request('GET', f'/v2/images/{image.id}', token) for image in some])


class Create(Call):
    """A new image like the others."""

    def messages(self, world: World, number: int, clients: int) -> Iterator[bytes]:
        model = world.own[0]
        while True:
            body = {
                'name': f'new-{uuid.uuid4().hex[:8]}',
                'disk_format': 'raw',
                'container_format': 'bare',
                'tags': list(model.tags),
                **model.properties,
            }
            yield load.request('POST', '/v2/images', world.tokens[self.caller], body)


class Patch(Call):
    """One property replaced; clients have images of their own."""

    def messages(self, world: World, number: int, clients: int) -> Iterator[bytes]:
        own = world.own[number::clients]
        for turn in itertools.count():
            image = own[turn % len(own)]
            body = [{'op': 'replace', 'path': '/build', 'value': f'build-{number}-{turn}'}]
            yield load.request('PATCH', f'/v2/images/{image.id}', world.tokens[self.caller], body)


CALLS: Sequence[Call] = (
    Show(name='show', target=5),
    List(name='list 25', query={'limit': 25}),
    List(name='list 25, middle', query={'limit': 25}, in_the_middle=True),
    List(name='list 1000, admin', query={'limit': 1000}, caller='admin'),
    List(name='by name', query={'name': 'image-00100'}),
    List(name='by property, rare', query={'build': 'build-40'}),
    List(name='by property, common', query={'os_distro': 'debian'}),
    List(name='by tag, rare', query={'tag': 'release-40'}),
    List(name='by tag, common', query={'tag': 'production'}),
    Create(name='create', target=10, method='POST', status=201),
    Patch(name='patch', target=10, method='PATCH'),
)
