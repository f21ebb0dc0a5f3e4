"""What comes next with an import, as far as the database can tell."""

from collections.abc import Iterable

from imagepipe.cmd import tables
from imagepipe.domain.import_ import RETRYABLE, ImportState, Method
from imagepipe.flows import registry
from imagepipe.operations.explanation import Facts


def of(facts: Facts) -> list[str]:
    """Sentences for an operator."""
    if facts.import_.live:
        return _of_live(facts)
    if facts.import_.state in RETRYABLE:
        return _of_failed(facts)
    if facts.image_status is None:
        return ['Nothing: the image was deleted since.']
    return [f'Nothing: the image is {facts.image_status}.']


def _of_live(facts: Facts) -> list[str]:
    found = facts.import_
    if not registry.knows(found.flow_version):
        return [f'A conductor of a newer release takes it: flow {found.flow_version} is unknown to this one.']
    if facts.lease is not None and facts.lease > 0:
        return [_of_held(facts), *_of_state(facts)]
    why = 'No worker holds it'
    if facts.lease is not None:
        why = f'The claim of {found.claim_owner} ran out {tables.duration(-facts.lease)} ago'
    if facts.record.waits_for_host is not None:
        return [*_of_waiting(facts, why), *_of_state(facts)]
    if not facts.takers:
        return [f'{why}, and {_strange(facts) if facts.strangers else _idle(facts)}']
    others = facts.waiting - 1
    queue = f'; {others} others wait too' if others > 0 else ''
    return [
        f'{why}: the next of {len(facts.takers)} workers that has a place takes it{queue}.',
        *_of_state(facts),
    ]


def _of_waiting(facts: Facts, why: str) -> list[str]:
    host = facts.record.waits_for_host
    waits = f'{why}, and it waits for host {host}, where its data is staged'
    if host in _hosts(facts.takers):
        return [f'{waits}: the next worker there that has a place takes it.']
    undo = [f'Host {host} is drained: imagepipe-manage conductors drain {host} --undo']
    undo = undo if host in facts.drained else []
    if host in _hosts(facts.workers):
        return [f'{waits} and the workers take no imports now.', *undo]
    then = 'reads its source again on another host' if facts.import_.rereadable else 'fails'
    return [
        f'{waits} and no worker is alive: it goes on when a conductor is started there.',
        *undo,
        f'It {then} once that host has given no sign for {tables.duration(facts.lost_after)} ([staging] '
        f'lost_after), or with: imagepipe-manage conductors lost {host}',
    ]


def _strange(facts: Facts) -> str:
    flow = facts.import_.flow_version
    return f'none that is alive knows flow {flow}: it waits for a conductor of this release.'


def _idle(facts: Facts) -> str:
    """Why no worker takes it."""
    hosts = _hosts(facts.workers)
    if not hosts:
        return 'no worker is alive: it waits until a conductor is started.'
    if not hosts <= facts.drained:
        return 'the workers that are alive take nothing new, for they stop: it waits for a conductor.'
    if len(hosts) == 1:
        (host,) = hosts
        return (
            f'{host}, the only host with workers, is drained: imagepipe-manage conductors drain {host} --undo'
        )
    return f'all {len(hosts)} hosts with workers are drained: imagepipe-manage conductors drain HOST --undo'


def _hosts(workers: Iterable[str]) -> set[str]:
    return {worker.partition(':')[0] for worker in workers}


def _of_held(facts: Facts) -> str:
    owner, left = facts.import_.claim_owner, tables.duration(facts.lease)
    if owner in facts.workers:
        return f'Worker {owner} holds it and is alive.'
    return f'Worker {owner} holds it for {left} more but gives no sign: then another one takes it.'


def _of_state(facts: Facts) -> list[str]:
    found = facts.import_
    if found.state is ImportState.REVERTING:
        return ['What it wrote is removed, then it ends.']
    if found.state is ImportState.COMMITTED:
        return ['The image is active; the import only tells and tidies up.']
    waiting = [step.name for step in facts.record.steps if step.started_at is None]
    return [f'Still to do: {", ".join(waiting)}.'] if waiting else []


def _of_failed(facts: Facts) -> list[str]:
    if facts.retried_by:
        return [f'It was retried: imagepipe-manage explain {other}' for other in facts.retried_by]
    if facts.obstacle is not None:
        return [f'Nothing, and it cannot be retried: {facts.obstacle}.']
    status = f'The image is {facts.image_status}.'
    if facts.import_.method == Method.GLANCE_DOWNLOAD:
        return [f'{status} It can be retried by its project, with the rights of whoever does; not from here.']
    return [
        f'{status} It can be retried, by its project or with: '
        f'imagepipe-manage imports retry {facts.import_.id}'
    ]
