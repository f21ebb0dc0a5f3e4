"""imagepipe-status: whether this host is ready for this release, before its services are started."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_upgradecheck import common_checks, upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from imagepipe import conf as options
from imagepipe import errors, identity
from imagepipe.conf import staging
from imagepipe.db import upkeep
from imagepipe.formats.child import Limits
from imagepipe.formats.qemu import QemuImg
from imagepipe.policy import Policy
from imagepipe.secrets import Secrets, read_key_file
from imagepipe.services import load_protections
from imagepipe.stores import asking, loading
from imagepipe.stores.file import FileStore
from imagepipe.stores.staging import StagingDirectory

_MIB = 1 << 20
_GOOD = Code.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Check; 0 when all is well, 1 for a warning, 2 for a failure or a bad configuration."""
    logging.getLogger().addHandler(logging.NullHandler())  # what matters stands in the results
    conf = options.new()
    # As upgradecheck.main does it, which has no words for the help.
    conf.register_cli_opt(cfg.SubCommandOpt('command', handler=Checks(conf).declare, title='commands'))
    upgradecheck.CONF = conf
    try:
        conf(
            list(sys.argv[1:] if argv is None else argv),
            project='imagepipe',
            default_config_files=options.files(),
        )
        return int(upgradecheck.run(conf))
    except cfg.Error as error:
        print(f'imagepipe-status: {errors.ConfigurationInvalid(reason=str(error))}', file=sys.stderr)
        return int(Code.FAILURE)


def _guarded(check: Callable[['Checks'], Result]) -> Callable[['Checks'], Result]:
    """An error of ours is a failure, in its own words."""

    def guarded(self: 'Checks') -> Result:
        try:
            return check(self)
        except errors.ImagepipeError as error:
            return Result(Code.FAILURE, f'{error} ({error.code})')

    return guarded


class Checks(upgradecheck.UpgradeCommands):
    """The checks of `imagepipe-status upgrade check`, over one configuration."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__()
        self._conf = conf
        self._upgrade_checks = (
            ('Database revision', Checks.database),
            ('Policy file is not JSON', (common_checks.check_policy_json, {'conf': conf})),
            ('Policy files and property protections', Checks.protections),
            ('Stores', Checks.stores),
            ('Staging directory', Checks.staging),
            ('qemu-img and its sandbox', Checks.qemu_img),
            ('Key file', Checks.key_file),
            ('Trusts', Checks.trusts),
        )

    def declare(self, parsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
        """The command `upgrade check`."""
        about = 'check whether this host is ready for this release'
        command = parsers.add_parser('upgrade', help=about, description=about.capitalize() + '.')
        command.add_argument('check', choices=['check'])
        command.add_argument('--json', action='store_true', help='print JSON instead of a table')
        command.set_defaults(action_fn=self.check)

    @_guarded
    def database(self) -> Result:
        """It can be reached and is at this release's revision."""
        if not self._conf.database.connection:
            raise errors.ConfigurationInvalid(reason='[database] connection is not set')
        upkeep.check(self._conf.database.connection)
        return Result(_GOOD)

    @_guarded
    def protections(self) -> Result:
        """They can be understood, and name only what is there."""
        load_protections(self._conf, Policy(self._conf))
        return Result(_GOOD)

    @_guarded
    def stores(self) -> Result:
        """They are configured in a way that works; one that cannot be reached now is a warning."""
        stores = loading.load(self._conf, prepare=False)
        new = [store.id for store in stores.values() if isinstance(store, FileStore) and store.is_new()]
        asked = (store for store in stores.values() if store.id not in new)
        answers = asking.ask(asked, self._conf.conductor.store_check_timeout)
        troubles = [str(error) for error in answers.values() if error is not None]
        if troubles:
            return Result(Code.WARNING, ' '.join(troubles))
        made = f' The services make the directories of: {", ".join(new)}.' if new else ''
        return Result(_GOOD, f'{", ".join(stores)}; the default is {stores.default}.{made}')

    @_guarded
    def staging(self) -> Result:
        """Files can be made in it and removed."""
        path = staging.directory(self._conf)
        if not os.path.isdir(path):
            return Result(Code.FAILURE, f'The staging directory {path} does not exist.')
        try:
            StagingDirectory(path).check()
        except errors.StagingUnavailable as error:
            return Result(Code.FAILURE, f'{path}: {error.__cause__ or error}')
        return Result(_GOOD, path)

    @_guarded
    def qemu_img(self) -> Result:
        """It runs, in the sandbox that is asked for; without it, nothing can be converted."""
        options = self._conf.conversion
        limits = Limits(
            memory=options.memory_limit * _MIB, cpu_seconds=options.cpu_limit,
            file_size=options.file_size_limit * 1024 * _MIB, timeout=options.timeout,
        )  # fmt: skip
        try:
            found = QemuImg(binary=options.qemu_img, sandbox=options.sandbox, limits=limits).probe()
        except errors.ConverterMissing as error:
            wanted = bool(self._conf.import_flow.target_formats)
            advice = 'Install qemu-utils and bubblewrap.'
            return Result(Code.FAILURE if wanted else Code.WARNING, f'{error} {advice}')
        if not found.sandboxed and options.sandbox != 'off':
            advice = 'bubblewrap is not installed or needs user namespaces.'
            return Result(Code.WARNING, f'{found.version}, without a sandbox: {advice}')
        sandboxed = 'in a sandbox' if found.sandboxed else 'without a sandbox, as configured'
        return Result(_GOOD, f'{found.version}, {sandboxed}.')

    @_guarded
    def key_file(self) -> Result:
        """It is there where it is needed, readable for the service only, and holds keys."""
        path = self._conf.secrets.key_file
        if path:
            Secrets(read_key_file(path))
            return Result(_GOOD)
        if 'web-download' in self._conf.enabled_import_methods:
            return Result(
                Code.WARNING, '[secrets] key_file is not set: web-download is enabled, but cannot be used.'
            )
        return Result(_GOOD, '[secrets] key_file is not set, and not needed.')

    @_guarded
    def trusts(self) -> Result:
        """The service can log in as glance-download needs it; Keystone itself is not asked."""
        if 'glance-download' not in self._conf.enabled_import_methods:
            return Result(_GOOD, 'glance-download is not enabled.')
        if identity.load(self._conf) is not None:
            return Result(_GOOD)
        return Result(
            Code.WARNING,
            'glance-download is enabled, but cannot be used: [keystone_authtoken], or the section that '
            '[delegation] auth_section names, must have the name and password of a user.',
        )


if __name__ == '__main__':
    sys.exit(main())
