"""imagepipe-manage: database, imports, conductors, staging, stores, images, protections, from the shell."""

import logging
import sys
from collections.abc import Sequence

from oslo_config import cfg

from imagepipe import conf as options
from imagepipe import errors, version
from imagepipe.cmd import (
    commands,
    conductors,
    database,
    explain,
    images,
    imports,
    protections,
    staging,
    stores,
)
from imagepipe.db import upkeep

#: Each declares the commands of its noun.
_NOUNS = (database, imports, conductors, staging, stores, images, protections, explain)
_NAMES = 'db, imports, conductors, staging, stores, images, protections or explain'


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 with a sentence and its code when it cannot be done."""
    logging.getLogger().addHandler(logging.NullHandler())  # errors are told once, below
    conf = options.new()
    conf.register_cli_opts([cfg.SubCommandOpt('command', handler=_declare, title='commands')])
    try:
        options.load(sys.argv[1:] if argv is None else argv, 'imagepipe-manage', conf)
        if conf.command.name is None:
            return _fail(f'Say what to do: {_NAMES}; --help shows more.')
        with upkeep.explained():
            return conf.command.does(conf)
    except errors.ImagepipeError as error:
        return _fail(f'{error} ({error.code})')


def _fail(sentence: str) -> int:
    print(f'imagepipe-manage: {sentence}', file=sys.stderr)
    return 1


def _declare(parsers: commands.Parsers) -> None:
    parsers.required = False
    for noun in _NOUNS:
        noun.declare(parsers)
    commands.add(parsers, 'version', _show_release, 'print the release of imagepipe')


def _show_release(_conf: cfg.ConfigOpts) -> int:
    print(version.RELEASE)
    return 0


if __name__ == '__main__':
    sys.exit(main())
