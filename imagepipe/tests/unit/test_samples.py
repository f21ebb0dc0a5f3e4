"""The samples in etc/imagepipe are what the generators print, and name only what exists."""

import configparser
import difflib
import pathlib

import fixtures
import testtools

from imagepipe.conf import listing
from imagepipe.tests.fixtures import commands, options

SAMPLES = commands.PROJECT / 'etc' / 'imagepipe'


class GeneratedSampleTest(testtools.TestCase):
    def assert_current(self, tool: str, config: str, sample: str) -> None:
        output = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / sample
        commands.run(self, commands.BIN / tool, '--config-file', SAMPLES / config, '--output-file', output)
        committed = (SAMPLES / sample).read_text().splitlines()
        differences = list(difflib.unified_diff(committed, output.read_text().splitlines(), lineterm='', n=0))
        self.assertEqual([], differences[:20], 'write it again with: tox -e genconfig,genpolicy')

    def test_configuration(self) -> None:
        self.assert_current(
            'oslo-config-generator', 'imagepipe-config-generator.conf', 'imagepipe.conf.sample'
        )

    def test_policy(self) -> None:
        self.assert_current(
            'oslopolicy-sample-generator', 'imagepipe-policy-generator.conf', 'policy.yaml.sample'
        )


class OptionsTest(testtools.TestCase):
    def test_every_option_has_help(self) -> None:
        bare = [
            f'[{getattr(group, "name", group)}] {option.name}'
            for group, group_options in listing.list_opts()
            for option in group_options
            if not (option.help or '').strip()
        ]
        self.assertEqual([], bare)

    def test_no_option_is_listed_twice(self) -> None:
        names = [
            f'[{getattr(group, "name", group)}] {option.dest}'
            for group, group_options in listing.list_opts()
            for option in group_options
        ]
        self.assertEqual(sorted(set(names)), sorted(names))


class HandWrittenSampleTest(testtools.TestCase):
    """The cloud sample is written by hand: each of its options must exist and take its value."""

    def setUp(self) -> None:
        super().setUp()
        self.sample = configparser.RawConfigParser(default_section='')
        self.sample.optionxform = str
        self.sample.read(SAMPLES / 'imagepipe-cloud.conf.sample')

    def test_every_option_exists_and_takes_its_value(self) -> None:
        known = options.known()
        backends = known['DEFAULT', 'enabled_backends'].type(self.sample['DEFAULT']['enabled_backends'])
        unknown = []
        for section in set(self.sample.sections()) - set(backends):
            for name, value in self.sample[section].items():
                if (section, name) in known:
                    known[section, name].type(value)
                else:
                    unknown.append(f'[{section}] {name}')
        self.assertEqual([], unknown)

    def test_the_sandbox_is_required_in_a_cloud(self) -> None:
        self.assertEqual('required', self.sample['conversion']['sandbox'])
