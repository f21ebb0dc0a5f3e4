"""The one table of routes: method, path, handler, and what is done with a body."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

import routes
import webob

from imagepipe import errors
from imagepipe.api.v2 import data, images, imports, info, schemas, tasks

Handler = Callable[..., webob.Response]
#: The methods for which an unknown path is just not found.
_KNOWN_METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH')


class Body(enum.Enum):
    """What a route does with a body; sending one where it is NONE is an error."""

    NONE = 'none'
    IGNORED = 'ignored'
    JSON = 'json'
    DATA = 'data'


@dataclasses.dataclass(frozen=True)
class Route:
    """One row: handler(request, services, **names in the path)."""

    method: str
    path: str
    handler: Handler
    body: Body = Body.NONE


ROUTES = (
    Route('GET', '/v2/images', images.search, Body.IGNORED),
    Route('POST', '/v2/images', images.create, Body.JSON),
    Route('GET', '/v2/images/{image_id}', images.show),
    Route('PATCH', '/v2/images/{image_id}', images.update, Body.JSON),
    Route('DELETE', '/v2/images/{image_id}', images.delete),
    Route('GET', '/v2/images/{image_id}/file', data.download),
    Route('PUT', '/v2/images/{image_id}/file', data.upload, Body.DATA),
    Route('PUT', '/v2/images/{image_id}/stage', data.stage, Body.DATA),
    Route('POST', '/v2/images/{image_id}/import', imports.start, Body.JSON),
    Route('GET', '/v2/images/{image_id}/imports', imports.of_image),
    Route('GET', '/v2/images/{image_id}/tasks', tasks.of_image),
    Route('GET', '/v2/imports', imports.search),
    Route('GET', '/v2/imports/{import_id}', imports.show),
    Route('POST', '/v2/imports/{import_id}/cancel', imports.cancel),
    Route('GET', '/v2/tasks/{task_id}', tasks.show),
    Route('GET', '/v2/info/import', info.import_methods),
    Route('GET', '/v2/info/stores', info.stores),
    Route('GET', '/v2/schemas/image', schemas.image),
    Route('GET', '/v2/schemas/images', schemas.images),
)


class Table:
    """Finds the route of a request."""

    def __init__(self, rows: Sequence[Route]) -> None:
        self._mapper = routes.Mapper()
        self._resources: dict[str, dict[str, Route]] = {}
        for row in rows:
            if row.path not in self._resources:
                self._mapper.connect(None, row.path, resource=row.path)
            self._resources.setdefault(row.path, {})[row.method] = row
        self._mapper.create_regs()

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route, and the names in the path.

        Raises RouteNotFound, MethodNotAllowed, MethodNotImplemented.
        """
        found = None if path.endswith('/') else self._mapper.match(path)
        if found is None:
            raise _no_such_path(method)
        resource = self._resources[found['resource']]
        if method not in resource:
            raise _not_allowed(method, resource)
        names = ('resource', 'action', 'controller')
        return resource[method], {name: value for name, value in found.items() if name not in names}


def _no_such_path(method: str) -> errors.ImagepipeError:
    return errors.RouteNotFound() if method in _KNOWN_METHODS else errors.MethodNotImplemented(method=method)


def _not_allowed(method: str, allowed: Iterable[str]) -> errors.ImagepipeError:
    error = errors.MethodNotAllowed(method=method)
    error.headers = {'Allow': ', '.join(allowed)}
    return error
