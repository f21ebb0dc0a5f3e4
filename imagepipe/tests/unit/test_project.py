"""The project as a project: lint, documentation, packaging, and the text of its files."""

import ast
import configparser
import importlib
import json
import pathlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata

import fixtures
import testtools
from packaging import requirements

from imagepipe import errors
from imagepipe.tests.fixtures import commands, tools

PROJECT = commands.PROJECT
REQUIREMENTS = ('requirements.txt', 'test-requirements.txt')

#: Top-level modules that no distribution of the virtual environment has: a server brings them.
BROUGHT = {'uwsgi', 'uwsgidecorators', 'mod_wsgi'}


def lines(name: str) -> Iterator[requirements.Requirement]:
    """The requirements of a file."""
    for line in (PROJECT / name).read_text().splitlines():
        if line.split('#')[0].strip():
            yield requirements.Requirement(line.split('#')[0].strip())


def extras() -> Iterator[requirements.Requirement]:
    """The requirements of the extras in setup.cfg, which the product imports where they are installed."""
    for text in setup_cfg()['extras'].values():
        yield from (requirements.Requirement(line) for line in text.strip().splitlines())


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=('=',), interpolation=None)
    parser.optionxform = str
    parser.read(PROJECT / 'setup.cfg')
    return parser


def canonical(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


class LintTest(testtools.TestCase):
    def test_ruff_finds_nothing(self) -> None:
        commands.run(self, commands.BIN / 'ruff', 'check', '--no-cache')

    def test_the_format_is_ruffs(self) -> None:
        commands.run(self, commands.BIN / 'ruff', 'format', '--check', '--no-cache')

    def test_shell_files(self) -> None:
        tools.need(self, 'bash', 'shellcheck')
        commands.run(self, 'bash', 'tools/lint-shell.sh')


class DocumentationTest(testtools.TestCase):
    def build(self, source: str) -> pathlib.Path:
        if not (PROJECT / '.git').exists():
            tools.missing(self, 'a git clone, which the theme and reno read,')
        out = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        sphinx = (sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html')
        commands.run(self, *sphinx, '-d', out / 'doctrees', source, out / 'html')
        return out / 'html'

    def test_it_builds_without_a_warning_and_names_every_error_code(self) -> None:
        book = self.build('doc/source')
        page = (book / 'admin' / 'error-codes.html').read_text()
        self.assertEqual([], [code for code in errors.REGISTRY if f'>{code}<' not in page])
        self.assertEqual('3.1.0', json.loads((book / 'openapi.json').read_text())['openapi'])

    def test_the_release_notes_build_without_a_warning(self) -> None:
        page = (self.build('releasenotes/source') / 'unreleased.html').read_text()
        self.assertIn('first release of imagepipe', page)


class RequirementsTest(testtools.TestCase):
    def imported(self, paths: list[pathlib.Path]) -> dict[str, str]:
        """Top-level modules of others that the files import, each with one of the files."""
        found: dict[str, str] = {}
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or '']
                found.update({name.split('.')[0]: path.relative_to(PROJECT).as_posix() for name in names})
        own = {'imagepipe', *sys.stdlib_module_names, *BROUGHT}
        return {name: path for name, path in found.items() if name not in own}

    def undeclared(self, paths: list[pathlib.Path], declared: set[str]) -> list[str]:
        owners = metadata.packages_distributions()
        return [
            f'{name}, imported by {path}'
            for name, path in sorted(self.imported(paths).items())
            if not {canonical(owner) for owner in owners.get(name, [])} & declared
        ]

    def test_what_the_product_imports_is_required(self) -> None:
        declared = {canonical(line.name) for line in (*lines('requirements.txt'), *extras())}
        package = PROJECT / 'imagepipe'
        product = [path for path in package.rglob('*.py') if path.relative_to(package).parts[0] != 'tests']
        self.assertEqual([], self.undeclared(product, declared))

    def test_what_the_tests_import_is_required(self) -> None:
        declared = {canonical(line.name) for name in REQUIREMENTS for line in lines(name)}
        tests = list((PROJECT / 'imagepipe' / 'tests').rglob('*.py'))
        self.assertEqual([], self.undeclared([*tests, *(PROJECT / 'tools').glob('*.py')], declared))

    def test_an_import_that_nobody_requires_is_found(self) -> None:
        path = PROJECT / 'imagepipe' / 'tests' / 'unit' / 'test_project.py'
        self.assertIn(
            f'testtools, imported by {path.relative_to(PROJECT)}', self.undeclared([path], {'fixtures'})
        )

    def test_nothing_is_required_twice(self) -> None:
        names = [canonical(line.name) for name in REQUIREMENTS for line in lines(name)]
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_the_constraints_hold_every_requirement(self) -> None:
        pinned = {canonical(line.name): line for line in lines('tools/constraints.txt')}
        for name in REQUIREMENTS:
            for line in lines(name):
                self.assertIn(canonical(line.name), pinned)
                (specifier,) = pinned[canonical(line.name)].specifier
                self.assertIn(specifier.version, line.specifier, line.name)


class PackagingTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.setup = setup_cfg()

    def test_every_entry_point_leads_somewhere(self) -> None:
        for group, text in self.setup['entry_points'].items():
            for line in text.strip().splitlines():
                module, _, attribute = line.split('=', 1)[1].strip().partition(':')
                self.assertTrue(hasattr(importlib.import_module(module), attribute), f'{group}: {line}')

    def test_the_package_is_installed_with_its_entry_points(self) -> None:
        installed = {
            (entry.group, entry.name, entry.value)
            for entry in metadata.distribution('imagepipe').entry_points
        }
        for group, text in self.setup['entry_points'].items():
            for line in text.strip().splitlines():
                name, value = (part.strip() for part in line.split('=', 1))
                self.assertIn((group, name, value), installed)

    def test_a_tree_without_git_builds_with_the_version_in_the_environment(self) -> None:
        tree = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name in ('setup.cfg', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'requirements.txt'):
            (tree / name).write_bytes((PROJECT / name).read_bytes())
        (tree / 'imagepipe').mkdir()
        (tree / 'imagepipe' / '__init__.py').touch()
        version = self.setup['metadata']['version']
        printed = commands.run(
            self, sys.executable, 'setup.py', '--version', cwd=tree, env={'PBR_VERSION': version}
        )
        self.assertEqual(version, printed.splitlines()[-1])


class TextTest(testtools.TestCase):
    """No file names a place that only one machine has."""

    def test_no_path_of_one_machine(self) -> None:
        if not (PROJECT / '.git').exists():
            tools.missing(self, 'a git clone, which knows the files of the project,')
        tools.need(self, 'git')
        places = '|'.join(['work', 'root', 'farm', 'home/[a-z]+', 'tmp/(ip|venv)'])
        pattern = re.compile(rf'(?<![\w./-])/({places})(?=/)')
        found = []
        for name in commands.run(self, 'git', 'ls-files').splitlines():
            path = PROJECT / name
            if path.is_file() and path.suffix not in ('.png', '.bin'):
                text = path.read_text(errors='replace')
                found += [f'{name}: {match.group()}' for match in pattern.finditer(text)]
        self.assertEqual([], found)
