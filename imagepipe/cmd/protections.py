"""imagepipe-manage protections: what somebody with certain roles may do with custom properties."""

import json
from collections.abc import Mapping, Sequence

from oslo_config import cfg

from imagepipe.cmd import commands, tables
from imagepipe.context import RequestContext
from imagepipe.domain.protections import NOBODY, Operation, Rights, Table
from imagepipe.policy import Policy
from imagepipe.services import load_protections

_FILE = 'property_protection_file'
_RULES = 'policy file'
_WORDS = {True: 'yes', False: 'no', None: None}


def declare(nouns: commands.Parsers) -> None:
    """The command of property protections."""
    parsers = commands.noun(nouns, 'protections', 'property protections')
    command = commands.add(parsers, 'show', show, 'show what somebody may do with custom properties')
    repeated = 'may be repeated, or hold several separated by commas'
    command.add_argument(
        '--role', action='append', default=[], metavar='ROLE',
        help=f'a role of the token, implied ones too; {repeated}',
    )  # fmt: skip
    command.add_argument(
        '--service-role', action='append', default=[], metavar='ROLE',
        help=f'a role of the service token that comes with it; {repeated}',
    )  # fmt: skip
    command.add_argument(
        '--property', action='append', default=[], metavar='NAME',
        help='for the property of this name, instead of by pattern; may be repeated',
    )  # fmt: skip
    commands.add_format(command)


def show(conf: cfg.ConfigOpts) -> int:
    """Print what may be created, read, updated and deleted: by pattern, or for the properties named."""
    asked = conf.command
    policy = Policy(conf)
    protections = load_protections(conf, policy)
    who = RequestContext(
        user_id='-', roles=_names(asked.role), service_roles=_names(asked.service_role), overwrite=False
    )
    rights = protections.rights(who)
    sources = {_FILE: protections.file, _RULES: policy.reading().protections}
    if asked.property:
        rows = [{'property': name, **_effective(rights, name)} for name in asked.property]
    else:
        rows = [row for source, table in sources.items() if table for row in _rows(rights, source, table)]
    if asked.format == 'json':
        about = {'roles': list(who.roles), 'service_roles': list(who.service_roles)}
        print(json.dumps({**about, 'protections': rows}, indent=2))
    elif rows:
        print(_table(rows, both=all(sources.values())))
    else:
        print('Nothing is protected: who may change an image may do everything with its properties.')
    return 0


def _names(given: Sequence[str]) -> list[str]:
    return [name.strip().lower() for text in given for name in text.split(',') if name.strip()]


def _effective(rights: Rights, name: str) -> dict[str, bool]:
    return {operation.value: rights.allows(operation, name) for operation in Operation}


def _rows(rights: Rights, source: str, table: Table) -> list[dict[str, object]]:
    """A row for each pattern in its order, the last, of none, for all other properties.

    None where a row below decides.
    """
    found: dict[str | None, dict[str, object]] = {}
    for entry in table.entries:
        row = found.setdefault(entry.pattern.pattern, dict.fromkeys(Operation))
        if row[entry.operation] is None:  # the first that fits decides
            row[entry.operation] = rights.has(entry.permission)
    found[None] = {operation: rights.has(table.otherwise.get(operation, NOBODY)) for operation in Operation}
    return [{'pattern': pattern, 'from': source, **row} for pattern, row in found.items()]


def _table(rows: Sequence[Mapping[str, object]], *, both: bool) -> str:
    headers = [name.upper() for name in rows[0]]
    cells = [[_WORDS.get(cell, cell) for cell in row.values()] for row in rows]
    for row in cells:
        row[0] = row[0] or '(any other)'
    text = tables.table(headers, cells)
    notes = []
    if 'from' in rows[0]:
        notes.append('The first pattern that is found in the name decides; where it says -, one below does.')
        if both:
            notes.append('What either source denies is denied.')
    return '\n\n'.join([text, *([' '.join(notes)] if notes else [])])
