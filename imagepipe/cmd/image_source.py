"""What the quickstart imports: a file, a URL, or a disk made on the spot."""

import dataclasses
import urllib.parse
from pathlib import Path

from imagepipe.cmd import sample_image, tables
from imagepipe.cmd.home import Home
from imagepipe.formats import compression
from imagepipe.formats.inspection import Inspector, inspect_file
from imagepipe.formats.verdict import Verdict

#: What a URL's name says; cloud images called .img are qcow2 more often than not.
_SUFFIXES = {
    'qcow2': 'qcow2', 'qcow': 'qcow2', 'img': 'qcow2', 'raw': 'raw', 'vmdk': 'vmdk', 'vhd': 'vhd',
    'vpc': 'vhd', 'vhdx': 'vhdx', 'vdi': 'vdi', 'iso': 'iso',
}  # fmt: skip
_COMPRESSED = ('gz', 'bz2', 'xz', 'zst', 'zip')
_DISK_FORMATS = frozenset(_SUFFIXES.values())
#: How much of compressed data is unpacked to see what it is.
_LOOK = 4 << 20


class UnusableImageError(Exception):
    """There is no such image, or it cannot be read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSource:
    """One image: `path` or `url`, what to call it, and how to declare it."""

    name: str
    disk_format: str
    about: str
    path: Path | None = None
    url: str | None = None
    size: int | None = None


def choose(home: Home, given: str | None, *, name: str | None, disk_format: str | None) -> ImageSource:
    """The image that the command line means. Raises UnusableImageError, MissingToolError."""
    if given is None:
        return _sample(home, name, disk_format)
    if given.lower().startswith(('http://', 'https://')):
        return _remote(given, name, disk_format)
    if '://' in given:
        raise UnusableImageError(
            f'{_shown(given)} is no URL that begins with http:// or https://, and no file.'
        )
    return _file(Path(given).expanduser(), name, disk_format)


def _sample(home: Home, name: str | None, disk_format: str | None) -> ImageSource:
    path = home.path / 'sample.qcow2'
    made = not path.exists()
    if made:
        home.make()
        sample_image.make(path)
    size = path.stat().st_size
    return ImageSource(
        name=name or 'sample', disk_format=disk_format or 'qcow2', path=path, size=size,
        about=f'{path}, {tables.size(size)}, a partitioned qcow2 disk with a file system, '
              f'{"made just now" if made else "made by an earlier run"}',
    )  # fmt: skip


def _remote(url: str, name: str | None, disk_format: str | None) -> ImageSource:
    file = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition('/')[2]
    found = disk_format or _by_name(file) or 'qcow2'
    return ImageSource(
        name=name or file or 'image', disk_format=found, url=url, about=f'{_shown(url)}, taken for {found}'
    )


def _shown(url: str) -> str:
    """A URL without what may be a password."""
    scheme, _, rest = url.partition('://')
    host, slash, path = rest.partition('/')
    return f'{scheme}://{host.rpartition("@")[2]}{slash}{path}'


def _file(path: Path, name: str | None, disk_format: str | None) -> ImageSource:
    if not path.exists():
        raise UnusableImageError(f'There is no file {path}.')
    if not path.is_file():
        raise UnusableImageError(f'{path} is no file.')
    size = path.stat().st_size
    if size == 0:
        raise UnusableImageError(f'{path} is empty.')
    try:
        verdict = inspect_file(path)
        found = disk_format or _disk_format(path, verdict)
    except OSError as error:
        raise UnusableImageError(f'{path} cannot be read: {error.strerror}.') from error
    packed = f' packed with {verdict.compression}' if verdict.compression else ''
    declared = 'declared as' if disk_format else 'found to be'
    return ImageSource(
        name=name or path.name, disk_format=found, path=path, size=size,
        about=f'{path}, {tables.size(size)}, {declared} {found}{packed}',
    )  # fmt: skip


def _disk_format(path: Path, verdict: Verdict) -> str:
    if verdict.compression:
        return _by_name(path.name) or _known(_unpacked(path, verdict.compression))
    return _known(verdict)


def _known(verdict: Verdict) -> str:
    """The name to declare; partition tables and what nobody recognises are raw."""
    return verdict.format if verdict.format in _DISK_FORMATS else 'raw'


def _unpacked(path: Path, kind: str) -> Verdict:
    """The verdict over the first bytes of packed data: every format but a fixed VHD says so there."""
    inspector = Inspector()
    reader = compression.open_compressed(path, kind, caps=compression.Caps(max_bytes=1 << 62))
    try:
        seen = 0
        while seen < _LOOK and (chunk := reader.read(1 << 20)):
            inspector.write(chunk)
            seen += len(chunk)
    finally:
        reader.close()
    inspector.close()
    return inspector.verdict


def _by_name(file: str) -> str | None:
    parts = file.lower().split('.')
    while len(parts) > 1 and parts[-1] in _COMPRESSED:
        parts.pop()
    return _SUFFIXES.get(parts[-1]) if len(parts) > 1 else None
