"""The commands: each is one or two calls, and what to print of the answer."""

import argparse
from collections.abc import Iterable, Sequence

from openstack import exceptions as sdk_errors
from osc_lib.command import command

from imagepipe.osc import columns
from imagepipe.osc.calls import Imports
from imagepipe.osc.watching import watch


def _add_import(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        'given',
        metavar='<import-or-image>',
        help='Import (ID), or image (name or ID), of which the newest import is meant',
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} is not positive')
    return number


class ListImports(command.Lister):
    """List imports of images, newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """What the list can be narrowed by."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--image', metavar='<image>', help='Only of this image (name or ID)')
        parser.add_argument(
            '--project', metavar='<project>', help='Only of this project (name or ID) (admin only)'
        )
        parser.add_argument('--state', metavar='<state>', help='Only in this state, such as running')
        parser.add_argument('--method', metavar='<method>', help='Only by this method, such as web-download')
        parser.add_argument('--long', action='store_true', help='More columns')
        parser.add_argument(
            '--limit', metavar='<limit>', type=_positive, default=50, help='So many at most (default: 50)'
        )
        parser.add_argument('--marker', metavar='<import>', help='Those after this import (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[object]]:
        """The columns and rows."""
        asked, imports = parsed_args, _imports(self)
        filters = {
            'image_id': asked.image and imports.image(asked.image),
            'owner': asked.project and _project(self, asked.project),
            'state': asked.state,
            'method': asked.method,
            'marker': asked.marker,
        }
        titles = {**columns.LIST, **(columns.LONG if asked.long else {})}
        found = list(imports.search(asked.limit, filters))
        return tuple(titles.values()), [columns.listed(record, tuple(titles)) for record in found]


class ShowImport(command.ShowOne):
    """Show an import of an image: its steps with their progress, its stores, what went wrong"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Which import."""
        return _add_import(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[object]]:
        """The import."""
        return columns.shown(_imports(self).find(parsed_args.given))


class WatchImport(command.Command):
    """Watch an import of an image until it has ended; the exit status is 0 when it succeeded"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Which import."""
        return _add_import(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """The exit status."""
        imports = _imports(self)
        return watch(imports, imports.find(parsed_args.given), self.app.stdout, self.app.stderr)


class CancelImport(command.ShowOne):
    """Cancel an import of an image: what it wrote is removed, and the image is as it was before"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Which import."""
        return _add_import(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[object]]:
        """The import, which is being reverted."""
        imports = _imports(self)
        return columns.shown(imports.cancel(imports.find(parsed_args.given)['id']))


class RetryImport(command.ShowOne):
    """Import again what a failed or cancelled import of an image did not bring in"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Which import."""
        return _add_import(super().get_parser(prog_name))

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[object]]:
        """The new import."""
        imports = _imports(self)
        return columns.shown(imports.retry(imports.find(parsed_args.given)['id']))


def _imports(asked: command.Command) -> Imports:
    return Imports(asked.app.client_manager.image)


def _project(asked: command.Command, given: str) -> str:
    """The id of a project; what cannot be looked up is taken for one."""
    manager = asked.app.client_manager
    if not manager.is_service_available('identity'):
        return given  # without Keystone
    try:
        found = manager.sdk_connection.identity.find_project(given, ignore_missing=True)
    except sdk_errors.ForbiddenException:
        return given
    return given if found is None else found.id
