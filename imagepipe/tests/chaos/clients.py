"""Clients that carry orders out, whatever answers they get, and remember what they were told."""

import bisect
import collections
import dataclasses
import hashlib
import pathlib
import random
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures

import requests

from imagepipe.domain.import_ import ENDED, ImportState, Method
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.pace import Pace
from imagepipe.tests.chaos.plan import APIS, Order, Then
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.contract import json_of

THREADS = 32
#: Seconds for which a client asks again; and how long it waits for one answer.
PATIENCE = 45.0
_TIMEOUT = (3.0, 15.0)
_PAUSE = 0.4
#: Seconds between two looks at an import: there may be many clients, and the machine is small.
_LOOK = 1.0
_IN_PROGRESS = {409}


@dataclasses.dataclass
class Deal:
    """An order, and what came of it as far as its client knows."""

    order: Order
    #: Imports that were answered 202.
    accepted: list[str] = dataclasses.field(default_factory=list)
    #: Whether the client wanted the image deleted, and was told that it is gone.
    unwanted: bool = False
    dropped: bool = False
    #: What was wrong with the image before it was deleted.
    complaint: str = ''
    #: (seconds, what was asked, what was answered).
    answers: list[tuple[float, str, str]] = dataclasses.field(default_factory=list)

    @property
    def image_id(self) -> str:
        return self.order.image_id

    @property
    def data(self) -> bytes:
        """What its source says; made anew each time, for thousands of them are not kept in memory."""
        kind = self.order.kind
        if kind.data == 'noise':
            return random.Random(self.order.seed).randbytes(self.order.size)
        return images.content(kind.data)

    @property
    def digest(self) -> str | None:
        """The sha256 that the client says its data has."""
        data = {'the digest': self.data, 'another digest': b'other'}.get(self.order.kind.expects)
        return None if data is None else hashlib.sha256(data).hexdigest()


class Clients:
    """Carries out orders in THREADS threads, each when it is due."""

    def __init__(self, cluster: Cluster, orders: Iterable[Order]) -> None:
        self._cluster = cluster
        self.pace = Pace(cluster, self.waiting)
        self._pause = threading.Event()
        self._lock = threading.Lock()
        self.deals = [Deal(order) for order in orders]
        self._begun = 0
        #: How often what was asked was answered how.
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._pool = futures.ThreadPoolExecutor(THREADS)
        self._running: collections.deque[futures.Future] = collections.deque()

    def start(self) -> None:
        """Begin; the orders come in their time."""
        self._running.extend(self._pool.submit(self._carry_out, deal) for deal in self.deals)

    def waiting(self, now: float) -> int:
        """How many orders are due at this time of the plan and wait, as every thread is busy."""
        return bisect.bisect_right(self.deals, now, key=lambda deal: deal.order.at) - self._begun

    def finished(self) -> bool:
        """Whether every order was carried out; raises what any of them raised."""
        while self._running and self._running[0].done():
            self._running.popleft().result()
        return not self._running

    def stop(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _carry_out(self, deal: Deal) -> None:
        order = deal.order
        while self.pace.now() < order.at:
            self._pause.wait(_PAUSE / 4)
        with self._lock:
            self._begun += 1
        chance = random.Random(order.seed)
        self._serve(deal, chance)
        if not self._create(deal):
            return
        if order.kind.method == Method.GLANCE_DIRECT and not self._stage(deal):
            return
        self._start(deal)
        if deal.accepted:
            _THEN[order.then](self, deal)

    def _serve(self, deal: Deal, chance: random.Random) -> None:
        if deal.order.kind.method != Method.GLANCE_DIRECT and not deal.order.kind.refused:
            fault = deal.order.kind.fault(len(deal.data), chance)
            self._cluster.source.serve(deal.order.path, deal.data, fault=fault)

    def _create(self, deal: Deal) -> bool:
        body = {
            'id': deal.image_id,
            'name': f'{deal.order.number} {deal.order.kind.name}',
            'disk_format': deal.order.kind.disk_format,
            'container_format': 'bare',
        }
        response = self.ask(deal, 'create', 'POST', '/v2/images', json=body)
        return response is not None and response.status_code in (201, 409)  # it may be there already

    def _stage(self, deal: Deal) -> bool:
        headers = {'Content-Type': 'application/octet-stream'}
        path = f'/v2/images/{deal.image_id}/stage'
        response = self.ask(deal, 'stage', 'PUT', path, data=deal.data, headers=headers, again=_IN_PROGRESS)
        return response is not None

    def _start(self, deal: Deal) -> None:
        order, method = deal.order, {'name': deal.order.kind.method}
        if order.kind.method != Method.GLANCE_DIRECT:
            url = self._cluster.source.url(order.path)
            port = self._cluster.closed_port if order.kind.refused else self._cluster.source.port
            method['uri'] = url.replace(f':{self._cluster.source.port}/', f':{port}/')
        body = {
            'method': method,
            'stores': list(order.stores),
            'all_stores_must_succeed': order.must_succeed,
        }
        if deal.digest is not None:
            body['expected'] = {'sha256': deal.digest}
        response = self.ask(deal, 'import', 'POST', f'/v2/images/{deal.image_id}/import', json=body)
        if response is not None and response.status_code == 202:
            deal.accepted.append(response.headers['OpenStack-image-import-task-id'])

    # What comes after the acceptance.

    def _keep(self, deal: Deal) -> None:
        """The image stays."""

    def _cancel(self, deal: Deal) -> None:
        self._pause.wait(deal.order.patience)
        self.ask(deal, 'cancel', 'POST', f'/v2/imports/{deal.accepted[0]}/cancel')
        if not deal.order.last:
            self._drop_after_use(deal)

    def _drop_soon(self, deal: Deal) -> None:
        self._pause.wait(deal.order.patience)
        self.drop(deal)

    def _drop_after_use(self, deal: Deal) -> None:
        until = self._cluster.now() + PATIENCE
        while (state := self._cluster.state_of(deal.accepted[0])) not in ENDED:
            if self._cluster.now() > until:
                return
            self._pause.wait(_LOOK)
        if state is ImportState.SUCCEEDED:
            self._use(deal)
        self.drop(deal)

    def _use(self, deal: Deal) -> None:
        """Download it, whatever happens meanwhile: what is answered in full is what was imported."""
        shown = self.ask(deal, 'show', 'GET', f'/v2/images/{deal.image_id}')
        response = self.ask(deal, 'download', 'GET', f'/v2/images/{deal.image_id}/file')
        if shown is None or response is None:
            return
        if (shown.status_code, response.status_code) != (200, 200):
            deal.complaint = f'shown with {shown.status_code}, downloaded with {response.status_code}'
        elif not same_content(response.content, shown.json()['disk_format'], deal):
            deal.complaint = f'{len(response.content)} bytes were downloaded that are not what was imported'

    def drop(self, deal: Deal) -> None:
        """Delete the image, until it is gone."""
        deal.unwanted = True
        path = f'/v2/images/{deal.image_id}'
        response = self.ask(deal, 'delete', 'DELETE', path, again=_IN_PROGRESS)
        deal.dropped = response is not None and response.status_code in (204, 404)
        if deal.dropped:
            self._cluster.source.resources.pop(deal.order.path, None)

    def ask(
        self, deal: Deal, what: str, method: str, path: str, *, again: Iterable[int] = (), **request: object
    ) -> requests.Response | None:
        """The first answer that is one: no 5xx, and none of `again`; None when there was none in time."""
        chance = random.Random()
        until = self._cluster.now() + PATIENCE
        while self._cluster.now() < until:
            url = f'{self._cluster.url(chance.choice(APIS))}{path}'
            response = self._try(
                deal, what, lambda url=url: requests.request(method, url, timeout=_TIMEOUT, **request)
            )
            if response is not None and response.status_code < 500 and response.status_code not in again:
                return response
            self._pause.wait(_PAUSE)
        return None

    def _try(self, deal: Deal, what: str, call: Callable[[], requests.Response]) -> requests.Response | None:
        response = None
        try:
            response = call()
            told = _told(response)
        except requests.RequestException as error:
            told = type(error).__name__
        deal.answers.append((self._cluster.now(), what, told))
        self.counts[what, told.split()[0]] += 1
        return response


def _told(response: requests.Response) -> str:
    """The status of an answer, and its error code: one that has none tells what it says instead."""
    if response.status_code < 400:
        return str(response.status_code)
    found = json_of(response.headers.get('Content-Type'), response.content)
    code = found['error']['error_code'] if isinstance(found, dict) else response.text[:80]
    return f'{response.status_code} {code}'


#: Seconds that qemu-img has.
_CONVERTING = 60.0


def same_content(data: bytes, disk_format: str, deal: Deal) -> bool:
    """Whether an image shows the same disk as the deal's source."""
    declared = deal.order.kind.disk_format
    if disk_format == declared:
        return data == deal.data
    return _raw(data, disk_format) == _raw(deal.data, declared)


def _raw(data: bytes, disk_format: str) -> bytes:
    if disk_format == 'raw':
        return data
    with tempfile.TemporaryDirectory() as directory:
        image, raw = pathlib.Path(directory, 'image'), pathlib.Path(directory, 'raw')
        image.write_bytes(data)
        command = ['qemu-img', 'convert', '-f', disk_format, '-O', 'raw', image, raw]
        subprocess.run(command, check=True, capture_output=True, timeout=_CONVERTING)
        return raw.read_bytes()


_THEN: Mapping[Then, Callable[[Clients, Deal], None]] = {
    Then.KEEP: Clients._keep,
    Then.CANCEL: Clients._cancel,
    Then.DROP: Clients._drop_soon,
    Then.DELETE: Clients._drop_after_use,
}
