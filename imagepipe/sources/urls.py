"""What a source URL may look like; pure, no network.

The grammar is narrower than RFC 3986: a text that two parsers could read
differently is refused, so that what is checked is what is connected to.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin

import idna

from imagepipe import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The schemes the fetcher speaks, whatever an allow list says.
PORTS = {'http': 80, 'https': 443}

MAX_URL = 8192
MAX_HOST = 253
UNREADABLE = '(unreadable URL)'

_PARTS = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?', re.DOTALL)
_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:')
_AUTHORITY = re.compile(r'(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?')
_PORT = re.compile(r'[1-9][0-9]{0,4}')
_LABEL = re.compile(r'(?!-)[a-z0-9_-]{1,63}(?<!-)')
#: A last label like these makes some resolvers read the whole as an IPv4 address.
_NUMBER = re.compile(r'[0-9]+|0x[0-9a-f]*')
_LITERAL = re.compile(r"[A-Za-z0-9\-._~:/?@!$&'()*+,;=%\[\]]")
_FORBIDDEN_CATEGORIES = frozenset(('Cc', 'Cf', 'Cs', 'Zs', 'Zl', 'Zp'))


@dataclass(frozen=True)
class SourceUrl:
    """A URL taken apart; every part is in the form in which it is used."""

    scheme: str
    #: As the user typed it: the only form that is shown.
    typed_host: str
    #: Lower-case ASCII without a final dot, or the address in its usual spelling.
    host: str
    address: Address | None
    explicit_port: int | None
    #: Path and query, percent-encoded ASCII.
    target: str

    @property
    def secure(self) -> bool:
        return self.scheme == 'https'

    @property
    def port(self) -> int:
        return self.explicit_port or PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110, 7.2)."""
        host = f'[{self.host}]' if isinstance(self.address, ipaddress.IPv6Address) else self.host
        return host if self.port == PORTS[self.scheme] else f'{host}:{self.port}'

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def text(self) -> str:
        """The whole URL again, without its fragment."""
        return f'{self.scheme}://{self.authority}{self.target}'


def parse(text: str) -> SourceUrl:
    """Take a URL apart; raises SourceInvalid (echoing nothing) or SourceRefused (naming the host)."""
    refuse_characters(text)
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise errors.SourceInvalid(reason='it has no scheme.')
    scheme, authority, path, query = parts[1].lower(), parts[2], parts[3], parts[4]
    if '@' in (authority or ''):
        raise errors.SourceInvalid(reason='a user name or password in it is not allowed.')
    typed_host, port = _host_and_port(authority or '')
    if scheme not in PORTS:
        raise errors.SourceRefused(host=typed_host)
    if not typed_host:
        raise errors.SourceInvalid(reason='it has no host.')
    try:
        host, address = canonical_host(typed_host)
    except ValueError:
        raise errors.SourceRefused(host=typed_host) from None
    target = (path if path.startswith('/') else f'/{path}') + (query or '')
    return SourceUrl(scheme, typed_host, host, address, port, _encoded(target))


def join(base: SourceUrl, reference: str) -> SourceUrl:
    """Where a reference found under `base` leads (RFC 3986, 5.2.2, strict); raises what parse() raises."""
    refuse_characters(reference)  # before urljoin, which drops tabs and line ends
    if _SCHEME.match(reference):
        return parse(reference)
    return parse(urljoin(base.text, reference))


def refuse_characters(text: str) -> None:
    """Refuse what no URL holds; parsers differ in what they make of it (CR, LF, backslash, bidi)."""
    if not text or len(text) > MAX_URL:
        raise errors.SourceInvalid(reason=f'it must have 1 to {MAX_URL} characters.')
    if '\\' in text or any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in text):
        raise errors.SourceInvalid(reason='it has characters that are not allowed in a URL.')


def canonical_host(typed: str) -> tuple[str, Address | None]:
    """The host in its one spelling, and the address if it is one; ValueError for any other spelling."""
    if typed.startswith('['):
        address = _ipv6(typed[1:-1])
        return str(address), address
    name = _ascii(typed).lower()
    if _NUMBER.fullmatch(name.rstrip('.').rpartition('.')[2]):
        return str(ipaddress.IPv4Address(name)), ipaddress.IPv4Address(name)
    name = name.removesuffix('.')
    if not name or len(name) > MAX_HOST or not all(map(_LABEL.fullmatch, name.split('.'))):
        raise ValueError('not a host name')
    return name, None


def shown(url: str) -> str:
    """The URL without user name, query and fragment, for records and logs; never raises."""
    parts = _PARTS.fullmatch(url)
    authority = parts[2].rpartition('@')[2] if parts and parts[2] else ''
    if not authority:
        return UNREADABLE
    return _printable(f'{parts[1].lower()}://{authority}{parts[3]}')


def _host_and_port(authority: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise errors.SourceInvalid(reason='its host cannot be read.')
    host, port = match[1], match[2]
    if len(host) > MAX_HOST + 2:
        raise errors.SourceInvalid(reason='its host name is too long.')
    if port is None:
        return host, None
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise errors.SourceInvalid(reason='its port is not a number from 1 to 65535.')
    return host, int(port)


def _ipv6(text: str) -> ipaddress.IPv6Address:
    if '%' in text:
        raise ValueError('a zone id is local to a host')
    return ipaddress.IPv6Address(text)


def _ascii(name: str) -> str:
    """The A-label form of an internationalised name (IDNA 2008, no mapping of look-alike digits or dots)."""
    if name.isascii():
        return name
    labels: Iterable[str] = name.lower().split('.')
    try:
        return '.'.join(label if label.isascii() else idna.alabel(label).decode('ascii') for label in labels)
    except idna.IDNAError as error:
        raise ValueError('not an internationalised host name') from error


def _encoded(target: str) -> str:
    """Percent-encode what may not stand in a request line; what is encoded already stays as it is."""
    return ''.join(
        character
        if _LITERAL.fullmatch(character)
        else ''.join(f'%{byte:02X}' for byte in character.encode('utf-8'))
        for character in target
    )


def _printable(text: str) -> str:
    return ''.join(
        '?' if unicodedata.category(character) in _FORBIDDEN_CATEGORIES else character
        for character in text[:MAX_URL]
    )
