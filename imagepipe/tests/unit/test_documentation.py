"""What the documentation names exists, calls, codes, options and rules; and every call is on a page."""

import configparser
import re
import textwrap
from collections.abc import Iterator

import testtools

from imagepipe import errors, policies
from imagepipe.api import routes
from imagepipe.tests.fixtures import commands

SOURCE = commands.PROJECT / 'doc' / 'source'
PAGES = {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob('*.rst'))}
REFERENCE = {name: text for name, text in PAGES.items() if name.startswith('user/api/')}
SAMPLE = (commands.PROJECT / 'etc' / 'imagepipe' / 'imagepipe.conf.sample').read_text()

_CALL = re.compile(r'^\.\. call:: (\S+) (\S+)$', re.MULTILINE)
_NAMED_CALL = re.compile(r'``(GET|PUT|POST|PATCH|DELETE)\s+(/v2[^`?\s]*)[^`]*``')
_CODE = re.compile(r'``(imagepipe\.[a-z]+\.[a-z0-9_]+)``')
_OPTION = re.compile(r'``\[(\w+)\]\s+(\w+)[^`]*``')
_INI = re.compile(r'^( *)\.\. code-block:: ini\n\n((?:\1   .*\n|\n)+)', re.MULTILINE)
_RULES = re.compile(r'[Rr]ules? ``(\w+)``')


def options() -> dict[str, set[str]]:
    """The names of the options of each group, with those of the libraries, as the sample has them."""
    found: dict[str, set[str]] = {}
    group = ''
    for line in SAMPLE.splitlines():
        if title := re.fullmatch(r'\[(\w+)\]', line):
            group = title[1]
        if option := re.match(r'#?(\w+) = ?', line):
            found.setdefault(group, set()).add(option[1])
    # oslo.limit lists the options of keystoneauth1 but for this one.
    found['oslo_limit'].add('auth_type')
    return found


def named(pattern: re.Pattern[str]) -> Iterator[tuple[str, ...]]:
    """What a pattern finds on the pages, after the page's name."""
    for page, text in PAGES.items():
        for match in pattern.finditer(text):
            yield page, *match.groups()


class CallsTest(testtools.TestCase):
    def test_every_call_is_described_once(self):
        described = [match.groups() for text in REFERENCE.values() for match in _CALL.finditer(text)]
        self.assertEqual(sorted((row.method, row.path) for row in routes.ROUTES), sorted(described))

    def test_a_call_that_a_page_names_exists(self):
        table = routes.Table(routes.ROUTES)
        unknown = []
        for page, method, path in named(_NAMED_CALL):
            try:
                table.find(method, path)
            except errors.ImagepipeError:
                unknown.append((page, method, path))
        self.assertEqual([], unknown)


class NamesTest(testtools.TestCase):
    def test_an_error_code_that_a_page_names_exists(self):
        self.assertEqual([], [found for found in named(_CODE) if found[1] not in errors.REGISTRY])

    def test_an_option_that_a_page_names_exists(self):
        known = options()
        self.assertEqual([], [found for found in named(_OPTION) if found[2] not in known.get(found[1], ())])

    def test_an_option_that_a_page_sets_exists(self):
        known, unknown = options(), []
        for page, _, block in named(_INI):
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            parser.read_string(textwrap.dedent(block))
            groups = {'DEFAULT': parser.defaults(), **{name: parser[name] for name in parser.sections()}}
            for group, values in groups.items():
                # A group that the sample does not know is the section of a store, or another program's file.
                if group in known:
                    own = set(values) - (set() if group == 'DEFAULT' else set(parser.defaults()))
                    unknown += [(page, group, name) for name in own - known[group]]
        self.assertEqual([], unknown)

    def test_a_policy_rule_that_a_page_names_exists(self):
        known = {rule.name for rule in policies.list_rules()}
        self.assertEqual([], [found for found in named(_RULES) if found[1] not in known])
