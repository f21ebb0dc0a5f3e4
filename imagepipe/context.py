"""Who asks: the request's user, project and roles."""

from oslo_context import context


class RequestContext(context.RequestContext):
    """The caller. `project_id` owns what it creates; `is_admin` is set from policy.

    Without Keystone every request is an administrator without a project. `read_only` says
    that an anonymous caller may look, never change.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        #: The reading of the policy files by which this caller is judged (policy.py).
        self.reading: object | None = None


def system() -> RequestContext:
    """The service itself: sweeper, conductor, command line."""
    return RequestContext(is_admin=True, overwrite=False)
