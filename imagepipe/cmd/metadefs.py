"""imagepipe-manage db ...metadefs: metadata definitions from files, and back into them."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from oslo_config import cfg

from imagepipe import errors
from imagepipe.api.gate import Gate
from imagepipe.cmd import commands, metadef_files
from imagepipe.domain.metadefs import Definition
from imagepipe.operations import metadef_catalogue
from imagepipe.operations.metadef_catalogue import Merge

_MERGES = {
    (False, False, False): Merge.NONE,
    (True, False, False): Merge.MISSING,
    (True, True, False): Merge.PREFER_NEW,
    (True, False, True): Merge.OVERWRITE,
}


def declare(parsers: commands.Parsers) -> None:
    """The commands of metadata definitions."""
    about = 'load metadata definitions from files, all of them or none'
    command = commands.add(parsers, 'load_metadefs', load, about)
    _path_option(command, 'a directory of *.json files, or one file')
    command.add_argument(
        '--merge', action='store_true',
        help='give namespaces that are there what they do not have; else they are left as they are',
    )  # fmt: skip
    command.add_argument(
        '--prefer_new', '--prefer-new', action='store_true',
        help='with --merge: what is in the files takes the place of what has the same name',
    )  # fmt: skip
    command.add_argument(
        '--overwrite', action='store_true',
        help='with --merge: namespaces become what is in the files, and nothing else stays in them',
    )  # fmt: skip
    commands.add(parsers, 'unload_metadefs', unload, 'delete all metadata definitions')
    about = 'write metadata definitions to files, one for each namespace'
    command = commands.add(parsers, 'export_metadefs', export, about)
    _path_option(command, 'the directory for the files')


def load(conf: cfg.ConfigOpts) -> int:
    """Load files, all of them or none. Raises MetadefFileInvalid."""
    asked = conf.command
    merge = _MERGES.get((asked.merge, asked.prefer_new, asked.overwrite))
    if merge is None:
        raise errors.ConfigurationInvalid(reason='--prefer_new and --overwrite are ways of --merge; name one')
    paths = metadef_files.find(_path(conf))
    definitions = _read(paths, Gate(conf))
    with commands.services(conf) as parts:
        done = metadef_catalogue.load(parts, definitions, merge=merge)
    for path, definition, what in zip(paths, definitions, done, strict=True):
        print(f'{definition.namespace.namespace} ({path}): {what.value}')
    return 0


def unload(conf: cfg.ConfigOpts) -> int:
    """Delete all metadata definitions."""
    with commands.services(conf) as parts:
        count = metadef_catalogue.unload(parts)
    print(f'Deleted: {count} namespaces.')
    return 0


def export(conf: cfg.ConfigOpts) -> int:
    """Write a file for each namespace. Raises MetadefFileInvalid."""
    directory = _path(conf)
    if not directory.is_dir():
        raise errors.MetadefFileInvalid(path=directory, reason='it is not a directory')
    with commands.services(conf) as parts:
        definitions = metadef_catalogue.export(parts)
    for definition in definitions:
        print(f'{definition.namespace.namespace}: {metadef_files.write(directory, definition)}')
    return 0


def _path_option(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument('--path', type=pathlib.Path, help=f'{about}; default: metadata_source_path')


def _path(conf: cfg.ConfigOpts) -> pathlib.Path:
    return conf.command.path or pathlib.Path(conf.metadata_source_path)


def _read(paths: Sequence[pathlib.Path], gate: Gate) -> Sequence[Definition]:
    """What is in the files. Raises MetadefFileInvalid after telling of every bad file but the last."""
    found, bad = [], []
    for path in paths:
        try:
            found.append(metadef_files.read(path, gate))
        except errors.MetadefFileInvalid as error:
            bad.append(error)
    for error in bad[:-1]:
        print(f'imagepipe-manage: {error}', file=sys.stderr)
    if bad:
        raise bad[-1]
    return found
