"""imagepipe-manage: database, imports, conductors, staging, stores, images, protections, from the shell."""

import io
import logging
import signal
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
    speech,
    staging,
    stores,
)
from imagepipe.db import upkeep

#: Each declares the commands of its noun.
_NOUNS = (database, imports, conductors, staging, stores, images, protections, explain)
_NAMES = 'db, imports, conductors, staging, stores, images, protections or explain'
#: As shells show what a signal has ended.
_INTERRUPTED = 128 + signal.SIGINT
_UNHEARD = 128 + signal.SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 with a sentence and its code when it cannot be done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not all(map(_is_text, argv)):
        return _fail('An argument is no text in the encoding of this terminal.')
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')  # names may have letters that this terminal has not
    try:
        status = _do(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # as behind `| head`
        speech.be_unheard(sys.stdout)
        return _UNHEARD
    return status


def _do(argv: Sequence[str]) -> int:
    logging.getLogger().addHandler(logging.NullHandler())  # errors are told once, below
    conf = options.new()
    conf.register_cli_opts([cfg.SubCommandOpt('command', handler=_declare, title='commands')])
    try:
        options.load(argv, 'imagepipe-manage', conf)
        if conf.command.name is None:
            return _fail(f'Say what to do: {_NAMES}; --help shows more.')
        with upkeep.explained():
            return conf.command.does(conf)
    except errors.ImagepipeError as error:
        return _fail(f'{error} ({error.code})')


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


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
