"""The data directory of a standalone service: configuration, keys, database, stores, logs, and who runs."""

import contextlib
import dataclasses
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from oslo_config import cfg

from imagepipe import conf as options
from imagepipe import errors, secrets

#: The stores: what came, as it came; and the same as a raw disk, as Ceph would want it.
KEEPS, RAW = 'cheap', 'fast'

#: Seconds, and how many of them the lock is waited for.
_MOMENT = 0.01
_LOOKERS = 30

_HEAD = """\
# Written by imagepipe-standalone whenever it starts: what you change here is lost.
# Your own options go into local.conf beside this file, which is read after it.
"""


class InUseError(Exception):
    """A service runs from this data directory already."""


@dataclasses.dataclass(frozen=True)
class Running:
    """The service that runs from a data directory."""

    pid: int
    url: str


@dataclasses.dataclass(frozen=True)
class Home:
    """A data directory. Nothing in it is made before prepare() or lock()."""

    path: Path

    @classmethod
    def default(cls) -> 'Home':
        """Where the XDG Base Directory Specification puts a user's data."""
        data = os.environ.get('XDG_DATA_HOME', '')
        base = Path(data) if os.path.isabs(data) else Path.home() / '.local' / 'share'
        return cls(base / 'imagepipe')

    @property
    def config(self) -> Path:
        return self.path / 'imagepipe.conf'

    @property
    def local(self) -> Path:
        """The user's own options."""
        return self.path / 'local.conf'

    @property
    def logs(self) -> Path:
        return self.path / 'logs'

    @property
    def pid_file(self) -> Path:
        return self.path / 'imagepipe.pid'

    @property
    def url_file(self) -> Path:
        return self.path / 'url'

    def log(self, name: str) -> Path:
        """The log of one of our processes."""
        return self.logs / f'{name}.log'

    def arguments(self) -> list[str]:
        """The command line by which every imagepipe command reads this configuration."""
        files = [self.config, *([self.local] if self.local.exists() else [])]
        return [argument for path in files for argument in ('--config-file', str(path))]

    def load(self) -> cfg.ConfigOpts:
        """The configuration that the service runs with. Raises ConfigurationInvalid."""
        conf = options.load(self.arguments(), 'imagepipe-standalone')
        options.check_values(conf)
        return conf

    def make(self) -> None:
        """Make the directory, for its user only. Raises ConfigurationInvalid."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise errors.ConfigurationInvalid(
                reason=f'the data directory {self.path} cannot be used: {error.strerror}.'
            ) from error

    def configure(self, *, host: str, port: int) -> cfg.ConfigOpts:
        """Make keys, write the configuration and read it, with local.conf. Raises ConfigurationInvalid."""
        keys = self.path / 'keys'
        if not keys.exists():
            secrets.generate_key_file(keys)
        _write(self.config, _HEAD + _sections(self._settings(host, port)))
        return self.load()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one service of this directory; the pid file says who. Raises InUseError."""
        with open(self.pid_file, 'a+') as file:
            for patience in (True,) * _LOOKERS + (False,):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not patience:
                        raise InUseError(str(self.path)) from None
                    time.sleep(_MOMENT)  # running() may be looking, which takes no time
            file.truncate(0)
            file.write(f'{os.getpid()}\n')
            file.flush()
            self.url_file.unlink(missing_ok=True)
            try:
                yield
            finally:
                self.url_file.unlink(missing_ok=True)
                file.truncate(0)  # the file stays: unlinking it would let two hold "the" lock

    def tell_url(self, url: str) -> None:
        """The service answers there now."""
        _write(self.url_file, f'{url}\n')

    def running(self) -> Running | None:
        """The service that holds the lock; its url is empty until it answers."""
        while True:
            try:
                with open(self.pid_file) as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
            except BlockingIOError:
                pid = self.pid_file.read_text().strip()
                if pid:  # between the lock and the pid is a moment
                    return Running(int(pid), self._url())
            except (FileNotFoundError, NotADirectoryError):
                return None
            except PermissionError as error:
                raise errors.ConfigurationInvalid(
                    reason=f'the data directory {self.path} is not yours: {error.strerror}.'
                ) from error
            time.sleep(_MOMENT)

    def _url(self) -> str:
        try:
            return self.url_file.read_text().strip()
        except FileNotFoundError:
            return ''

    def _settings(self, host: str, port: int) -> Mapping[str, Mapping[str, object]]:
        stores = self.path / 'stores'
        return {
            'DEFAULT': {'enabled_backends': f'{KEEPS}:file,{RAW}:file'},
            'glance_store': {'default_backend': KEEPS},
            KEEPS: {
                'filesystem_store_datadir': stores / KEEPS,
                'store_description': 'Images as they came',
            },
            RAW: {
                'filesystem_store_datadir': stores / RAW,
                'store_description': 'Images as raw disks, ready to boot from',
            },
            'import_flow': {
                'target_formats': f'{RAW}:raw',
                'decompress_methods': 'glance-direct,web-download',
            },
            'staging': {'path': self.path / 'staging'},
            'database': {'connection': f'sqlite:///{self.path / "imagepipe.db"}'},
            'secrets': {'key_file': self.path / 'keys'},
            'api': {
                'auth_strategy': 'none', 'bind_host': host, 'bind_port': port, 'workers': 1,
                'graceful_seconds': 10,
            },
            'conductor': {'workers': 1, 'poll': 0.1, 'grace': 10},
            'healthcheck': {'disable_by_file_path': self.path / 'healthcheck_disable'},
            'oslo_messaging_notifications': {'driver': 'log'},
        }  # fmt: skip


def _sections(settings: Mapping[str, Mapping[str, object]]) -> str:
    parts = []
    for group, values in settings.items():
        # A dollar would name another option.
        lines = [f'{name} = {str(value).replace("$", "$$")}\n' for name, value in values.items()]
        parts.append(f'\n[{group}]\n{"".join(lines)}')
    return ''.join(parts)


def _write(path: Path, text: str) -> None:
    """A file whole or not at all, readable by its owner."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    with os.fdopen(descriptor, 'w') as file:
        file.write(text)
    os.replace(name, path)
