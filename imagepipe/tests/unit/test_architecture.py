"""The rules of doc/source/contributor/architecture.rst, held against the code.

A rule is a function of parsed modules that returns sentences, one for each breach. Each rule is
asked twice: of the project, where it must find nothing, and of a planted breach, which it must find.
"""

import ast
import dataclasses
import pathlib
import re
import sys
from collections.abc import Callable, Iterator

import testscenarios
import testtools

import imagepipe
from imagepipe import errors

ROOT = pathlib.Path(imagepipe.__file__).parent

ANYTHING = frozenset({'*'})

#: What everybody may import.
LEAVES = frozenset({'errors', 'version'})

#: Which of our packages a package may import when it runs. Imports for type hints only
#: (`if TYPE_CHECKING`) are free: they make nothing depend on anything.
MAY_IMPORT: dict[str, frozenset[str]] = {
    'errors': frozenset(),
    'version': frozenset(),
    'context': frozenset(),
    'domain': frozenset(),
    'policies': frozenset(),
    'conf': frozenset(),
    'policy': frozenset({'context', 'policies', 'policy_questions', 'protections'}),
    'policy_questions': frozenset({'context'}),
    'protections': frozenset({'context', 'domain', 'policies'}),
    'quota': frozenset({'domain'}),
    'keystone_limits': frozenset({'domain'}),
    'key_manager': frozenset({'context'}),
    'signatures': frozenset({'context', 'domain', 'key_manager'}),
    'notifications': frozenset({'domain', 'db'}),
    'tracing': frozenset(),
    'secrets': frozenset(),
    'identity': frozenset(),
    'availability': frozenset(),
    'readiness': frozenset({'domain', 'db'}),
    'db': frozenset({'domain'}),
    'stores': frozenset({'domain'}),
    'cache': frozenset({'domain', 'stores'}),
    'formats': frozenset(),
    'sources': frozenset({'stores', 'formats'}),
    'operations': frozenset({'context', 'domain', 'policies'}),
    'flows': frozenset({'context', 'domain', 'formats'}),
    'jobs': frozenset({'domain', 'db', 'flows', 'notifications', 'quota'}),
    'api': frozenset({'context', 'domain', 'operations'}),
    # It ends what operations began and nobody ended.
    'jobs/sweeper.py': frozenset({'domain', 'db', 'flows', 'quota', 'operations'}),
    'jobs/store_checks.py': frozenset({'stores'}),
    # It runs inside the client, on users' machines: see CLIENT.
    'osc': frozenset({'cmd'}),
    'services': ANYTHING,
    'cmd': ANYTHING,
    'wsgi': ANYTHING,
}

#: What of `cmd` the client's plugin may import, which needs nothing but Python; and what the client brings.
CLIENT = frozenset({'cmd/display.py', 'cmd/import_record.py', 'cmd/speech.py', 'cmd/tables.py'})
CLIENT_LIBRARIES = frozenset({'cliff', 'keystoneauth1', 'openstack', 'osc_lib'})

#: The only packages, or single modules, that may import a library; nobody may where the set is empty.
ONLY_IMPORTERS: dict[str, frozenset[str]] = {
    'sqlalchemy': frozenset({'db', 'jobs'}),
    'alembic': frozenset({'db', 'jobs'}),
    'oslo_db.sqlalchemy': frozenset({'db', 'jobs'}),
    'glance_store': frozenset({'stores'}),
    # The commands start processes of our own; qemu-img stays with formats.
    'subprocess': frozenset({'formats', 'cmd'}),
    'multiprocessing': frozenset({'jobs/supervisor.py'}),
    'urllib3': frozenset({'sources'}),
    'requests': frozenset({'sources'}),
    'urllib.request': frozenset({'sources'}),
    'http.client': frozenset({'sources', 'cmd/client.py'}),  # a client of our own API
    'taskflow': frozenset({'flows', 'jobs', 'db/migrate.py'}),
    'redis': frozenset({'jobs/redis_driver.py'}),
    'kazoo': frozenset({'jobs/zookeeper_driver.py'}),
    # `conf` declares its options, as oslo.config wants it; the others know its exceptions, which
    # keystonemiddleware, oslo.limit and castellan let through.
    'keystoneauth1': frozenset({'identity', 'conf', 'api/auth.py', 'keystone_limits', 'key_manager', 'osc'}),
    'openstack': frozenset({'keystone_limits', 'osc'}),
    'cliff': frozenset({'osc'}),
    'osc_lib': frozenset({'osc'}),
    'openstackclient': frozenset(),
    'keystonemiddleware': frozenset({'api', 'identity'}),
    'webob': frozenset({'api', 'wsgi'}),
    'routes': frozenset({'api', 'wsgi'}),
    'oslo_policy': frozenset(
        {'policies', 'policy', 'policy_questions', 'cmd/enforcer.py'}
    ),  # oslo.policy's own tools ask it
    # glance_store's drivers, oslo.messaging, OSProfiler, oslo.limit and castellan take a ConfigOpts.
    'oslo_config': frozenset(
        {
            'conf',
            'services',
            'cmd',
            'wsgi',
            'stores',
            'notifications',
            'tracing',
            'keystone_limits',
            'key_manager',
        }
    ),
    'oslo_limit': frozenset({'keystone_limits'}),
    'osprofiler': frozenset({'tracing'}),
    'castellan': frozenset({'key_manager', 'conf/key_manager.py'}),
    'eventlet': frozenset(),
}

#: Who may touch the process's own ConfigOpts.
GLOBAL_CONFIGURATION = frozenset({'keystone_limits.py'})  # oslo.limit reads no other

#: Where `except Exception` may stand, and why.
EDGES: dict[str, str] = {
    'api/app.py': 'WSGI: what nobody foresaw is answered with 500 and logged',
    'jobs/sweeper.py': 'the loop of the sweeper',
    'wsgi/caretaker.py': "the loop of the cache's caretaker",
    'notifications.py': 'the sender, its thread that delivers, and the loop around it',
    'tracing.py': "a trace driver's failure loses trace points and nothing else",
    'flows/steps/base.py': 'the step base class: what a revert could not do goes to the sweeper',
    'jobs/conductor.py': 'the worker loop',
    'jobs/keeping.py': 'the thread that renews claims',
    'jobs/store_checks.py': 'the thread that looks at the stores',
    'jobs/waking.py': 'the threads that talk to an external jobboard',
    'stores/putting.py': 'the thread of a put hands its error to the sink',
    'stores/streams.py': "a sink's thread hands every error to the thread that pumps",
}

#: Modules whose length is that of a table.
TABLES = ('db/schema.py', 'conf/', 'policies/', 'db/migrations/')
LONGEST = 400

NO_NOUNS = frozenset({'utils', 'util', 'common', 'helpers', 'constants', 'misc'})


@dataclasses.dataclass(frozen=True)
class Module:
    """One parsed file; `path` is relative to the package, as 'stores/streams.py'."""

    path: str
    text: str

    @property
    def package(self) -> str:
        """The part of imagepipe it belongs to: 'stores', or 'quota' for quota.py."""
        return pathlib.PurePath(self.path).parts[0].removesuffix('.py')

    @property
    def name(self) -> str:
        """What it is imported as: 'imagepipe.stores.streams'."""
        return '.'.join(('imagepipe', *pathlib.PurePath(self.path).with_suffix('').parts))

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, full name) of what is imported when the code runs, at any depth."""
        here = ('imagepipe', *pathlib.PurePath(self.path).parts[:-1])
        for node in running(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = here[: len(here) - node.level + 1] if node.level else ()
                name = '.'.join((*base, *([node.module] if node.module else [])))
                yield from ((node.lineno, f'{name}.{alias.name}') for alias in node.names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, less the bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith('TYPE_CHECKING'):
            continue
        yield child
        yield from running(child)


def product() -> list[Module]:
    """The project's own code, without its tests."""
    paths = [path for path in sorted(ROOT.rglob('*.py')) if path.relative_to(ROOT).parts[0] != 'tests']
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths]


def own_imports(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        allowed = MAY_IMPORT.get(module.path, MAY_IMPORT.get(module.package, frozenset()))
        allowed |= LEAVES | {module.package}
        if module.path == '__init__.py' or '*' in allowed:
            continue
        for line, name in module.imports():
            ours, _, imported = name.partition('.')
            if ours == 'imagepipe' and imported and imported.split('.')[0] not in allowed:
                yield f'{module.path}:{line}: {module.package} may not import {imported}'


def libraries(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for line, name in module.imports():
            for library, importers in ONLY_IMPORTERS.items():
                if f'{name}.'.startswith(f'{library}.') and not importers & {module.package, module.path}:
                    yield f'{module.path}:{line}: {module.package} may not import {library}'


def client(modules: list[Module]) -> Iterator[str]:
    """The plugin has its users install nothing of the service: these modules import only each other."""
    for module in modules:
        if module.package != 'osc' and module.path not in CLIENT:
            continue
        libraries = CLIENT_LIBRARIES if module.package == 'osc' else frozenset()
        for line, name in module.imports():
            first, *rest = name.split('.')
            ours = '/'.join(rest[:2]) + '.py'
            if first == 'imagepipe':
                allowed = ours in CLIENT or (module.package == 'osc' and rest[0] == 'osc')
            else:
                allowed = first in sys.stdlib_module_names or first in libraries
            if not allowed:
                yield f'{module.path}:{line}: the plugin of the client may not import {name}'


def listed_packages(modules: list[Module]) -> Iterator[str]:
    for package in sorted({module.package for module in modules} - {'__init__'} - MAY_IMPORT.keys()):
        yield f'{package}: not in the table of what may import what'


def asserts(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assert):
                yield f'{module.path}:{node.lineno}: assert in product code'


def prints(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == 'print' and module.package != 'cmd':
                yield f'{module.path}:{node.lineno}: print outside cmd'


def global_configuration(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if module.path in GLOBAL_CONFIGURATION:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == 'cfg.CONF':
                yield f'{module.path}:{node.lineno}: cfg.CONF'
        for line, name in module.imports():
            if name == 'oslo_config.cfg.CONF':
                yield f'{module.path}:{line}: cfg.CONF'


def broad_excepts(modules: list[Module]) -> Iterator[str]:
    broad = {'Exception', 'BaseException'}
    for module in modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler) or module.path in EDGES:
                continue
            caught = (
                {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
                if node.type
                else broad
            )
            if caught & broad and not isinstance(node.body[-1], ast.Raise):
                yield f'{module.path}:{node.lineno}: a broad except that is no edge'


def lengths(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        lines = len(module.text.splitlines())
        if lines > LONGEST and not module.path.startswith(TABLES):
            yield f'{module.path}: {lines} lines, {LONGEST} are the most'


def names(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for part in pathlib.PurePath(module.path).with_suffix('').parts:
            if part in NO_NOUNS:
                yield f'{module.path}: {part} is no noun of the field'


def docstrings(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if module.path.startswith('db/migrations/'):
            continue
        if not ast.get_docstring(module.tree):
            yield f'{module.path}: no docstring'


def error_homes(modules: list[Module]) -> Iterator[str]:
    declared = {cls.__name__ for cls in all_errors()}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and module.package != 'errors':
                bases = {ast.unparse(base).rpartition('.')[2] for base in node.bases}
                if bases & declared:
                    yield f'{module.path}:{node.lineno}: {node.name} belongs into errors'


def error_codes(modules: list[Module]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for module in modules:
        for node in error_classes(module):
            found = codes(node)
            for code in found:
                if code in seen:
                    yield f'{code}: declared by {seen[code]} and by {node.name}'
                seen[code] = node.name
                if not re.fullmatch(r'imagepipe(\.[a-z][a-z0-9_]*){1,2}', code):
                    yield f'{code}: not of the form imagepipe.noun.what'
            if found and not ast.get_docstring(node):
                yield f'{node.name}: no docstring, and so no line on the page of error codes'


def error_cures(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for node in error_classes(module):
            if codes(node) and not list(assigned(node, 'cure')):
                yield f'{module.path}: {node.name} says nobody what to do about it'


def error_nouns(modules: list[Module]) -> Iterator[str]:
    homes = {cls.code.split('.')[1]: cls.__module__ for cls in errors.REGISTRY.values()}
    for module in modules:
        for code in (code for node in error_classes(module) for code in codes(node)):
            home = homes.get(code.split('.')[1], module.name)  # error_exports tells what is in none
            if home != module.name:
                yield f'{module.path}: {code} belongs into {home}, or that into this'


def error_exports(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for node in error_classes(module):
            if getattr(getattr(errors, node.name, None), '__module__', None) != module.name:
                yield f'{module.path}:{node.lineno}: errors.{node.name} is not this one'


def error_classes(module: Module) -> list[ast.ClassDef]:
    """The errors that a module of `errors` declares."""
    body = module.tree.body if module.package == 'errors' else []
    return [node for node in body if isinstance(node, ast.ClassDef)]


def codes(node: ast.ClassDef) -> list[str]:
    """The codes, at most one, that an error is declared with."""
    return [value.value for value in assigned(node, 'code') if isinstance(value, ast.Constant)]


def assigned(node: ast.ClassDef, name: str) -> Iterator[ast.expr]:
    """The values that a class body assigns to a name."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [
            name
        ]:
            yield statement.value


def all_errors(base: type = errors.ImagepipeError) -> Iterator[type]:
    yield base
    for cls in base.__subclasses__():
        yield from all_errors(cls)


Rule = Callable[[list[Module]], Iterator[str]]

#: A rule, and a breach of it: (path, code).
RULES: list[tuple[Rule, str, str]] = [
    (own_imports, 'domain/a.py', 'from imagepipe.db import schema'),
    (own_imports, 'formats/a.py', 'def f():\n    import imagepipe.stores.streams'),
    (own_imports, 'flows/steps/a.py', 'from ...stores import staging'),
    (own_imports, 'api/v2/a.py', 'from imagepipe import db'),
    (own_imports, 'flows/a.py', 'from imagepipe.stores import staging'),
    (libraries, 'operations/a.py', 'from sqlalchemy import orm'),
    (libraries, 'flows/a.py', 'import glance_store.backend'),
    (libraries, 'stores/a.py', 'import subprocess'),
    (libraries, 'stores/a.py', 'from urllib import request'),
    (libraries, 'stores/a.py', 'from http import client'),
    (libraries, 'db/a.py', 'import taskflow.engines'),
    (libraries, 'domain/a.py', 'from oslo_config import cfg'),
    (libraries, 'operations/a.py', 'import webob.exc'),
    (libraries, 'cmd/a.py', 'import eventlet'),
    (libraries, 'jobs/a.py', 'from keystoneauth1 import session'),
    (client, 'osc/a.py', 'from imagepipe.cmd import service'),
    (client, 'osc/a.py', 'from imagepipe import errors'),
    (client, 'osc/a.py', 'import oslo_config'),
    (client, 'cmd/tables.py', 'from imagepipe.domain import import_'),
    (client, 'cmd/display.py', 'import psutil'),
    (listed_packages, 'extras/a.py', ''),
    (asserts, 'db/a.py', 'def f(x):\n    assert x'),
    (prints, 'jobs/a.py', 'print(1)'),
    (global_configuration, 'services.py', 'from oslo_config import cfg\nx = cfg.CONF.debug'),
    (global_configuration, 'services.py', 'from oslo_config.cfg import CONF'),
    (broad_excepts, 'db/a.py', 'try:\n    f()\nexcept Exception:\n    pass'),
    (broad_excepts, 'db/a.py', 'try:\n    f()\nexcept (KeyError, BaseException):\n    pass'),
    (broad_excepts, 'db/a.py', 'try:\n    f()\nexcept:\n    pass'),
    (lengths, 'db/a.py', 'x = 1\n' * (LONGEST + 1)),
    (names, 'db/utils.py', ''),
    (names, 'common/paths.py', ''),
    (docstrings, 'db/a.py', 'x = 1'),
    (error_homes, 'db/a.py', 'class Odd(errors.NotFound):\n    pass'),
    (error_codes, 'errors/a.py', 'class A(E):\n    """a"""\n    code = "x"'),
    (error_codes, 'errors/a.py', 'class A(E):\n    code = "imagepipe.a.b"'),
    (
        error_codes,
        'errors/a.py',
        'class A(E):\n    """a"""\n    code = "imagepipe.a.b"\n'
        'class B(E):\n    """b"""\n    code = "imagepipe.a.b"',
    ),
    (error_cures, 'errors/a.py', 'class A(E):\n    code = "imagepipe.a.b"'),
    (error_nouns, 'errors/a.py', 'class A(E):\n    """a"""\n    code = "imagepipe.image.odd"'),
    (error_exports, 'errors/a.py', 'class ImageNotFound(E):\n    """a"""'),
]

#: What the rules must not mistake for a breach.
ALLOWED = [
    (
        own_imports,
        'flows/a.py',
        'import typing\nif typing.TYPE_CHECKING:\n    from imagepipe.db import database',
    ),
    (
        own_imports,
        'jobs/a.py',
        'from imagepipe import errors\nfrom imagepipe.db import database\nfrom . import b',
    ),
    (own_imports, 'db/a.py', 'from .. import errors'),
    (libraries, 'formats/a.py', 'import subprocess\nimport urllib.parse\nfrom http import HTTPStatus'),
    (
        client,
        'osc/a.py',
        'import json\nimport osc_lib.command\nfrom imagepipe.osc import calls\n'
        'from imagepipe.cmd import tables\nfrom imagepipe.cmd.display import Row',
    ),
    (prints, 'cmd/a.py', 'print(1)'),
    (broad_excepts, 'db/a.py', 'try:\n    f()\nexcept Exception:\n    g()\n    raise'),
    (lengths, 'conf/a.py', 'x = 1\n' * (LONGEST + 1)),
]


def named(rules: list[tuple[Rule, str, str]]) -> list[tuple[str, dict]]:
    """Scenarios, one for each (rule, path, code)."""
    return [
        (f'{rule.__name__}, {path}, {number}', {'rule': rule, 'path': path, 'code': code})
        for number, (rule, path, code) in enumerate(rules)
    ]


class TheProjectTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(rule.__name__, {'rule': rule}) for rule in dict.fromkeys(r for r, _, _ in RULES)]

    def test_keeps_the_rule(self) -> None:
        modules = product()
        self.assertGreater(len(modules), 10)
        self.assertEqual([], list(self.rule(modules)))


class PlantedBreachTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = named(RULES)

    def test_is_found(self) -> None:
        self.assertNotEqual([], list(self.rule([Module(self.path, self.code)])))


class AllowedTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = named(ALLOWED)

    def test_is_not_mistaken_for_a_breach(self) -> None:
        self.assertEqual([], list(self.rule([Module(self.path, self.code)])))


class EdgesTest(testtools.TestCase):
    def test_every_edge_still_exists(self) -> None:
        self.assertEqual([], [path for path in EDGES if not (ROOT / path).exists()])
