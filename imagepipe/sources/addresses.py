"""Which addresses the internet is made of.

A table of our own, after the IANA special-purpose registries (IPv4 and IPv6,
RFC 6890 and its updates), because `ipaddress.is_global` changed its mind
between releases of Python. What is not known to be global is not global.
"""

import ipaddress
from collections.abc import Iterator

from imagepipe.sources.urls import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_GLOBAL_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        '0.0.0.0/8',  # this network; connects to loopback on Linux
        '10.0.0.0/8',  # private
        '100.64.0.0/10',  # carrier-grade NAT
        '127.0.0.0/8',  # loopback
        '169.254.0.0/16',  # link-local, metadata services
        '172.16.0.0/12',  # private
        '192.0.0.0/24',  # IETF protocol assignments
        '192.0.2.0/24',  # documentation
        '192.31.196.0/24',  # AS112
        '192.52.193.0/24',  # AMT
        '192.88.99.0/24',  # 6to4 relays
        '192.168.0.0/16',  # private
        '192.175.48.0/24',  # AS112
        '198.18.0.0/15',  # benchmarks
        '198.51.100.0/24',  # documentation
        '203.0.113.0/24',  # documentation
        '224.0.0.0/4',  # multicast
        '240.0.0.0/4',  # reserved, broadcast
    )
)

_UNICAST_6 = ipaddress.IPv6Network('2000::/3')
_NOT_GLOBAL_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        '2001::/23',  # IETF protocol assignments: Teredo, benchmarks, ORCHID
        '2001:db8::/32',  # documentation
        '2002::/16',  # 6to4
        '2620:4f:8000::/48',  # AS112
        '3fff::/20',  # documentation
    )
)

_MAPPED = ipaddress.IPv6Network('::ffff:0:0/96')
_COMPATIBLE = ipaddress.IPv6Network('::/96')
_TRANSLATED = ipaddress.IPv6Network('::ffff:0:0:0/96')
_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')
_NAT64_LOCAL = ipaddress.IPv6Network('64:ff9b:1::/48')
_LAST_32_BITS = (_MAPPED, _COMPATIBLE, _TRANSLATED, _NAT64, _NAT64_LOCAL)


def is_global(address: Address) -> bool:
    """Whether the address can only be a host of the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_GLOBAL_4)
    if address.scope_id is not None or address not in _UNICAST_6:
        return False
    return not any(address in network for network in _NOT_GLOBAL_6)


def embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 transition address leads to."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:  # ::1 is itself, not 0.0.0.1
        return
    if any(address in network for network in _LAST_32_BITS):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
