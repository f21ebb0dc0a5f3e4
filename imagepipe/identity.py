"""Keystone, as far as imagepipe itself calls it: rights that a user hands on, and the catalog he sees.

The only module that imports keystoneauth1. A trust's id may be recorded; tokens stay in memory.
"""

import contextlib
import datetime
import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from keystoneauth1 import exceptions, loading, plugin, session, token_endpoint
from keystonemiddleware import opts as middleware

from imagepipe import errors

if TYPE_CHECKING:
    from keystoneauth1.identity.base import BaseIdentityPlugin
    from oslo_config import cfg

LOG = logging.getLogger(__name__)

_GROUP = 'delegation'
#: Logins kept in memory, with their tokens; more than a worker runs imports at a time.
_LOGINS = 64
#: What says where a login is scoped to; a trust says it alone.
_SCOPES = frozenset({
    'project_id', 'project_name', 'project_domain_id', 'project_domain_name', 'domain_id', 'domain_name',
    'system_scope',
})  # fmt: skip


class Rights:
    """What a trust lets the service do: tokens of its user, and the endpoints that he finds."""

    def __init__(self, auth: 'BaseIdentityPlugin', keystone: session.Session) -> None:
        self._auth = auth
        self._keystone = keystone

    def token(self) -> str:
        """A token that lasts for a while yet. Raises DelegationLost, IdentityUnavailable."""
        with _asking(errors.DelegationLost()):
            return self._auth.get_token(self._keystone)

    def endpoint(self, region: str, interface: str) -> str:
        """The URL of an image service. Raises RegionUnknown, DelegationLost, IdentityUnavailable."""
        with _asking(errors.DelegationLost()):
            catalog = self._auth.get_access(self._keystone).service_catalog
        try:
            return catalog.url_for(service_type='image', interface=interface, region_name=region)
        except exceptions.CatalogException:
            raise errors.RegionUnknown(region=region, interface=interface) from None


class Identity:
    """Makes, uses and ends trusts for the service's own user.

    login: the service's credentials, scoped to a trust or, for None, as configured. roles: names of
    those that may be handed on. lifetime: of a trust.
    """

    def __init__(
        self,
        login: Callable[[str | None], 'BaseIdentityPlugin'],
        keystone: session.Session,
        *,
        roles: Collection[str],
        lifetime: datetime.timedelta,
    ) -> None:
        # The steps of an import, and its end, need one login together.
        self._login = functools.lru_cache(maxsize=_LOGINS)(login)
        self._service = login(None)
        self._keystone = keystone
        self._roles = frozenset(name.lower() for name in roles)
        self.lifetime = lifetime

    def delegate(self, *, token: str | None, user_id: str | None, project_id: str | None) -> str:
        """Let the service act as this user in this project; the trust's id.

        Raises DelegationRefused, NotAuthenticated, IdentityUnavailable.
        """
        if not (token and user_id and project_id):
            raise errors.DelegationRefused(reason='your token is not one for a project')
        url = self._url()
        with _asking(errors.IdentityUnavailable()):
            trustee = self._service.get_user_id(self._keystone)
        trust = {
            'trustor_user_id': user_id,
            'trustee_user_id': trustee,
            'project_id': project_id,
            'impersonation': True,
            'allow_redelegation': False,
            'expires_at': _timestamp(self.lifetime),
        }
        with _asking(errors.DelegationRefused(reason='Keystone does not allow it with this token')):
            return self._make(url, token_endpoint.Token(url, token), trust)

    def _make(self, url: str, user: token_endpoint.Token, trust: Mapping[str, object]) -> str:
        try:
            body = {'trust': {**trust, 'roles': self._delegable(url, user)}}
            answer = self._keystone.post(f'{url}/OS-TRUST/trusts', json=body, auth=user)
        except exceptions.Unauthorized:
            raise errors.NotAuthenticated() from None  # the token has ended since it was checked
        return answer.json()['trust']['id']

    def rights(self, trust_id: str) -> Rights:
        """The rights that a trust gives; asks nobody yet."""
        return Rights(self._login(trust_id), self._keystone)

    def end(self, trust_id: str) -> None:
        """Delete a trust; one that is not there is fine.

        It is deleted in its user's name, as Keystone wants it; where he cannot log in any more, in the
        service's own, which takes an administrator. Raises DelegationLost if neither may,
        IdentityUnavailable.
        """
        url = self._url()
        for auth in (self._login(trust_id), self._service):
            try:
                with _asking(errors.DelegationLost()):
                    self._delete(f'{url}/OS-TRUST/trusts/{trust_id}', auth)
                return
            except errors.DelegationLost as error:
                refusal = error
        raise refusal

    def _delete(self, url: str, auth: plugin.BaseAuthPlugin) -> None:
        with contextlib.suppress(exceptions.NotFound):
            self._keystone.delete(url, auth=auth)

    def _url(self) -> str:
        """Where Keystone's API version 3 is."""
        with _asking(errors.IdentityUnavailable()):
            found = self._service.get_endpoint(
                self._keystone, service_type='identity', interface=plugin.AUTH_INTERFACE, version=(3, 0)
            )
        if not found:
            raise errors.IdentityUnavailable()
        return found.rstrip('/')

    def _delegable(self, url: str, user: token_endpoint.Token) -> list[dict[str, str]]:
        """The roles of the token that may be handed on, by id: names are not unique among domains."""
        headers = {'X-Subject-Token': user.token}
        answer = self._keystone.get(f'{url}/auth/tokens?nocatalog', auth=user, headers=headers)
        held = answer.json()['token'].get('roles', [])
        roles = [{'id': role['id']} for role in held if role['name'].lower() in self._roles]
        if not roles:
            raise errors.DelegationRefused(reason='none of your roles is one that is handed on')
        return roles


@contextlib.contextmanager
def _asking(refused: errors.ImagepipeError) -> Iterator[None]:
    """What Keystone refuses is `refused`; everything else that goes wrong, IdentityUnavailable."""
    try:
        yield
    except (exceptions.RequestTimeout, exceptions.TooManyRequests) as error:
        raise _unavailable(error) from error
    except exceptions.HTTPClientError as error:
        LOG.info('Keystone refused with %s: %s', error.http_status, error.message)
        raise refused from error
    except (exceptions.ClientException, KeyError, ValueError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> errors.IdentityUnavailable:
    LOG.warning('Keystone cannot be used: %s: %s', type(error).__name__, error)
    return errors.IdentityUnavailable()


def _timestamp(ahead: datetime.timedelta) -> str:
    moment = datetime.datetime.now(datetime.UTC) + ahead
    return moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def load(conf: 'cfg.ConfigOpts') -> Identity | None:
    """The identity service that is configured; None where there is none, or none that knows trusts.

    Raises ConfigurationInvalid.
    """
    if conf.api.auth_strategy != 'keystone':
        return None
    _register(conf)
    section = conf[_GROUP].auth_section or _GROUP
    kind = conf[section].auth_type
    if not kind:
        return None
    try:
        known = {option.dest for option in loading.get_plugin_loader(kind).get_options()}
        if not {'password', 'trust_id'} <= known:
            LOG.warning('[%s] auth_type %s cannot use trusts: there is no glance-download', section, kind)
            return None

        def login(trust_id: str | None) -> 'BaseIdentityPlugin':
            scope = (
                {}
                if trust_id is None
                else dict.fromkeys(known.intersection(_SCOPES)) | {'trust_id': trust_id}
            )
            return loading.load_auth_from_conf_options(conf, _GROUP, **scope)

        options = conf[_GROUP]
        return Identity(
            login,
            _session(conf, section),
            roles=options.roles,
            lifetime=datetime.timedelta(hours=options.lifetime),
        )
    except exceptions.ClientException as error:
        raise errors.ConfigurationInvalid(reason=f'[{section}] {error}') from error


def _register(conf: 'cfg.ConfigOpts') -> None:
    """The options of [keystone_authtoken], which a process without keystonemiddleware reads too."""
    for group, options in middleware.list_auth_token_opts():
        conf.register_opts(options, group=group)
    loading.register_auth_conf_options(conf, 'keystone_authtoken')


def ca_file(conf: 'cfg.ConfigOpts') -> str | None:
    """The certificate authorities by which the cloud's own endpoints are verified."""
    return _tls(conf, 'cafile')


def _tls(conf: 'cfg.ConfigOpts', name: str) -> object:
    """A value of [delegation], or else that of [keystone_authtoken]."""
    return conf[_GROUP][name] or conf.keystone_authtoken[name]


def _session(conf: 'cfg.ConfigOpts', section: str) -> session.Session:
    cert, key = _tls(conf, 'certfile'), _tls(conf, 'keyfile')
    return session.Session(
        verify=False if _tls(conf, 'insecure') else _tls(conf, 'cafile') or True,
        cert=(cert, key) if cert and key else cert,
        timeout=conf[_GROUP].timeout,
        app_name='imagepipe',
    )
