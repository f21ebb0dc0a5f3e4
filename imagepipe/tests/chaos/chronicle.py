"""How it came to a violation: all that is on record of one image, and all that was said of it."""

import re
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from imagepipe.db import schema
from imagepipe.tests.chaos.clients import Deal
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.witness import Witness

_TABLES = (schema.images, schema.imports, schema.locations, schema.representations, schema.transfers)
_REQUEST = re.compile(r'req-[0-9a-f-]{36}')


class Chronicle:
    """Tells the histories of images."""

    def __init__(
        self, cluster: Cluster, deals: Iterable[Deal], witness: Witness, havoc: Iterable[tuple[float, str]]
    ) -> None:
        self._cluster = cluster
        self._deals = {deal.image_id: deal for deal in deals}
        self._witness = witness
        self._havoc = havoc

    def of(self, image_id: str) -> str:
        """The history of an image and its imports."""
        return '\n'.join(self._lines(image_id))

    def _lines(self, image_id: str) -> Iterator[str]:
        deal = self._deals.get(image_id)
        if deal is not None:
            yield f'ordered: {deal.order}'
            yield from (f'{at:8.2f} {what}: {told}' for at, what, told in deal.answers)
        ids = [image_id]
        for table in _TABLES:
            column = table.c.id if table is schema.images else table.c.image_id
            for row in self._cluster.rows(sa.select(table).where(column == image_id)):
                ids.append(row.id)
                yield f'{table.name}: {_shown(row)}'
        for (import_id,) in self._cluster.rows(
            sa.select(schema.imports.c.id).where(schema.imports.c.image_id == image_id)
        ):
            yield from self._of_import(import_id)
        yield from self._said({*ids, *self._requests(image_id)})

    def _of_import(self, import_id: str) -> Iterator[str]:
        columns = schema.import_steps.c
        query = sa.select(schema.import_steps).where(columns.import_id == import_id)
        for row in self._cluster.rows(query.order_by(columns.position)):
            yield f'step: {_shown(row)}'
        yield from (f'{seen.at:.3f} {seen}' for seen in self._witness.sightings(import_id))
        letters = sa.select(schema.outbox).where(schema.outbox.c.payload.contains(import_id))
        for row in self._cluster.rows(letters.order_by(schema.outbox.c.id)):
            yield f'event: {row.event_type} once={row.once} attempts={row.attempts} sent={row.sent_at}'

    def _requests(self, image_id: str) -> set[str]:
        """The requests that name the image."""
        return {
            request
            for _, line in self._cluster.log_lines()
            if image_id in line
            for request in _REQUEST.findall(line)
        }

    def _said(self, ids: set[str]) -> Iterator[str]:
        """What every member wrote with one of these ids, and what befell the members, by time."""
        lines = sorted(
            (line, member) for member, line in self._cluster.log_lines() if any(each in line for each in ids)
        )
        yield from (f'{member}: {line}' for line, member in lines)
        yield from (f'{at:8.2f} {what}' for at, what in self._havoc)


def _shown(row: sa.Row) -> str:
    return ', '.join(f'{name}={value}' for name, value in row._mapping.items() if value not in (None, ''))
