"""Which URLs and which addresses the operator lets the service fetch from.

Names and meaning of the six host, scheme and port lists are Glance's
(`[import_filtering_opts]`): an allow list that is not empty voids its deny
list, and a URL without a port is not held against the port lists. The address
rule is stricter: what is not global is refused, private networks too.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from imagepipe import errors
from imagepipe.sources import addresses, urls
from imagepipe.sources.addresses import Network
from imagepipe.sources.urls import Address, SourceUrl


@dataclass(frozen=True, kw_only=True)
class UrlRules:
    """The operator's lists; field names are option names. Raises ConfigurationInvalid."""

    allowed_schemes: Collection[str] = ('http', 'https')
    disallowed_schemes: Collection[str] = ()
    allowed_hosts: Collection[str] = ()
    disallowed_hosts: Collection[str] = ()
    allowed_ports: Collection[int] = (80, 443)
    disallowed_ports: Collection[int] = ()
    allowed_networks: Collection[str | Network] = ()
    disallowed_networks: Collection[str | Network] = ()

    def __post_init__(self) -> None:
        for name, normal in _NORMAL_FORMS.items():
            values = tuple(normal(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, values)

    @classmethod
    def only(cls, host: str) -> 'UrlRules':
        """Rules for one host, wherever it is and whatever its port."""
        return cls(allowed_hosts=(host,), allowed_ports=())

    def check(self, url: SourceUrl) -> None:
        """Scheme, host and explicit port against the lists; raises SourceRefused."""
        passes = (
            _passes(url.scheme, self.allowed_schemes, self.disallowed_schemes)
            and _passes(url.host, self.allowed_hosts, self.disallowed_hosts)
            and (
                url.explicit_port is None
                or _passes(url.explicit_port, self.allowed_ports, self.disallowed_ports)
            )
        )
        if not passes:
            raise errors.SourceRefused(host=url.typed_host)

    def trusts(self, url: SourceUrl) -> bool:
        """Whether the operator listed this very host, wherever it is."""
        return url.host in self.allowed_hosts

    def permits(self, address: Address, *, trusted: bool = False) -> bool:
        """Whether this address may be connected to, `trusted` being `trusts()` of its URL.

        `disallowed_networks` is above everything; then a listed host goes
        anywhere; then come `allowed_networks` and the global addresses. An
        IPv6 address that leads to an IPv4 address needs both permitted.
        """
        if _within(address, self.disallowed_networks):
            return False
        if trusted:
            return True
        if not self.allowed_hosts and str(address) in self.disallowed_hosts:
            return False
        if not addresses.is_global(address) and not _within(address, self.allowed_networks):
            return False
        return all(self.permits(inner) for inner in addresses.embedded(address))


def _passes(value: str | int, allowed: Collection[str | int], disallowed: Collection[str | int]) -> bool:
    return value in allowed if allowed else value not in disallowed


def _within(address: Address, networks: Collection[Network]) -> bool:
    return any(address in network for network in networks)


def _scheme(option: str, value: str) -> str:
    return value.strip().lower()


def _host(option: str, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        pass
    try:
        return urls.canonical_host(value.strip())[0]
    except ValueError:
        raise errors.ConfigurationInvalid(
            reason=f'[import_filtering_opts] {option}: {value!r} is not a host name or an address.'
        ) from None


def _port(option: str, value: int) -> int:
    return int(value)


def _network(option: str, value: str | Network) -> Network:
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise errors.ConfigurationInvalid(
            reason=f'[import_filtering_opts] {option}: {value!r} is not a network such as 192.0.2.0/24.'
        ) from None


_NORMAL_FORMS = {
    'allowed_schemes': _scheme,
    'disallowed_schemes': _scheme,
    'allowed_hosts': _host,
    'disallowed_hosts': _host,
    'allowed_ports': _port,
    'disallowed_ports': _port,
    'allowed_networks': _network,
    'disallowed_networks': _network,
}
