"""imagepipe-standalone: API and conductor together on this machine, from one data directory."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from imagepipe import errors, version
from imagepipe.cmd import quickstart, service, tables
from imagepipe.cmd.client import Client, RefusalError, SilenceError
from imagepipe.cmd.home import Home, InUseError
from imagepipe.cmd.image_source import UnusableImageError
from imagepipe.cmd.sample_image import MissingToolError
from imagepipe.cmd.speech import say

#: Exit status of `status` when nothing runs, as the Linux Standard Base has it.
NOT_RUNNING = 3

_ABOUT = """\
Runs the Images API and the conductor together on this machine: SQLite, two file stores, no Keystone,
the loopback address only. Everything lies in one data directory.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 with a sentence when it cannot be done."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    home = Home(Path(arguments.data).expanduser().absolute()) if arguments.data else Home.default()
    try:
        return arguments.does(home, arguments)
    except InUseError:
        running = home.running()
        where = f' at {running.url}' if running and running.url else ''
        return _fail(f'A service runs{where} already from {home.path}.')
    except (
        errors.ImagepipeError,
        service.ServiceError,
        SilenceError,
        MissingToolError,
        UnusableImageError,
    ) as error:
        return _fail(str(error))
    except RefusalError as error:
        return _fail(f'{error} ({error.code}, request {error.request_id})')
    except KeyboardInterrupt:
        _fail('Interrupted.')
        return quickstart.INTERRUPTED


def _fail(sentence: str) -> int:
    print(f'imagepipe-standalone: {sentence}', file=sys.stderr)
    return 1


def _run(home: Home, arguments: argparse.Namespace) -> int:
    return service.run(home, host=arguments.host, port=_port(arguments), say=say)


def _start(home: Home, arguments: argparse.Namespace) -> int:
    before = home.running()
    running = service.start(home, host=arguments.host, port=_port(arguments))
    if before is not None:
        say(f'imagepipe runs already at {running.url}')
        return 0
    say(f'imagepipe runs at {running.url}, process {running.pid}')
    if home.load().api.auth_strategy == 'none':
        say(service.NO_KEYSTONE)
    rows = {'Data': home.path, 'Logs': home.logs, 'Stop': service.command(home, 'stop')}
    say(tables.attributes(rows, indent='  '))
    return 0


def _stop(home: Home, _arguments: argparse.Namespace) -> int:
    stopped = service.stop(home)
    say(f'Nothing runs from {home.path}.' if stopped is None else 'imagepipe has stopped.')
    return 0


def _status(home: Home, _arguments: argparse.Namespace) -> int:
    running = home.running()
    if running is None:
        say(f'Nothing runs from {home.path}.')
        return NOT_RUNNING
    rows: dict[str, object] = {'URL': running.url or 'not yet', 'Process': running.pid}
    if running.url:
        rows |= _health(Client(running.url, timeout=5.0))
    say(tables.attributes(rows | {'Data': home.path, 'Logs': home.logs}))
    return 0


def _health(client: Client) -> dict[str, object]:
    if not client.healthy():
        return {'API': 'does not answer'}
    try:
        return {'API': 'answers', 'Imports at work': len(client.live_imports())}
    except (RefusalError, SilenceError) as error:
        return {'API': str(error)}


def _quickstart(home: Home, arguments: argparse.Namespace) -> int:
    return quickstart.run(
        home, arguments.image, host=arguments.host, port=arguments.port, name=arguments.name,
        disk_format=arguments.disk_format,
    )  # fmt: skip


def _port(arguments: argparse.Namespace) -> int:
    return service.PORT if arguments.port is None else arguments.port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('imagepipe-standalone', description=_ABOUT)
    parser.add_argument('--version', action='version', version=version.RELEASE)
    _common(parser)
    parser.set_defaults(does=_run, data=None, host=service.HOST, port=None)
    commands = parser.add_subparsers(metavar='COMMAND', title='commands')
    _command(commands, 'run', _run, 'run in this terminal until Ctrl-C; what is done without a command')
    _command(commands, 'start', _start, 'run in the background')
    _command(commands, 'stop', _stop, 'end what runs from the data directory')
    _command(commands, 'status', _status, 'say what runs from the data directory; 3 when nothing does')
    _image_arguments(_command(
        commands, 'quickstart', _quickstart, 'start in the background and import an image, step by step'
    ))  # fmt: skip
    return parser


def _command(
    commands: 'argparse._SubParsersAction[argparse.ArgumentParser]',
    name: str,
    does: Callable[..., int],
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about.capitalize() + '.')
    _common(parser)
    parser.set_defaults(does=does)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    """Options that may stand before and after the command."""
    unset = argparse.SUPPRESS
    parser.add_argument('--data', metavar='DIR', default=unset, help=f'default: {Home.default().path}')
    parser.add_argument(
        '--port', metavar='N', type=port_number, default=unset,
        help=f'default: {service.PORT}; 0 takes any free one',
    )  # fmt: skip
    parser.add_argument(
        '--host',
        metavar='ADDRESS',
        default=unset,
        help=f'default: {service.HOST}; others only with [api] auth_strategy = keystone in local.conf',
    )


def _image_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'image', metavar='IMAGE', nargs='?',
        help='a path, or a URL that starts with http; without one a disk is made on the spot',
    )  # fmt: skip
    parser.add_argument('--name', help='the name of the image; default: that of the file')
    parser.add_argument(
        '--disk-format',
        metavar='FORMAT',
        help='what the image is declared as; default: what the file is, for a URL what its name says',
    )


def port_number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'{number} is no port')
    return number


if __name__ == '__main__':
    sys.exit(main())
