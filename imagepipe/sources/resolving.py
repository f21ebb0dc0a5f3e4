"""From a host name to the addresses that may be connected to."""

import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any

from imagepipe import errors
from imagepipe.sources.reasons import Reason
from imagepipe.sources.rules import UrlRules
from imagepipe.sources.urls import Address, SourceUrl
from imagepipe.sources.watch import Watch

#: The shape of socket.getaddrinfo.
Resolver = Callable[..., list[Any]]

#: Of a name with very many addresses, so many are tried.
MOST_ADDRESSES = 8


def permitted_addresses(
    url: SourceUrl, *, rules: UrlRules, resolver: Resolver, watch: Watch, seconds: float
) -> list[Address]:
    """The addresses of the URL's host that the rules permit, in the resolver's order.

    Where a name has permitted and refused addresses only the permitted ones
    are returned, so only they are tried. None permitted, or no such name:
    SourceRefused, in the same words. The resolver itself failing:
    SourceUnavailable.
    """
    trusted = rules.trusts(url)
    found = [url.address] if url.address else _resolved(url, trusted, resolver, watch, seconds)
    permitted = [address for address in found if rules.permits(address, trusted=trusted)]
    if not permitted:
        raise errors.SourceRefused(host=url.typed_host)
    return permitted[:MOST_ADDRESSES]


def _resolved(
    url: SourceUrl, trusted: bool, resolver: Resolver, watch: Watch, seconds: float
) -> list[Address]:
    # A final dot keeps search domains and /etc/hosts, the inside view of the
    # host, out of it; a host that the operator listed is looked up as written.
    name = url.host if trusted else f'{url.host}.'
    try:
        answers = _ask(resolver, name, url.port, watch, seconds)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise errors.SourceUnavailable(reason=Reason.NO_NAME) from None
        return []
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))


def _ask(resolver: Resolver, name: str, port: int, watch: Watch, seconds: float) -> list[Any]:
    """Call the resolver, which cannot be interrupted, in a thread that is left behind on time-out."""
    done = threading.Event()
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(resolver(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            outcome.append(error)
        finally:
            done.set()

    threading.Thread(target=ask, name='imagepipe-resolver', daemon=True).start()
    if not watch.wait_for_event(done, seconds):
        raise errors.SourceUnavailable(reason=Reason.NO_NAME)
    answer = outcome[0] if outcome else []
    if isinstance(answer, Exception):
        raise answer
    return answer
