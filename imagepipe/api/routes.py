"""The one table of routes: method, path, handler, and what is done with a body."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

import routes
import webob

from imagepipe import errors
from imagepipe.api.schemas import metadefs
from imagepipe.api.v2 import (
    actions,
    cache,
    data,
    images,
    imports,
    info,
    locations,
    members,
    metadef_namespaces,
    metadef_objects,
    metadef_properties,
    metadef_resource_types,
    metadef_tags,
    schemas,
    tags,
    tasks,
)

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
    """One row: handler(request, services, **names in the path).

    alone: what else is asked of the path is not found, as in Glance, instead of not allowed.
    """

    method: str
    path: str
    handler: Handler
    body: Body = Body.NONE
    alone: bool = False


_NAMESPACE = '/v2/metadefs/namespaces/{namespace}'

METADEF_ROUTES = (
    Route('GET', '/v2/metadefs/resource_types', metadef_resource_types.every),
    Route('GET', '/v2/metadefs/namespaces', metadef_namespaces.search, Body.IGNORED),
    Route('POST', '/v2/metadefs/namespaces', metadef_namespaces.create, Body.JSON),
    Route('GET', _NAMESPACE, metadef_namespaces.show),
    Route('PUT', _NAMESPACE, metadef_namespaces.replace, Body.JSON),
    Route('DELETE', _NAMESPACE, metadef_namespaces.delete),
    Route('GET', f'{_NAMESPACE}/objects', metadef_objects.search, Body.IGNORED),
    Route('POST', f'{_NAMESPACE}/objects', metadef_objects.create, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/objects', metadef_objects.clear, Body.IGNORED),
    Route('GET', f'{_NAMESPACE}/objects/{{name}}', metadef_objects.show),
    Route('PUT', f'{_NAMESPACE}/objects/{{name}}', metadef_objects.replace, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/objects/{{name}}', metadef_objects.delete),
    Route('GET', f'{_NAMESPACE}/properties', metadef_properties.search),
    Route('POST', f'{_NAMESPACE}/properties', metadef_properties.create, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/properties', metadef_properties.clear, Body.IGNORED),
    Route('GET', f'{_NAMESPACE}/properties/{{name}}', metadef_properties.show, Body.IGNORED),
    Route('PUT', f'{_NAMESPACE}/properties/{{name}}', metadef_properties.replace, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/properties/{{name}}', metadef_properties.delete, Body.IGNORED),
    Route('GET', f'{_NAMESPACE}/resource_types', metadef_resource_types.search),
    Route('POST', f'{_NAMESPACE}/resource_types', metadef_resource_types.create, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/resource_types/{{name}}', metadef_resource_types.delete),
    Route('GET', f'{_NAMESPACE}/tags', metadef_tags.search, Body.IGNORED),
    Route('POST', f'{_NAMESPACE}/tags', metadef_tags.set_all, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/tags', metadef_tags.clear, Body.IGNORED),
    Route('GET', f'{_NAMESPACE}/tags/{{name}}', metadef_tags.show),
    Route('POST', f'{_NAMESPACE}/tags/{{name}}', metadef_tags.create),
    Route('PUT', f'{_NAMESPACE}/tags/{{name}}', metadef_tags.replace, Body.JSON),
    Route('DELETE', f'{_NAMESPACE}/tags/{{name}}', metadef_tags.delete),
    *(Route('GET', f'/v2/schemas/metadefs/{name}', schemas.metadef(name)) for name in metadefs.DOCUMENTS),
)

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
    Route('GET', '/v2/images/{image_id}/locations', locations.of_image, Body.IGNORED),
    Route('POST', '/v2/images/{image_id}/locations', locations.add, Body.JSON),
    Route('DELETE', '/v2/stores/{store}/{image_id}', locations.delete_from_store),
    Route('GET', '/v2/images/{image_id}/members', members.search),
    Route('POST', '/v2/images/{image_id}/members', members.add, Body.JSON),
    Route('GET', '/v2/images/{image_id}/members/{member_id}', members.show),
    Route('PUT', '/v2/images/{image_id}/members/{member_id}', members.update, Body.JSON),
    Route('DELETE', '/v2/images/{image_id}/members/{member_id}', members.remove),
    Route('PUT', '/v2/images/{image_id}/tags/{tag}', tags.add),
    Route('DELETE', '/v2/images/{image_id}/tags/{tag}', tags.remove),
    Route('POST', '/v2/images/{image_id}/actions/deactivate', actions.deactivate),
    Route('POST', '/v2/images/{image_id}/actions/reactivate', actions.reactivate),
    Route('GET', '/v2/imports', imports.search),
    Route('GET', '/v2/imports/{import_id}', imports.show),
    Route('POST', '/v2/imports/{import_id}/cancel', imports.cancel),
    Route('POST', '/v2/imports/{import_id}/retry', imports.retry),
    Route('GET', '/v2/tasks', tasks.search, Body.IGNORED),
    Route('POST', '/v2/tasks', tasks.create, Body.JSON),
    Route('GET', '/v2/tasks/{task_id}', tasks.show, Body.IGNORED),
    Route('DELETE', '/v2/tasks/{task_id}', tasks.delete, Body.IGNORED),
    Route('GET', '/v2/info/import', info.import_methods),
    Route('GET', '/v2/info/stores', info.stores),
    Route('GET', '/v2/info/stores/detail', info.stores_detail),
    Route('GET', '/v2/info/usage', info.usage, alone=True),
    Route('GET', '/v2/schemas/image', schemas.image),
    Route('GET', '/v2/schemas/images', schemas.images),
    Route('GET', '/v2/schemas/member', schemas.member),
    Route('GET', '/v2/schemas/members', schemas.members),
    Route('GET', '/v2/schemas/task', schemas.task),
    Route('GET', '/v2/schemas/tasks', schemas.tasks),
    Route('GET', '/v2/openapi.json', schemas.whole),
    Route('GET', '/v2/cache', cache.show),
    Route('DELETE', '/v2/cache', cache.clear, Body.IGNORED),
    Route('POST', '/v2/cache/clean', cache.clean, Body.IGNORED),
    Route('POST', '/v2/cache/prune', cache.prune, Body.IGNORED),
    Route('GET', '/v2/cache/nodes/{image_id}', cache.nodes),
    Route('DELETE', '/v2/cache/{image_id}', cache.remove, Body.IGNORED),
    Route('PUT', '/v2/cache/{image_id}', cache.add),
    Route('GET', '/v2/cached_images', cache.cached_images),
    Route('DELETE', '/v2/cached_images', cache.delete_cached_images),
    Route('DELETE', '/v2/cached_images/{image_id}', cache.delete_cached_image),
    Route('GET', '/v2/queued_images', cache.queued_images),
    Route('DELETE', '/v2/queued_images', cache.delete_queued_images),
    Route('PUT', '/v2/queued_images/{image_id}', cache.queue_image),
    Route('DELETE', '/v2/queued_images/{image_id}', cache.delete_queued_image),
    *METADEF_ROUTES,
)


class Table:
    """Finds the route of a request."""

    def __init__(self, rows: Sequence[Route]) -> None:
        self.rows = tuple(rows)
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
        # Expressions of Routes end in $, before which a line break would pass unseen.
        found = None if path.endswith(('/', '\n')) else self._mapper.match(path)
        if found is None:
            raise _no_such_path(method)
        resource = self._resources[found['resource']]
        if method not in resource:
            if any(route.alone for route in resource.values()):
                raise _no_such_path(method)
            raise _not_allowed(method, resource)
        names = ('resource', 'action', 'controller')
        return resource[method], {name: value for name, value in found.items() if name not in names}


def _no_such_path(method: str) -> errors.ImagepipeError:
    return errors.RouteNotFound() if method in _KNOWN_METHODS else errors.MethodNotImplemented(method=method)


def _not_allowed(method: str, allowed: Iterable[str]) -> errors.ImagepipeError:
    error = errors.MethodNotAllowed(method=method)
    error.headers = {'Allow': ', '.join(allowed)}
    return error
