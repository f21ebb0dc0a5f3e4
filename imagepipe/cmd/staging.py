"""imagepipe-manage staging: what lies in the staging area, and the removal of what nobody owns."""

from oslo_config import cfg

from imagepipe.cmd import commands, finds, tables
from imagepipe.operations import garbage


def declare(nouns: commands.Parsers) -> None:
    """The commands of the staging area."""
    parsers = commands.noun(nouns, 'staging', 'the staging area')
    commands.add_format(commands.add(parsers, 'list', show_list, 'list what is staged, and whose it is'))
    finds.add_gc(parsers, collect, 'remove what imports left, and what nobody has known for a while')


def show_list(conf: cfg.ConfigOpts) -> int:
    """Print what is in staging. Raises StagingUnavailable."""
    with commands.services(conf) as parts:
        found = [finds.shown(find) for find in garbage.staged(parts)]
        used, free = parts.staging.used_bytes(), parts.staging.free_bytes()
    if conf.command.format == 'json':
        finds.print_json({'files': found, 'used_bytes': used, 'free_bytes': free})
        return 0
    if found:
        print(finds.table(found) + '\n')
    print(f'{len(found)} files; {tables.size(used)} are used, {tables.size(free)} are free.')
    return 0


def collect(conf: cfg.ConfigOpts) -> int:
    """Remove what nobody owns, or say what that would be. Raises StagingUnavailable."""
    with commands.services(conf) as parts:
        found = [find for find in garbage.staged(parts) if find.standing in garbage.NOBODYS]
        due = [] if conf.command.dry_run else [find for find in found if find.due]
        gone = finds.collected(found, garbage.remove_all(parts, due))
        grace = parts.conf.staging.grace
    return finds.report(conf, gone, grace=grace)
