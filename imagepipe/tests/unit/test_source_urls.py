"""What a source URL may look like, and which addresses it may lead to."""

import dataclasses
import ipaddress

import testtools

from imagepipe import conf, errors
from imagepipe.sources import addresses, urls
from imagepipe.sources.limits import Limits
from imagepipe.sources.rules import UrlRules


class UrlGrammarTest(testtools.TestCase):
    def test_parts_are_taken_apart(self):
        url = urls.parse('HTTPS://Images.Example:8443/a/b?x=1&y=2#part')
        self.assertEqual('https', url.scheme)
        self.assertEqual('Images.Example', url.typed_host)
        self.assertEqual('images.example', url.host)
        self.assertEqual(8443, url.port)
        self.assertEqual('/a/b?x=1&y=2', url.target)
        self.assertEqual('images.example:8443', url.authority)
        self.assertEqual('https://images.example:8443/a/b?x=1&y=2', url.text)

    def test_defaults(self):
        url = urls.parse('http://images.example.')
        self.assertEqual(('images.example', 80, '/'), (url.host, url.port, url.target))
        self.assertIsNone(url.explicit_port)
        self.assertEqual('images.example', url.authority)
        self.assertEqual('/?q', urls.parse('http://a.example?q').target)
        self.assertEqual(443, urls.parse('https://a.example').port)

    def test_addresses_in_their_usual_spelling(self):
        self.assertEqual(ipaddress.ip_address('8.8.8.8'), urls.parse('http://8.8.8.8/').address)
        url = urls.parse('http://[2606:4700:0::1111]:81/')
        self.assertEqual(('2606:4700::1111', '[2606:4700::1111]:81'), (url.host, url.authority))

    def test_internationalised_names(self):
        self.assertEqual('xn--bcher-kva.example', urls.parse('http://Bücher.example/').host)

    def test_target_is_encoded_once(self):
        url = urls.parse('http://a.example/b%20ü"<x>?q=%2F{}|^`é')
        self.assertEqual('/b%20%C3%BC%22%3Cx%3E?q=%2F%7B%7D%7C%5E%60%C3%A9', url.target)

    def test_other_spellings_of_addresses_are_refused_by_the_name_typed(self):
        for host in (
            '2130706433', '0x7f000001', '0x7F000001', '017700000001', '127.1', '127.0.1', '0177.0.0.1',
            '0177.1',
            '0x7f.0.0.1', '0x7f.1', '127.0.0.0x1', '127.0.0.01', '127.000.000.001', '127.0.0.1.',
            '2130706433.',
            '0x7f000001.', '0', '0x', '00', '1.2.3', '1.2.3.4.5', '256.0.0.1', '127.0.0.4294967297',
            'a.example.1',
            '[fe80::1%eth0]', '[fe80::1%25eth0]', '[::1%lo]', '[127.0.0.1]', '[localhost]', '[v1.fe80]',
            '[]', '[:]',
            '\uff11\uff12\uff17.0.0.1', '127。0。0。1', '①②⑦.0.0.1', '127.0.0.\uff11', '١٢٧.0.0.1',
        ):  # fmt: skip
            error = self.assertRaises(errors.SourceRefused, urls.parse, f'http://{host}/image')
            self.assertEqual(f"The source URL for host '{host}' does not pass filtering.", error.message)

    def test_what_is_no_host_name_is_refused(self):
        for host in (
            '.', '..', '.a.example', 'a..example', 'a.example..', '-a.example', 'a-.example', 'a,b',
            'a%2eexample',
            'loc%61lhost', 'a!b', 'a*', '*.example', "a'b", f'{"a" * 64}.example',
            '.'.join(['abcdefgh'] * 28) + 'xyz',
            '\uff41.example', 'a。example', '☃☃.example',
        ):  # fmt: skip
            self.assertRaises(errors.SourceRefused, urls.parse, f'http://{host}/')

    def test_user_names_are_refused_without_an_echo(self):
        for url in (
            'http://user:hunter2@a.example/', 'http://hunter2@a.example/', 'http://@a.example/',
            'http://a.example:80@hunter2/', 'http://a.example@hunter2@b.example/',
            'ftp://u:hunter2@a.example/',
            'http://user:hunter2@[::1]/',
        ):  # fmt: skip
            error = self.assertRaises(errors.SourceInvalid, urls.parse, url)
            self.assertNotIn('hunter2', error.message)
            self.assertEqual(['reason'], list(error.facts))

    def test_characters_that_parsers_disagree_about_are_refused_without_an_echo(self):
        for text in (
            '\r\n', '\n', '\r', '\t', ' ', '\0', '\x0b', '\x1f', '\x7f', '\x85', '\xa0', '\\', '\u2028',
            '\u2029',
            '\u3000', '\u200b', '\u202e', '\ufeff', '\ud800', '\xad',
        ):  # fmt: skip
            for url in (
                f'http://a.example/secret{text}X-Evil: 1', f'http://a{text}.example/secret',
                f'{text}http://a.example/',
                f'http://a.example/?q={text}secret', f'http://a.example{text}', f'http{text}://a.example/',
                f'http://a.example/#{text}', f'http://a.example:8{text}0/',
            ):  # fmt: skip
                error = self.assertRaises(errors.SourceInvalid, urls.parse, url)
                self.assertNotIn('secret', error.message)

    def test_urls_that_are_none(self):
        for url in (
            '', 'a.example', '/image', '//a.example/x', 'http:', 'http:/', 'http://', 'http:///x',
            'http:a.example/x',
            'http:/a.example/x', 'http://?q', 'http://:80/', 'http://a.example:/', 'http://a.example:0/',
            'http://a.example:65536/', 'http://a.example:080/', 'http://a.example:8o/',
            'http://a.example:-1/',
            'http://a.example:80:80/', 'http://::1/', 'http://[::1/', 'http://::1]/', 'http://[::1]80/',
            'http://a.example:٨٠/', '://a.example', '1http://a.example/', 'http://[[::1]]/',
            'http://' + 'a' * 300 + '/', 'http://a.example/' + 'a' * 9000,
        ):  # fmt: skip
            self.assertRaises(errors.SourceInvalid, urls.parse, url)

    def test_schemes_that_are_never_fetched(self):
        for url, host in (
            ('file:///etc/passwd', ''), ('filesystem:///etc/passwd', ''), ('file://localhost/etc/passwd',
            'localhost'),
            ('ftp://a.example/x', 'a.example'), ('gopher://a.example:70/_x', 'a.example'),
            ('json:{"driver":"file"}', ''),
            ('nbd://a.example/x', 'a.example'), ('data:text/plain,x', ''), ('jar:http://a.example!/', ''),
            ('rbd:pool/x', ''), ('unix:///run/x.sock', ''), ('localhost:80/x', ''),
            ('swift+http://a.example/', 'a.example'),
        ):  # fmt: skip
            error = self.assertRaises(errors.SourceRefused, urls.parse, url)
            self.assertEqual(host, error.facts['host'])

    def test_shown_has_no_secrets_and_never_raises(self):
        for url, shown in (
            ('https://a.example:8443/x/y.img?token=secret#secret', 'https://a.example:8443/x/y.img'),
            ('http://user:secret@a.example/x', 'http://a.example/x'),
            ('http://user:secret@a@a.example/x', 'http://a.example/x'),
            ('http://a.example#secret@b', 'http://a.example'),
            ('http://a.example?secret', 'http://a.example'),
            ('http://a\r\nX: 1.example/y\tz', 'http://a??X:?1.example/y?z'),
            ('http:secret@a', urls.UNREADABLE),
            ('secret', urls.UNREADABLE),
            ('', urls.UNREADABLE),
            ('http:///secret', urls.UNREADABLE),
        ):
            self.assertEqual(shown, urls.shown(url))
            self.assertNotIn('secret', urls.shown(url))


class AddressTest(testtools.TestCase):
    NOT_GLOBAL = (
        '0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1',
        '127.255.255.254', '169.254.169.254', '169.254.0.1', '172.16.0.1', '172.31.255.255', '192.0.0.1',
        '192.0.0.8', '192.0.0.170', '192.0.2.1', '192.31.196.1', '192.52.193.1', '192.88.99.1', '192.168.0.1',
        '192.168.255.255', '192.175.48.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1',
        '224.0.0.1',
        '239.255.255.255', '240.0.0.1', '255.255.255.255',
        '::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:169.254.169.254', '::127.0.0.1',
        '::8.8.8.8',
        '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::8.8.8.8', '64:ff9b:1::7f00:1',
        '64:ff9b:1:ffff::8.8.8.8',
        '100::1', '2001::1', '2001:0:7f00:1::', '2001:2::1', '2001:10::1', '2001:20::1', '2001:db8::1',
        '2002:7f00:1::1',
        '2002:808:808::1', '2620:4f:8000::1', '3fff::1', '4000::1', '5f00::1', 'fc00::1', 'fd00:ec2::254',
        'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', 'ff0e::1', '2606:4700::1%eth0',
    )  # fmt: skip

    GLOBAL = (
        '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0',
        '126.255.255.255', '128.0.0.1',
        '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0',
        '198.17.255.255', '198.20.0.0', '223.255.255.255', '2606:4700::1111', '2001:4860:4860::8888',
        '2a00:1450::1',
        '2003::1',
    )  # fmt: skip

    def test_what_is_not_global_is_not_connected_to(self):
        rules = UrlRules()
        for text in self.NOT_GLOBAL:
            address = ipaddress.ip_address(text)
            self.assertFalse(addresses.is_global(address), text)
            self.assertFalse(rules.permits(address), text)

    def test_the_internet_is_connected_to(self):
        rules = UrlRules()
        for text in self.GLOBAL:
            self.assertTrue(rules.permits(ipaddress.ip_address(text)), text)

    def test_at_least_as_strict_as_python(self):
        for text in self.GLOBAL:
            self.assertTrue(ipaddress.ip_address(text).is_global, text)

    def test_allowed_networks_open_what_they_name(self):
        rules = UrlRules(allowed_networks=['127.0.0.0/8', 'fd00:1::/32', '10.0.0.5'])
        for text in ('127.0.0.1', 'fd00:1::7', '10.0.0.5', '8.8.8.8'):
            self.assertTrue(rules.permits(ipaddress.ip_address(text)), text)
        for text in ('10.0.0.6', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '169.254.169.254'):
            self.assertFalse(rules.permits(ipaddress.ip_address(text)), text)

    def test_loopback_of_ipv6_can_be_allowed(self):
        rules = UrlRules(allowed_networks=['::1/128'])
        self.assertTrue(rules.permits(ipaddress.ip_address('::1')))
        self.assertFalse(rules.permits(ipaddress.ip_address('127.0.0.1')))

    def test_translated_addresses_need_both_ends_allowed(self):
        translated = ['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '2001::/32', '::ffff:0:0/96', '::/96']
        rules = UrlRules(allowed_networks=translated)
        for text in (
            '64:ff9b::169.254.169.254', '64:ff9b::10.0.0.1', '64:ff9b:1::127.0.0.1', '2002:7f00:1::1',
            '2002:a9fe:a9fe::1',
            '2001:0:7f00:1:0:0:f7f7:f7f7', '2001:0:808:808:0:0:80ff:fffe', '::ffff:127.0.0.1', '::',
        ):  # fmt: skip
            self.assertFalse(rules.permits(ipaddress.ip_address(text)), text)
        for text in ('64:ff9b::8.8.8.8', '2002:808:808::1', '2001:0:808:808:0:0:f7f7:f7f7', '::ffff:8.8.8.8'):
            self.assertTrue(rules.permits(ipaddress.ip_address(text)), text)

    def test_disallowed_networks_are_above_everything(self):
        rules = UrlRules(
            allowed_hosts=['a.example'],
            allowed_networks=['10.0.0.0/8'],
            disallowed_networks=['10.1.0.0/16', '8.8.8.0/24'],
        )
        for text in ('10.1.2.3', '8.8.8.8'):
            self.assertFalse(rules.permits(ipaddress.ip_address(text), trusted=True))
        self.assertTrue(rules.permits(ipaddress.ip_address('10.2.0.1')))

    def test_disallowed_address_is_refused_under_any_name(self):
        rules = UrlRules(disallowed_hosts=['8.8.8.8', '2606:4700:0::1111'])
        self.assertFalse(rules.permits(ipaddress.ip_address('8.8.8.8')))
        self.assertFalse(rules.permits(ipaddress.ip_address('2606:4700::1111')))
        self.assertTrue(rules.permits(ipaddress.ip_address('8.8.4.4')))


class RulesTest(testtools.TestCase):
    def refused(self, rules: UrlRules, url: str) -> bool:
        try:
            rules.check(urls.parse(url))
        except errors.SourceRefused:
            return True
        return False

    def test_defaults_are_those_of_the_options_and_of_glance(self):
        options = conf.new()
        options([], default_config_files=[])
        rules = {
            field.name: options.import_filtering_opts[field.name] for field in dataclasses.fields(UrlRules)
        }
        self.assertEqual(UrlRules(), UrlRules(**rules))
        self.assertEqual(Limits(), Limits(**options.web_download))
        group = options.import_filtering_opts
        self.assertEqual((['http', 'https'], [80, 443]), (group.allowed_schemes, group.allowed_ports))
        for name in ('disallowed_schemes', 'allowed_hosts', 'disallowed_hosts', 'disallowed_ports'):
            self.assertEqual([], group[name])

    def test_ports(self):
        rules = UrlRules()
        for url in (
            'http://a.example/',
            'https://a.example/',
            'http://a.example:80/',
            'http://a.example:443/',
        ):
            self.assertFalse(self.refused(rules, url), url)
        for url in ('http://a.example:22/', 'http://a.example:8080/', 'https://a.example:9292/'):
            self.assertTrue(self.refused(rules, url), url)

    def test_a_url_without_port_skips_the_port_lists(self):
        self.assertFalse(self.refused(UrlRules(allowed_ports=[8080]), 'http://a.example/'))
        self.assertFalse(self.refused(UrlRules(allowed_ports=[], disallowed_ports=[80]), 'http://a.example/'))
        self.assertTrue(
            self.refused(UrlRules(allowed_ports=[], disallowed_ports=[80]), 'http://a.example:80/')
        )

    def test_an_allow_list_voids_its_deny_list(self):
        rules = UrlRules(
            allowed_schemes=['http'], disallowed_schemes=['http'], allowed_hosts=['a.example'],
            disallowed_hosts=['a.example'], allowed_ports=[80], disallowed_ports=[80],
        )  # fmt: skip
        self.assertFalse(self.refused(rules, 'http://a.example:80/'))
        self.assertTrue(self.refused(rules, 'https://a.example/'))
        self.assertTrue(self.refused(rules, 'http://b.example/'))

    def test_deny_lists(self):
        rules = UrlRules(
            allowed_schemes=[], disallowed_schemes=['HTTP'], disallowed_hosts=['Evil.Example',
            '[2606:4700::1]'],
            allowed_ports=[], disallowed_ports=[22],
        )  # fmt: skip
        self.assertFalse(self.refused(rules, 'https://a.example:8443/'))
        for url in (
            'http://a.example/', 'https://evil.example/', 'https://EVIL.example./', 'https://a.example:22/',
            'https://[2606:4700:0:0::1]/',
        ):  # fmt: skip
            self.assertTrue(self.refused(rules, url), url)

    def test_listed_hosts_are_compared_in_one_spelling(self):
        rules = UrlRules(allowed_hosts=['BÜCHER.example.', '::1', '127.0.0.1'])
        for url in (
            'http://bücher.EXAMPLE/',
            'http://xn--bcher-kva.example/',
            'http://[0::1]/',
            'http://127.0.0.1/',
        ):
            self.assertTrue(rules.trusts(urls.parse(url)), url)
        self.assertTrue(self.refused(rules, 'http://sub.bücher.example/'))

    def test_lists_that_cannot_work_are_named(self):
        wrong = {'allowed_hosts': 'a b', 'disallowed_hosts': '127.1', 'allowed_networks': '10.0.0.1/8'}
        for option, value in wrong.items():
            error = self.assertRaises(errors.ConfigurationInvalid, UrlRules, **{option: [value]})
            self.assertIn(option, error.message)
            self.assertIn(value, error.message)
