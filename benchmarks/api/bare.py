"""The least that an answer can cost: WebOb, Routes, one statement, one rendering of JSON.

It knows no token, no policy and no configuration: its caller is always a member of BARE_PROJECT.
Served as imagepipe is, so that the server is in the figures too.
"""

import functools
import json
import os
from collections.abc import Callable, Iterable

import routes
import webob

from imagepipe import context
from imagepipe.db import engines, image_queries, image_rows
from imagepipe.db.transaction import Transaction
from imagepipe.domain import listing

_CALLER = context.RequestContext(project_id=os.environ['BARE_PROJECT'], overwrite=False)
_ADMIN = context.RequestContext(is_admin=True, project_id='admin', overwrite=False)

_mapper = routes.Mapper()
_mapper.connect(None, '/v2/images/{image_id}', kind='show')
_mapper.connect(None, '/v2/images', kind='list')
_mapper.create_regs()


@functools.cache
def _engine() -> engines.sa.Engine:
    return engines.create(os.environ['BARE_DATABASE'], reading=True)


def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
    """WSGI."""
    request = webob.Request(environ)
    found = _mapper.match(request.path_info)
    with _engine().connect() as connection:
        if found['kind'] == 'show':
            rows = connection.execute(*image_queries.by_id(_CALLER, found['image_id']))
        else:
            rows = _rows(Transaction(connection, now=None, clock=None), list(request.GET.items()))
        document = json.loads(f'[{",".join(row[0] for row in rows)}]')
    response = webob.Response(content_type='application/json', charset=None)
    response.body = json.dumps(document).encode()
    return response(environ, start_response)


def _rows(tx: Transaction, pairs: list[tuple[str, str]]) -> Iterable[engines.sa.Row]:
    query = listing.parse(pairs, default_limit=25, max_limit=1000)
    caller = _ADMIN if query.limit == 1000 else _CALLER
    after = (
        None
        if query.marker is None
        else image_rows.read(tx.connection.execute(*image_queries.by_id(caller, query.marker)).scalars())[0]
    )
    among = tx.images._candidates(query)
    return tx.connection.execute(*image_queries.page(caller, query, after, among, dialect='mysql'))
