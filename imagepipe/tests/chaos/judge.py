"""What must be true of a cluster when everything was mended and had time to settle."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import requests
import sqlalchemy as sa

from imagepipe import errors, quota
from imagepipe.db import schema
from imagepipe.db.transaction import Transaction
from imagepipe.domain.event import Event
from imagepipe.domain.image import Image, Status
from imagepipe.domain.import_ import ENDED, RETRYABLE, Import, ImportState
from imagepipe.domain.location import Location
from imagepipe.domain.representation import Representation
from imagepipe.domain.usage import Resource
from imagepipe.tests.chaos.clients import Deal, same_content
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.plan import APIS, Then
from imagepipe.tests.chaos.witness import Witness

_TERMINAL = (Event.TASK_SUCCESS.value, Event.TASK_FAILURE.value)
#: What the sweeper says of a counter that was wrong, so that it is seen though it was put right.
_MISCOUNTED = 'The counter of '
#: What an import is given up with when nobody foresaw why, and what is no failure of an import: it can wait.
_DEFECTS = (
    errors.ImagepipeError.code,
    errors.ImportUnreadable.code,
    errors.DatabaseUnavailable.code,
    errors.ClaimLost.code,
)
#: What a full disk, a store that is away, and deaths in the middle of one step can end in.
_EXCUSES = frozenset(
    error.code
    for error in (
        errors.ConversionNoSpace,
        errors.StagingFull,
        errors.StoreFull,
        errors.StoreTransient,
        errors.AllStoresFailed,
        errors.ImportAttemptsExhausted,
    )
)
_DOWNLOAD = 60.0


@dataclasses.dataclass(frozen=True)
class Violation:
    """What is wrong, with the image that it is about ('' for none)."""

    image_id: str
    text: str


class Judge:
    """Looks at the records, the stores, the API, and at what the database and the broker saw."""

    def __init__(
        self,
        cluster: Cluster,
        deals: list[Deal],
        witness: Witness,
        delivered: Mapping[tuple[str, str], int],
    ) -> None:
        self._cluster = cluster
        self._deals = {deal.image_id: deal for deal in deals}
        self._witness = witness
        self._delivered = delivered

    def violations(self) -> list[Violation]:
        """Everything that is wrong."""
        return [found for check in _CHECKS for found in check(self)]

    def settle(self, seconds: float) -> list[Violation]:
        """Wait until all is right that comes right by itself; what is not by then."""
        pause, until = threading.Event(), time.monotonic() + seconds
        while (wrong := [found for check in _PASSING for found in check(self)]) and time.monotonic() < until:
            pause.wait(0.5)
        return wrong

    # Imports.

    @property
    def _imports(self) -> list[Import]:
        query = sa.select(schema.imports.c.id).order_by(schema.imports.c.created_at)
        ids = [import_id for (import_id,) in self._cluster.rows(query)]
        return self._cluster.db.snapshot(lambda tx: [tx.imports.get(import_id) for import_id in ids])

    def _ends(self) -> Iterator[Violation]:
        """Every accepted import is on record, and in one of its ends."""
        imports = {record.id: record for record in self._imports}
        for deal in self._deals.values():
            for import_id in set(deal.accepted) - set(imports):
                yield Violation(deal.image_id, f'import {import_id} was accepted and is not on record')
        for record in imports.values():
            yield from (Violation(record.image_id, f'import {record.id} {text}') for text in _end(record))

    def _overlaps(self) -> Iterator[Violation]:
        """No import ran twice at the same time."""
        for record in self._imports:
            for text in self._witness.problems(record.id):
                yield Violation(record.image_id, f'import {record.id}: {text}')

    def _defects(self) -> Iterator[Violation]:
        """No fault from outside is taken for a defect of the service."""
        for record in self._imports:
            if record.error_code in _DEFECTS:
                yield Violation(record.image_id, f'import {record.id} {record.state}: {record.error_code}')

    def _cancellations(self) -> Iterator[Violation]:
        """What was cancelled ends so, and nothing else does."""
        for record in self._imports:
            deal = self._deals[record.image_id]
            found = (record.state is ImportState.CANCELLED, record.error_code == errors.ImportCancelled.code)
            if any(found) and not (all(found) and deal.order.then is Then.CANCEL):
                text = f'import {record.id} {record.state} with {record.error_code}: {deal.order.then}'
                yield Violation(record.image_id, text)

    def _reasons(self) -> Iterator[Violation]:
        """An import from a good source fails for what went wrong around it, and for nothing else."""
        for record in self._imports:
            deal = self._deals[record.image_id]
            if deal.order.kind.good and record.state is ImportState.FAILED and not _excused(record, deal):
                text = f'import {record.id} from a source that is {deal.order.kind.name!r} failed'
                yield Violation(record.image_id, f'{text}: {record.error_code} {record.error_message}')

    # Images and their bytes.

    def _images(self) -> Iterator[Violation]:
        """Images are what became of their last import; those that were dropped are gone."""
        last = {record.image_id: record for record in self._imports}
        for image_id, deal in self._deals.items():
            if deal.complaint:
                yield Violation(image_id, deal.complaint)
            image = self._image(image_id)
            if image is None:
                if not deal.unwanted and image_id in last:
                    yield Violation(image_id, 'the image is gone, and nobody deleted it')
            elif deal.unwanted:
                yield Violation(image_id, f'the image was deleted and is {image.status}')
            else:
                yield from (Violation(image_id, text) for text in _became(image, last.get(image_id), deal))

    def _image(self, image_id: str) -> Image | None:
        try:
            return self._cluster.db.snapshot(lambda tx: tx.images.find(image_id))
        except errors.ImageNotFound:
            return None

    def _bytes(self) -> Iterator[Violation]:
        """No image is active without its bytes, or with wrong ones, in any store and as it is downloaded."""
        for image_id, deal in self._deals.items():
            image = self._image(image_id)
            if image is not None and image.status is Status.ACTIVE:
                yield from (Violation(image_id, text) for text in self._wrong_bytes(image, deal))

    def _wrong_bytes(self, image: Image, deal: Deal) -> Iterator[str]:
        locations = self._cluster.db.snapshot(lambda tx: tx.locations.of_image(image.id))
        known = {
            found.id: found
            for found in self._cluster.db.snapshot(lambda tx: tx.locations.representations(image.id))
        }
        held = {location.store for location in locations}
        if not held or (deal.order.must_succeed and held != set(deal.order.stores)):
            yield f'the image is active and in {held or "no store"} of {deal.order.stores}'
        for location in locations:
            yield from self._wrong_in_store(location, known.get(location.representation_id), deal)
        url = f'{self._cluster.url(APIS[0])}/v2/images/{image.id}/file'
        response = requests.get(url, timeout=_DOWNLOAD)
        if response.status_code != 200:
            yield f'the download is answered {response.status_code}'
        elif hashlib.md5(response.content).hexdigest() != image.checksum:
            yield f'the download has {len(response.content)} bytes that are not those of the checksum'
        elif not same_content(response.content, image.disk_format, deal):
            yield f'the download ({image.disk_format}) is not what was imported'

    def _wrong_in_store(self, location: Location, found: Representation | None, deal: Deal) -> Iterator[str]:
        where = f'{location.object_name} in store {location.store}'
        if found is None:
            yield f'{where} is of no representation'
            return
        try:
            with self._cluster.services.stores[location.store].open(location.url) as reader:
                data = reader.read()
        except errors.ImagepipeError as error:
            yield f'{where} cannot be read: {error}'
            return
        if (len(data), hashlib.sha512(data).hexdigest()) != (found.size, found.digests['sha512']):
            yield f'{where} has {len(data)} bytes that are not those of its digest'
        elif not same_content(data, found.disk_format, deal):
            yield f'{where} ({found.disk_format}) is not what was imported'

    # What is kept where.

    def _staging(self) -> Iterator[Violation]:
        """Nothing is staged, and nothing is on record as being uploaded."""
        for name in _files(self._cluster.disk.path / 'staging'):
            yield Violation(_image_of(name), f'staging holds {name}')
        for row in self._cluster.rows(sa.select(schema.transfers)):
            yield Violation(row.image_id, f'transfer {row.id} is {row.state}')

    def _stores(self) -> Iterator[Violation]:
        """The stores hold exactly what location rows name."""
        columns = schema.locations.c
        query = sa.select(columns.store, columns.object_name, columns.state, columns.image_id)
        named = {(row.store, row.object_name): row for row in self._cluster.rows(query)}
        held = {
            (store, name) for store in ('fast', 'cheap') for name in _files(self._cluster.disk.path / store)
        }
        held |= {('far', name) for name in self._cluster.swift.containers['images']}
        for store, name in sorted(held - set(named)):
            yield Violation(_image_of(name), f'store {store} holds {name}, which no row names')
        for key, row in named.items():
            if key not in held:
                yield Violation(
                    row.image_id, f'store {row.store} does not hold {row.object_name} ({row.state})'
                )
            elif row.state != 'active':
                yield Violation(row.image_id, f'location {row.object_name} in {row.store} is {row.state}')

    def _counters(self) -> Iterator[Violation]:
        """The counters of quota and of staging are what the records say, and never were anything else."""
        yield from (Violation('', text) for text in self._cluster.db.snapshot(_miscounted))

    def _counted(self) -> Iterator[Violation]:
        """No sweep had to put a counter right."""
        for member, line in self._cluster.log_lines():
            if _MISCOUNTED in line:
                yield Violation('', f'{member} said: {line}')

    # Events.

    def _events(self) -> Iterator[Violation]:
        """Each import has exactly one terminal event, and the broker was given every one."""
        told = collections.Counter(
            (row.event_type, json.loads(row.payload)['id'])
            for row in self._cluster.rows(
                sa.select(schema.outbox.c.event_type, schema.outbox.c.payload).where(
                    schema.outbox.c.event_type.in_(_TERMINAL)
                )
            )
        )
        for record in self._imports:
            wanted, other = _TERMINAL if record.state is ImportState.SUCCEEDED else reversed(_TERMINAL)
            found = (told[wanted, record.id], told[other, record.id])
            if record.state in ENDED and found != (1, 0):
                text = f'import {record.id} {record.state} has {found[0]} {wanted} and {found[1]} {other}'
                yield Violation(record.image_id, text)

    def _delivery(self) -> Iterator[Violation]:
        """The broker was given every terminal event."""
        for record in self._imports:
            wanted = _TERMINAL[record.state is not ImportState.SUCCEEDED]
            if record.state in ENDED and not self._delivered[wanted, record.id]:
                yield Violation(record.image_id, f'{wanted} of import {record.id} was not delivered')

    def _letters(self) -> Iterator[Violation]:
        """Nothing waits to be sent, save what tells of the judge's own downloads."""
        columns = schema.outbox.c
        waiting = columns.sent_at.is_(None), columns.event_type != Event.IMAGE_SEND.value
        ((count,),) = self._cluster.rows(
            sa.select(sa.func.count()).select_from(schema.outbox).where(*waiting)
        )
        if count:
            yield Violation('', f'{count} notifications wait to be sent')


#: What comes right by itself, if it does.
_PASSING: tuple[Callable[[Judge], Iterator[Violation]], ...] = (
    Judge._ends,
    Judge._staging,
    Judge._stores,
    Judge._letters,
)
_CHECKS = (
    *_PASSING,
    Judge._overlaps,
    Judge._defects,
    Judge._cancellations,
    Judge._reasons,
    Judge._images,
    Judge._bytes,
    Judge._counters,
    Judge._counted,
    Judge._events,
    Judge._delivery,
)


def _excused(record: Import, deal: Deal) -> bool:
    """Whether faults of the suite, or the client, can be why an import failed."""
    if record.error_code == errors.ImageDeletedDuringImport.code:
        return deal.unwanted
    return record.error_code in _EXCUSES


def _end(record: Import) -> Iterator[str]:
    if record.state not in ENDED:
        yield f'is {record.state}'
        return
    if record.claim_owner is not None:
        yield f'has ended and is held by {record.claim_owner}'
    if record.source_url is not None and record.state not in RETRYABLE:
        yield 'has ended and still knows its URL'
    if (record.reserved, record.staged) != (0, {}):
        yield f'has ended and holds {record.reserved} bytes, {record.staged} in staging'
    if record.state is not ImportState.SUCCEEDED and not (record.error_code and record.error_message):
        yield f'{record.state} without an error'


def _became(image: Image, record: Import | None, deal: Deal) -> Iterator[str]:
    succeeded = record is not None and record.state is ImportState.SUCCEEDED
    if succeeded and not deal.order.kind.good:
        yield f'a source that is {deal.order.kind.name!r} was imported'
    if image.status is not (Status.ACTIVE if succeeded else Status.QUEUED):
        yield f'the image is {image.status}, its import {record and record.state.value}'
    if image.status is Status.QUEUED and (image.size, image.checksum) != (None, None):
        yield f'the image is queued with size {image.size} and checksum {image.checksum}'


def _miscounted(tx: Transaction) -> list[str]:
    found = []
    for owner in tx.accounts.owners():
        scope, there = quota.project(owner), tx.accounts.of_project(owner)
        for resource in Resource:
            used = tx.usages.used(scope, resource.value)
            if used != there[resource]:
                found.append(f'{scope} uses {there[resource]} of {resource}, the counter says {used}')
    staged = tx.usages.used(quota.STAGING, quota.BYTES)
    if staged != tx.accounts.staged():
        found.append(f'the counter of staging says {staged}')
    return found


def _files(root: pathlib.Path) -> list[str]:
    """Every file below, whatever it is called."""
    return [name for _, _, names in os.walk(root) for name in names]


def _image_of(name: str) -> str:
    return name.partition('.')[0]
