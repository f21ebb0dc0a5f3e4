"""What imagepipe-manage shows of staging and of stores, and of what it removes there."""

import argparse
import json
from collections.abc import Mapping, Sequence

from oslo_config import cfg

from imagepipe.cmd import commands, tables
from imagepipe.operations.garbage import Find, Removal

_HEADERS = ('STORE', 'NAME', 'STANDING', 'AGE', 'SIZE', 'REMOVED')


def add_gc(parsers: commands.Parsers, does: commands.Command, about: str) -> argparse.ArgumentParser:
    """The command that removes what nobody owns."""
    command = commands.add(parsers, 'gc', does, about)
    command.add_argument('--dry-run', action='store_true', help='only say what would be removed')
    commands.add_format(command)
    return command


def collected(
    found: Sequence[Find], removals: Sequence[Removal], *, store: str | None = None
) -> list[dict[str, object]]:
    """Finds as programs read them, with what became of those that were to be removed."""
    tried = {removal.find: removal for removal in removals}
    return [_shown_with(tried.get(find, Removal(find=find)), store) for find in found]


def _shown_with(removal: Removal, store: str | None) -> dict[str, object]:
    problem = removal.problem
    return {
        **shown(removal.find, store=store),
        'removed': removal.removed,
        'code': problem and problem.code,
        'problem': problem and problem.message,
    }


def shown(find: Find, *, store: str | None = None) -> dict[str, object]:
    """A find as programs read it; store is None for staging."""
    owner = find.owner
    return {
        'store': store,
        'name': find.name,
        'standing': find.standing.value,
        'image_id': owner and owner.image_id,
        'owner_id': owner and owner.owner_id,
        'age': find.age,
        'size': find.size,
        'due': find.due,
    }


def print_json(value: Mapping[str, object]) -> None:
    """What programs read."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(finds: Sequence[Mapping[str, object]]) -> str:
    """Finds as people read them; columns that say nothing are left out."""
    rows = [
        (
            find['store'],
            find['name'],
            find['standing'],
            tables.duration(find['age']),
            tables.size(find['size']),
            {True: 'yes', False: 'no'}.get(find.get('removed')),
        )
        for find in finds
    ]
    kept = [number for number in range(len(_HEADERS)) if any(row[number] is not None for row in rows)]
    return tables.table(
        [_HEADERS[number] for number in kept], [[row[number] for number in kept] for row in rows]
    )


def report(
    conf: cfg.ConfigOpts,
    gone: Sequence[Mapping[str, object]],
    *,
    grace: int,
    silent: Sequence[Mapping[str, object]] = (),
    unknown: bool = True,
) -> int:
    """Print what was removed, or would be, and what was kept; 1 when something could not be done.

    silent: stores that could not be listed.
    """
    stuck = [find for find in gone if find['problem']]
    status = int(bool(silent or stuck))
    if conf.command.format == 'json':
        print_json({'found': list(gone), 'not_listed': list(silent)})
        return status
    if gone:
        print(table(gone) + '\n')
    due = [find for find in gone if find['due'] and (unknown or find['standing'] != 'unknown')]
    verb = 'would be removed' if conf.command.dry_run else 'were removed'
    count = len(due) if conf.command.dry_run else sum(find['removed'] for find in gone)
    print(f'{count} of {len(gone)} that nobody owns {verb}.')
    if any(not find['due'] for find in gone):
        print(f'What no record names is kept for {tables.duration(grace)} ([staging] grace).')
    if not unknown and any(find['due'] and find['standing'] == 'unknown' for find in gone):
        print('What no record names stays; --unknown removes it, if no other cloud uses the store.')
    for find in stuck:
        print(f'{find["name"]} could not be removed: {find["problem"]} ({find["code"]})')
    for store in silent:
        print(f'Nothing was removed from {store["store"]}: {store["problem"]} ({store["code"]})')
    return status
