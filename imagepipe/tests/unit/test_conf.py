"""A configuration that cannot work is told at the start, by the option's name."""

import testtools

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.services import Services
from imagepipe.tests.fixtures.services import ServicesFixture, write_config


class ConfigurationTest(testtools.TestCase):
    def refused(self, **overrides):
        fixture = self.useFixture(ServicesFixture(self))
        write_config(
            fixture.path('more.conf'), {name.replace('__', '.'): value for name, value in overrides.items()}
        )
        files = [f'--config-file={path}' for path in (fixture.config_file(), fixture.path('more.conf'))]
        conf = options.load(files, 'imagepipe')
        return str(self.assertRaises(errors.ConfigurationInvalid, Services.build, conf))

    def test_a_value_that_cannot_be_parsed(self):
        self.assertIn('lease', self.refused(conductor__lease='soon'))

    def test_a_list_without_its_brackets(self):
        self.assertIn('enabled_import_methods', self.refused(enabled_import_methods='glance-direct'))

    def test_a_format_that_nothing_is_converted_to(self):
        self.assertIn('target_formats', self.refused(import_flow__target_formats='fast:iso'))

    def test_a_default_store_that_is_not_there(self):
        self.assertIn('moon', self.refused(glance_store__default_backend='moon'))

    def test_one_that_works_connects_to_nothing(self):
        conf = self.useFixture(ServicesFixture(self)).conf
        conf.set_override('connection', 'postgresql+psycopg2://nobody@127.0.0.1:1/x', group='database')
        self.addCleanup(Services.build(conf).close)
