"""TaskFlow's jobboard on ZooKeeper."""

import contextlib
import json
import urllib.parse
from collections.abc import Iterator
from typing import ClassVar

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.handlers import threading as threads
from kazoo.hosts import collect_hosts
from kazoo.security import make_digest_acl
from taskflow.jobs import base
from taskflow.jobs.backends import impl_zookeeper

#: Seconds of silence after which server and client take each other for dead.
_SESSION = 10.0


def check(url: str) -> None:
    """Raises ValueError for a URL that no client can be made of."""
    _, hosts = _parts(url)
    collect_hosts(hosts)


class Driver:
    """It tells of postings by itself, and leaves alone what it cannot decode."""

    failures: ClassVar = (exceptions.KazooException, threads.KazooTimeoutError)

    def __init__(self, url: str, *, namespace: str, timeout: float, look: float) -> None:
        account, hosts = _parts(url)
        self._timeout = timeout
        self._client = KazooClient(
            hosts=hosts, timeout=_SESSION, handler=_Handler(timeout), **_rights(account)
        )
        # Servers of today answer no questions about their version.
        conf = {'path': f'/{namespace}/jobs', 'check_compatible': False}
        self.board = impl_zookeeper.ZookeeperJobBoard(
            'imagepipe', conf, client=self._client, emit_notifications=False
        )

    def connect(self) -> None:
        """Connect, within the timeout."""
        self.board.connect(timeout=self._timeout)

    def close(self) -> None:
        """Let go, whatever is connected."""
        self.board.close()
        self._client.stop()
        self._client.close()

    def wait(self, seconds: float) -> Iterator[base.Job]:
        """The jobs, once there are some. Raises NotFound when there are none."""
        return self.board.wait(timeout=seconds)

    def claim(self, job: base.Job, who: str) -> None:
        """Take a job; its lock goes with this connection."""
        self.board.claim(job, who)

    def tidy(self) -> None:
        """Remove nodes that are no jobs: TaskFlow would read them anew, and complain, at each posting."""
        known = {job.path for job in self.board.iterjobs()}
        for name in self._client.get_children(self.board.path):
            path = f'{self.board.path}/{name}'
            if name.startswith('job') and not name.endswith('.lock') and path not in known:
                self._remove_unreadable(path)

    def _remove_unreadable(self, path: str) -> None:
        with contextlib.suppress(exceptions.NoNodeError):
            content, found = self._client.get(path)
            if not _readable(path, content):
                self._client.delete(path, version=found.version)

    def clear(self) -> None:
        """Remove everything; whoever is connected has to connect anew."""
        self._client.delete(self.board.path, recursive=True)


def _readable(path: str, content: bytes) -> bool:
    try:
        found = json.loads(content)
        return bool(found['uuid'] and found['name']) and path.rpartition('/job')[2].isdigit()
    except (ValueError, TypeError, KeyError):
        return False


def _parts(url: str) -> tuple[str, str]:
    """The account, empty for none, and the hosts."""
    account, _, hosts = url.partition('://')[2].rpartition('@')
    return account, hosts.rstrip('/')


def _rights(account: str) -> dict[str, object]:
    """What makes nodes that only this account may use."""
    if not account:
        return {}
    user, _, password = (urllib.parse.unquote(part) for part in account.partition(':'))
    return {
        'auth_data': [('digest', f'{user}:{password}')],
        'default_acl': [make_digest_acl(user, password, all=True)],
    }


class _Handler(threads.SequentialThreadingHandler):
    """Its answers are not waited for without an end: kazoo holds requests back while the server is away."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def async_result(self) -> '_Answer':
        """What a request is answered with."""
        return _Answer(self, self._timeout)


class _Answer(threads.AsyncResult):
    def __init__(self, handler: _Handler, timeout: float) -> None:
        super().__init__(handler)
        self._timeout = timeout

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        """The answer, or KazooTimeoutError."""
        return super().get(block, self._timeout if timeout is None else timeout)
