"""What the nouns of imagepipe-manage declare their commands with, and the service that those run over."""

import argparse
import contextlib
from collections.abc import Callable, Iterator

from oslo_config import cfg

from imagepipe.db import upkeep
from imagepipe.services import Services

#: What a command does, given the configuration with its arguments under `command`; the exit code.
Command = Callable[[cfg.ConfigOpts], int]
Parsers = 'argparse._SubParsersAction[argparse.ArgumentParser]'


def noun(parsers: Parsers, name: str, about: str) -> Parsers:
    """A noun, to which commands are added."""
    return parsers.add_parser(name, help=about).add_subparsers(dest='action', required=True)


def add(parsers: Parsers, name: str, does: Command, about: str) -> argparse.ArgumentParser:
    """A command, to which arguments are added."""
    parser = parsers.add_parser(name, help=about, description=about.capitalize() + '.')
    parser.set_defaults(does=does)
    return parser


def add_format(parser: argparse.ArgumentParser) -> None:
    """The choice between what people and what programs read."""
    parser.add_argument('--format', choices=['table', 'json'], default='table', help='default: table')


def number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is a number between these."""

    def parse(text: str) -> int:
        found = int(text)
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f'{found} is not between {least} and {most}')
        return found

    parse.__name__ = 'number'  # argparse names it where the text is none
    return parse


def add_limit(parser: argparse.ArgumentParser) -> None:
    """How many rows are listed."""
    parser.add_argument('--limit', type=number(1, 10000), default=50, metavar='N', help='default: 50')


@contextlib.contextmanager
def services(conf: cfg.ConfigOpts) -> Iterator[Services]:
    """The parts of the service, over a database of this release. Raises DatabaseNotSynced, DatabaseNewer."""
    parts = Services.build(conf, serves=False)
    try:
        upkeep.check(conf.database.connection)
        yield parts
    finally:
        parts.close()
