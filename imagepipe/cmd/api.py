"""imagepipe-api: the Images API under the bundled server."""

import ipaddress
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe import errors

if TYPE_CHECKING:
    from imagepipe.wsgi import bundled

LOG = log.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; 1 when the configuration cannot work."""
    try:
        conf = options.load(sys.argv[1:] if argv is None else argv, 'imagepipe-api')
        check(conf)
    except errors.ConfigurationInvalid as error:
        print(error, file=sys.stderr)
        return 1
    log.setup(conf, 'imagepipe')
    server(conf).run()
    return 0


def server(conf: cfg.ConfigOpts) -> 'bundled.Server':
    """The server that this configuration describes; its run() returns never."""
    from imagepipe.wsgi import api, bundled  # noqa: PLC0415  the service's code: not for who only asks check()

    return bundled.Server(lambda: api.build(conf), settings(conf))


def settings(conf: cfg.ConfigOpts) -> dict[str, object]:
    """gunicorn's names of our options."""
    host = f'[{conf.api.bind_host}]' if ':' in conf.api.bind_host else conf.api.bind_host
    return {
        'bind': f'{host}:{conf.api.bind_port}',
        'workers': conf.api.workers,
        'threads': conf.api.threads,
        'backlog': conf.api.backlog,
        'graceful_timeout': conf.api.graceful_seconds,
        'keepalive': conf.api.keepalive_seconds,
        'loglevel': 'debug' if conf.debug else 'info',
    }


def check(conf: cfg.ConfigOpts) -> None:
    """Refuse what would open the service to everybody. Raises ConfigurationInvalid."""
    if conf.api.auth_strategy != 'none':
        return
    if not _loopback(conf.api.bind_host):
        raise errors.ConfigurationInvalid(
            reason='[api] auth_strategy is none, so [api] bind_host must be a loopback address.'
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


if __name__ == '__main__':
    sys.exit(main())
