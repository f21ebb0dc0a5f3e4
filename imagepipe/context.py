"""Who asks: the request's user, project and roles."""

from oslo_context import context


class RequestContext(context.RequestContext):
    """The caller. `project_id` owns what it creates; `is_admin` is set from policy.

    Without Keystone every request is an administrator without a project.
    """

    def __init__(self, *, service_catalog: list[dict] | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.service_catalog = service_catalog

    @property
    def read_only(self) -> bool:
        """An anonymous caller may look, never change."""
        return self.user_id is None and not self.is_admin


def system() -> RequestContext:
    """The service itself: sweeper, conductor, command line."""
    return RequestContext(is_admin=True, overwrite=False)
