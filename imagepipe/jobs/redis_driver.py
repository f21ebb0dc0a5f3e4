"""TaskFlow's jobboard on Redis."""

from collections.abc import Iterator
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from taskflow.jobs import base
from taskflow.jobs.backends import impl_redis

#: Seconds after which Redis forgets whoever died between claiming a posting and taking it away.
_CLAIM = 10.0


def check(url: str) -> None:
    """Raises ValueError, TypeError for a URL that no client can be made of; connects to nobody."""
    redis.ConnectionPool.from_url(url).make_connection()


class Driver:
    """It has to be asked for postings, and removes by itself what it cannot decode."""

    failures: ClassVar = (redis.RedisError,)

    def __init__(self, url: str, *, namespace: str, timeout: float, look: float) -> None:
        # The client's own retries are nested and take minutes; whoever uses the board comes back by himself.
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        self._look = look
        self.board = impl_redis.RedisJobBoard('imagepipe', {'namespace': namespace}, client=self._client)

    def connect(self) -> None:
        """Connect, within the timeout."""
        self.board.connect()

    def close(self) -> None:
        """Let go, whatever is connected."""
        self.board.close()
        self._client.close()

    def wait(self, seconds: float) -> Iterator[base.Job]:
        """The jobs, once there are some. Raises NotFound when there are none."""
        return self.board.wait(timeout=seconds, initial_delay=self._look / 2, max_delay=self._look)

    def claim(self, job: base.Job, who: str) -> None:
        """Take a job, for a moment."""
        self.board.claim(job, who, expiry=_CLAIM)

    def tidy(self) -> None:
        """TaskFlow does so."""

    def clear(self) -> None:
        """Remove everything."""
        self._client.delete(self.board.listings_key)
