"""imagepipe-manage explain: the story of an import, or of all that a request asked for, in sentences."""

import datetime
import json
from collections.abc import Mapping, Sequence

from oslo_config import cfg

from imagepipe import context, errors
from imagepipe.cmd import commands, expectations, tables
from imagepipe.domain.import_ import Import, ImportState, Step, StepFailure, StepState
from imagepipe.operations import explanation
from imagepipe.operations.explanation import Facts

#: What happened at a time; None where the time is not on record.
Event = tuple[datetime.datetime | None, str]

_ENDS: Mapping[ImportState, str] = {
    ImportState.SUCCEEDED: 'It succeeded.',
    ImportState.FAILED: 'It ended as failed; what it wrote was removed.',
    ImportState.CANCELLED: 'It ended as cancelled; what it wrote was removed.',
}


def declare(nouns: commands.Parsers) -> None:
    """The command, which has no noun before it."""
    about = 'tell what became of a request or an import, why, and what comes next'
    command = commands.add(nouns, 'explain', explain, about)
    command.add_argument('id', metavar='ID', help='of a request, such as req-..., or of an import')
    commands.add_format(command)


def explain(conf: cfg.ConfigOpts) -> int:
    """Print the story. Raises NothingToExplain."""
    with commands.services(conf) as parts:
        found, more = explanation.explain(parts, context.system(), conf.command.id)
    if conf.command.format == 'json':
        stories = [_as_json(facts) for facts in found]
        print(json.dumps({'imports': stories, 'more': more}, indent=2, ensure_ascii=False))
    else:
        print('\n\n'.join(_as_text(facts) for facts in found))
        if more:
            print(f'\nThese are the first {len(found)} imports of this request; it asked for more.')
    return 0


def _as_json(facts: Facts) -> dict[str, object]:
    told = [{'at': at and f'{at.isoformat()}Z', 'sentence': sentence} for at, sentence in story(facts)]
    found = facts.import_
    return {
        'import_id': found.id,
        'image_id': found.image_id,
        'state': found.state.value,
        'story': told,
        'next': expectations.of(facts),
    }


def _as_text(facts: Facts) -> str:
    found = facts.import_
    lines = [f'Import {found.id} of image {found.image_id} is {found.state.value}.', '']
    for at, sentence in story(facts):
        lines.append(f'{f"{at:%Y-%m-%d %H:%M:%S}Z" if at else "":<20}{tables.GAP}{tables.text(sentence)}')
    return '\n'.join([*lines, '', 'What comes next', *(f'  {line}' for line in expectations.of(facts))])


def story(facts: Facts) -> list[Event]:
    """What happened, in its order."""
    found, steps = facts.import_, facts.record.steps
    events = [(found.created_at, _asked(found))]
    if found.started_at is not None:
        events.append((found.started_at, _claimed(found)))
    tries = [event for step in steps for event in _earlier_tries(step)]
    begun = [(step.started_at, _told(step, facts.now)) for step in steps if step.started_at is not None]
    events += _in_order([*tries, *begun])
    undone = [step.name for step in steps if step.state is StepState.REVERTED]
    if undone:
        events.append((None, f'Undone: {", ".join(undone)}.'))
    if found.error_code is not None:
        events.append((None, _failure(found)))
    events += [(None, sentence) for sentence in _stores(found)]
    if found.finished_at is not None:
        events.append((found.finished_at, _ENDS[found.state]))
    return _in_order(events + _aftermath(facts))


def _in_order(events: Sequence[Event]) -> list[Event]:
    """By their times; what has none stays behind what it was told after."""
    times: list[datetime.datetime] = []
    for at, _ in events:
        times.append(at or times[-1])
    order = sorted(range(len(events)), key=lambda number: times[number])
    return [events[number] for number in order]


def _asked(found: Import) -> str:
    project = f'project {found.owner}' if found.owner else 'no project'
    who = f'User {found.user_id} of {project} asked' if found.user_id else f'For {project} it was asked'
    what = 'copy' if found.copies else f'import by {found.method}'
    source = f' from {found.source_shown}' if found.source_shown else ''
    if found.source_image is not None:
        source = f' from image {found.source_image.image_id} in region {found.source_image.region}'
    stores = ', '.join(target.store for target in found.plan.targets) if found.plan else 'unknown stores'
    again = f', a retry of {found.retry_of}' if found.retry_of else ''
    all_of_them = ', all of which must take it' if found.plan and found.plan.must_succeed else ''
    return (
        f'{who} to {what} the image{source} into {stores}{all_of_them}{again} '
        f'(request {found.request_id or "unknown"}).'
    )


def _claimed(found: Import) -> str:
    if found.epoch == 1:
        return 'A worker claimed it.'
    return f'A worker claimed it; it has been claimed {found.epoch} times by now.'


def _told(step: Step, now: datetime.datetime) -> str:
    worker = f' on {_short(step.worker)}' if step.worker else ''
    tries = f', at try {step.attempt}' if step.attempt > 1 else ''
    lost = f' after {step.crashes} workers were lost in it' if step.crashes > 1 else ''
    lost = lost or (' after a worker was lost in it' if step.crashes else '')
    running = step.state is StepState.RUNNING
    outcome = _running(step, now) if running else _OUTCOMES[step.state](step)
    return f'Step {step.name} began{worker}{tries}{lost}; {outcome}.'


def _earlier_tries(step: Step) -> list[Event]:
    return [
        (failure.at, f'Try {failure.attempt} of step {step.name} ended: {_sentence(failure)}')
        for failure in step.failures
        if failure.attempt < step.attempt
    ]


def _sentence(failure: StepFailure) -> str:
    return f'{failure.message.rstrip(".")} ({failure.code}).'


def _done(step: Step) -> str:
    moved = f' with {tables.size(step.bytes_done)}' if step.bytes_done is not None else ''
    return f'it was done after {_span(step)}{moved}'


def _failed(step: Step) -> str:
    return f'it failed after {_span(step)}: {_reason(step)}'


def _running(step: Step, now: datetime.datetime) -> str:
    moved = ''
    if step.bytes_done is not None:
        total = f' of {tables.size(step.bytes_total)}' if step.bytes_total else ''
        moved = f', {tables.size(step.bytes_done)}{total} so far'
    silence = max(0.0, (now - step.updated_at).total_seconds())
    return f'it runs{moved}, its last sign came {tables.duration(silence)} ago'


def _reverted(step: Step) -> str:
    return f'it failed: {_reason(step)}' if step.error_code else 'it was undone later'


def _reason(step: Step) -> str:
    return f'{(step.error_message or "no reason was recorded").rstrip(".")} ({step.error_code})'


def _span(step: Step) -> str | None:
    if step.finished_at is None:
        return 'an unknown time'
    return tables.duration((step.finished_at - step.started_at).total_seconds())


_OUTCOMES = {
    StepState.PENDING: lambda step: 'it waits to be tried again',
    StepState.DONE: _done,
    StepState.FAILED: _failed,
    StepState.SKIPPED: lambda step: 'it was not gone on with',
    StepState.REVERTING: lambda step: 'it is being undone',
    StepState.REVERTED: _reverted,
}


def _failure(found: Import) -> str:
    where = f' in step {found.error_step}' if found.error_step else ''
    error = errors.REGISTRY.get(found.error_code)
    cure = f' {error.cure}' if error is not None else ''
    return f'It was given up{where}: {found.error_message.rstrip(".")} ({found.error_code}).{cure}'


def _stores(found: Import) -> list[str]:
    """Stores that took nothing, where the import says why."""
    outcomes: Mapping[str, Mapping[str, object]] = found.result.get('stores', {})
    return [
        f'Store {store} did not take it: {outcome["message"]} ({outcome["code"]}).'
        for store, outcome in outcomes.items()
        if outcome.get('code')
    ]


def _aftermath(facts: Facts) -> list[Event]:
    events: list[Event] = []
    if facts.told is not None:
        sent_at, failures = facts.told
        trouble = f'; sending it failed {failures} times' if failures else ''
        told = 'Its end was notified' if sent_at else 'The notification of its end is not sent yet'
        events.append((sent_at, f'{told}{trouble}.'))
    if facts.condemned:
        events.append((None, f'Data that is to be removed is left in: {", ".join(facts.condemned)}.'))
    return events


def _short(worker: str) -> str:
    """host:pid; the rest of the name only makes it unique."""
    return ':'.join(worker.split(':')[:2])
