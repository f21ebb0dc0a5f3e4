"""imagepipe-manage conductors: who runs imports, and hosts that shall not for a while."""

import json
from collections.abc import Mapping

from oslo_config import cfg

from imagepipe.cmd import commands, import_record, tables
from imagepipe.domain.conductor import Conductor, Drain
from imagepipe.domain.event import timestamp
from imagepipe.operations import conductors

_HEADERS = ('HOST', 'PID', 'STATE', 'DRAIN', 'WORKERS', 'IMPORTS', 'VERSION', 'STARTED', 'LAST SIGN')


def declare(nouns: commands.Parsers) -> None:
    """The commands of conductors."""
    parsers = commands.noun(nouns, 'conductors', 'conductors: the processes that run imports')
    command = commands.add(parsers, 'list', show_list, 'list conductors, by host')
    commands.add_format(command)
    command = commands.add(parsers, 'drain', drain, "let a host's conductors take no new imports")
    command.add_argument('host_name', metavar='HOST')
    choice = command.add_mutually_exclusive_group()
    choice.add_argument(
        '--hand-over', action='store_true', help='give what runs to other hosts, at the end of its step'
    )
    choice.add_argument('--undo', action='store_true', help='let them take imports again')
    commands.add_format(command)
    command = commands.add(parsers, 'lost', lost, 'give a host up whose staged data imports wait for')
    command.add_argument('host_name', metavar='HOST')
    commands.add_format(command)


def show_list(conf: cfg.ConfigOpts) -> int:
    """Print the conductors, with what each has in hand."""
    with commands.services(conf) as parts:
        found = [_shown(each, conf.conductor.lease) for each in conductors.search(parts)]
    if conf.command.format == 'json':
        _print_json({'conductors': found})
    elif not found:
        print('No conductor is known.')
    else:
        print(tables.table(_HEADERS, [_row(each) for each in found]))
    return 0


def drain(conf: cfg.ConfigOpts) -> int:
    """Drain a host, or end that. Raises ConductorNotFound."""
    asked = conf.command
    with commands.services(conf) as parts:
        if asked.undo:
            host = conductors.undrain(parts, asked.host_name)
        else:
            host = conductors.drain(
                parts, asked.host_name, Drain.HAND_OVER if asked.hand_over else Drain.FINISH
            )
    if asked.format == 'json':
        since = None if host.drained_at is None else timestamp(host.drained_at)
        _print_json({'host': host.name, 'drain': host.drain, 'drained_at': since})
    elif host.drain is None:
        print(f'Conductors on {host.name} take imports again.')
    else:
        what = 'is handed over' if host.drain is Drain.HAND_OVER else 'goes on to its end'
        print(f'Conductors on {host.name} take nothing new; what runs there {what}.')
    return 0


def lost(conf: cfg.ConfigOpts) -> int:
    """Give a host up. Raises ConductorNotFound, ConductorAlive."""
    with commands.services(conf) as parts:
        loss = conductors.lose(parts, conf.command.host_name)
    if conf.command.format == 'json':
        _print_json({'host': loss.host, 'elsewhere': loss.elsewhere, 'failed': list(loss.failed)})
    else:
        print(f'Host {loss.host} is given up until a conductor of it gives a sign.')
        print(f'Imports that read their sources again on another host: {loss.elsewhere}.')
        print(f'Imports that fail, because clients had staged their data there: {len(loss.failed)}.')
    return 0


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _shown(found: Conductor, lease: float) -> dict[str, object]:
    host = found.host
    return {
        'host': host.name,
        'pid': found.pid,
        'state': found.state(lease),
        'drain': host.drain,
        'drained_at': None if host.drained_at is None else timestamp(host.drained_at),
        'lost_at': None if host.lost_at is None else timestamp(host.lost_at),
        'workers': [
            {
                'name': worker.name,
                'pid': worker.pid,
                'version': worker.version,
                'started_at': timestamp(worker.started_at),
                'seconds_since_sign': round(worker.silence, 3),
                'draining': worker.draining,
                'imports': list(worker.imports),
            }
            for worker in found.workers
        ],
    }


def _row(found: Mapping[str, object]) -> tuple[object, ...]:
    workers = found['workers']
    return (
        found['host'], found['pid'], found['state'], found['drain'], len(workers),
        sum(len(worker['imports']) for worker in workers),
        ', '.join(sorted({worker['version'] for worker in workers})),
        import_record.moment(min((worker['started_at'] for worker in workers), default=None)),
        _ago(min((worker['seconds_since_sign'] for worker in workers), default=None)),
    )  # fmt: skip


def _ago(seconds: float | None) -> str | None:
    return None if seconds is None else f'{tables.duration(max(0.0, seconds))} ago'
