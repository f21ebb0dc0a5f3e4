"""The Cinder store: volumes, found by the name that the driver gives them."""

import types
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

from imagepipe import errors
from imagepipe.stores.glance import DIGEST, GlanceStore, Shown, Source, option
from imagepipe.stores.refusals import Border

#: What the driver puts before the object's name.
_PREFIX = 'image-'


class CinderStore(GlanceStore):
    """Needs the size: without it the driver extends and re-attaches the volume for every gibibyte.

    open() at an offset reads and drops what lies before it.
    """

    schemes = ('cinder',)
    needs_size = True
    shown = (Shown('volume_type', 'cinder_volume_type'), Shown('use_multipath', 'cinder_use_multipath'))

    def prepare(self) -> None:
        """Making the driver would ask Cinder for the volume type; the options were looked at already."""

    def _add(self, name: str, source: Source, size: int | None) -> str:
        project = option(self._conf, self._group, 'cinder_store_project_name')
        owner = types.SimpleNamespace(project_id=project or '')
        url, *_ = self._fresh().add(name, source, size or 0, DIGEST, context=owner)
        return url

    def discard(self, name: str) -> None:
        """A volume that Cinder is deleting already would be refused, and goes by itself."""
        with Border(self.id):
            for volume in self._volumes(name=_PREFIX + name):
                if volume.status != 'deleting':
                    volume.delete()

    def names(self, prefix: str = '') -> Iterator[str]:
        with Border(self.id):
            found = [volume.name.removeprefix(_PREFIX) for volume in self._volumes() if volume.name]
        return iter(sorted(name for name in found if name.startswith(prefix)))

    def check(self) -> None:
        with Border(self.id):
            self._driver().get_cinderclient().volumes.list(limit=1)

    def _volumes(self, **search: str) -> list[Any]:
        found = self._driver().get_cinderclient().volumes.list(search_opts=search)
        return [volume for volume in found if not search or volume.name == search['name']]


def refuse_user_context(conf: cfg.ConfigOpts, group: str | None) -> None:
    """Without credentials of its own the driver needs the token of the user, which a conductor lacks."""

    def given(*names: str) -> bool:
        return all(option(conf, group, f'cinder_store_{name}') for name in names)

    by_password = given('user_name', 'password', 'project_name')
    by_application = given('application_credential_id', 'application_credential_secret')
    if not given('auth_address') or not (by_password or by_application):
        raise errors.ConfigurationInvalid(
            reason=f'[{group or "glance_store"}] needs cinder_store_auth_address and credentials '
            '(cinder_store_user_name, _password and _project_name, or an application credential)'
        )
