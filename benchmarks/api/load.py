"""Asking, at so little cost that the service is the limit.

HTTP over a Unix socket, a connection for each request, as a front end web server speaks to uWSGI: all
workers get their share whatever client is at work. Answers are counted, not parsed.
"""

import dataclasses
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator, Sequence

_context = multiprocessing.get_context('fork')
_TIMEOUT = 300.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """Status, and the body's bytes."""

    status: int
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True)
class Run:
    """Seconds of each request, and of all of them together by the clock."""

    latencies: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


def request(method: str, path: str, token: str, body: object = None) -> bytes:
    """A request as it goes over the wire."""
    lines = [
        f'{method} {path} HTTP/1.1',
        'Host: localhost',
        f'X-Auth-Token: {token}',
        'Accept: application/json',
        'User-Agent: benchmark',
    ]
    data = b''
    if body is not None:
        data = json.dumps(body).encode()
        kind = 'openstack-images-v2.1-json-patch' if method == 'PATCH' else 'json'
        lines += [f'Content-Type: application/{kind}', f'Content-Length: {len(data)}']
    return '\r\n'.join([*lines, '', '']).encode() + data


def send(path: str, message: bytes) -> Answer:
    """The answer to one request."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(path)
        connection.sendall(message)
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
    head, _, body = b''.join(parts).partition(b'\r\n\r\n')
    return Answer(int(head.split(b' ', 2)[1]), body)


def run(path: str, messages: Sequence[Iterator[bytes]], expected: int, *, seconds: float, least: int) -> Run:
    """As many clients as there are sources of messages ask for so long, and at least so often.

    Raises SystemExit when an answer is not the expected one.
    """
    started = time.monotonic()
    if len(messages) == 1:
        latencies = _ask(path, messages[0], expected, seconds, least)
    else:
        latencies = _ask_at_once(path, messages, expected, seconds, least)
    return Run(latencies, time.monotonic() - started)


def _ask(path: str, messages: Iterator[bytes], expected: int, seconds: float, least: int) -> list[float]:
    latencies: list[float] = []
    now = time.monotonic()
    until = now + seconds
    while now < until or len(latencies) < least:
        answer = send(path, next(messages))
        if answer.status != expected:
            raise SystemExit(f'{answer.status} instead of {expected}: {answer.body[:500]!r}')
        before, now = now, time.monotonic()
        latencies.append(now - before)
    return latencies


def _ask_at_once(
    path: str, messages: Sequence[Iterator[bytes]], expected: int, seconds: float, least: int
) -> list[float]:
    results = _context.SimpleQueue()

    def client(source: Iterator[bytes]) -> None:
        try:
            results.put(_ask(path, source, expected, seconds, least))
        except SystemExit as error:
            results.put(str(error))
        os._exit(0)  # what the parent has registered to do at its end is not ours

    clients = [_context.Process(target=client, args=(source,)) for source in messages]
    for process in clients:
        process.start()
    found = [results.get() for _ in clients]
    for process in clients:
        process.join()
    for result in found:
        if isinstance(result, str):
            raise SystemExit(result)
    return [latency for result in found for latency in result]
