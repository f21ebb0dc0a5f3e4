"""What is never connected to: by the request, and by a redirect."""

import socket

from imagepipe import errors
from imagepipe.sources import urls
from imagepipe.sources.reasons import Reason
from imagepipe.sources.terms import Terms
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.fetching import FetcherTestCase, Names, some_bytes
from imagepipe.tests.fixtures.http_server import Fault, HttpServer

DATA = some_bytes(50_000)

#: Only the host `mirror`, wherever it is.
MIRROR_ONLY = {'allowed_hosts': ('mirror',), 'allowed_networks': ()}

#: Every way we know to write an address of the inside.
INSIDE = (
    '127.0.0.1', '127.1.2.3', '127.1', '127.0.1', '0', '0.0.0.0', '2130706433', '0x7f000001', '0x7F.1',
    '017700000001', '0177.0.0.1', '0x7f.0.0.1', '127.0.0.01', '127.0.0.1.', '127.0.0.0x1',
    '[::1]', '[0:0:0:0:0:0:0:1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]',
    '[::7f00:1]',
    '[::ffff:0:7f00:1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00:1::]', '[2001:0:808:808:0:0:80ff:fffe]',
    '169.254.169.254', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '0xa9.0xfe.0xa9.0xfe',
    '169.254.43518',
    '[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]', '[2002:a9fe:a9fe::]',
    '[fe80::1]',
    '[fe80::1%25eth0]', '[fd00:ec2::254]',
    '10.0.0.1', '167772161', '012.0.0.1', '172.16.0.1', '192.168.1.1', '0xc0a80101', '192.168.257',
    '100.64.0.1',
    '[::ffff:10.0.0.1]', '[fc00::1]', '[fd12:3456::1]', '[fec0::1]',
    '192.0.2.1', '198.18.0.1', '203.0.113.7', '224.0.0.1', '240.0.0.1', '255.255.255.255', '[ff02::1]',
    '[2001:db8::1]', '[3fff::1]',
)  # fmt: skip

#: The same as answers of a name server.
ANSWERS = (
    '127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.169.254', '10.0.0.1', '172.31.0.1', '192.168.0.1',
    '100.64.0.1',
    '224.0.0.1', '255.255.255.255', '::1', '::', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::7f00:1',
    '2002:7f00:1::', '2001:0:7f00:1::', 'fe80::1', 'fe80::1%eth0', 'fd00:ec2::254', 'ff02::1',
)  # fmt: skip


class RequestTest(FetcherTestCase):
    """With the default rules; the loopback server listens and must hear nothing."""

    def strict(self, resolver: Names | None = None):
        return self.fetcher(resolver=resolver, rules={'allowed_networks': ()})

    def assert_refused(self, url: str, host: str, fetcher) -> None:
        sentence = f"The source URL for host '{host}' does not pass filtering."
        for attempt in (fetcher.check, lambda url: self.open(url, fetcher=fetcher)):
            error = self.assertRaises(errors.SourceRefused, attempt, url)
            self.assertEqual(sentence, error.message)
            self.assertEqual({'host': host}, error.facts)
        self.assertEqual(0, self.server.connections())

    def test_every_spelling_of_the_inside(self):
        fetcher = self.strict()
        for host in INSIDE:
            for port in ('', f':{self.server.port}'):
                self.assert_refused(f'http://{host}{port}/latest/meta-data/', host, fetcher)

    def test_names_that_lead_inside(self):
        for address in ANSWERS:
            fetcher = self.strict(Names(**{'inside.example': [address]}))
            for typed in ('inside.example', 'Inside.Example.'):
                self.assert_refused(f'http://{typed}:{self.server.port}/', typed, fetcher)

    def test_a_name_that_does_not_exist_is_refused_in_the_same_words(self):
        for resolver in (
            Names(),
            Names(**{'no.example': socket.gaierror(socket.EAI_NODATA, 'no address')}),
            Names(**{'no.example': UnicodeError('label too long')}),
        ):
            self.assert_refused('http://no.example/', 'no.example', self.strict(resolver))

    def test_ports_schemes_and_hosts_are_refused_in_the_same_words(self):
        rules = {'disallowed_hosts': ('evil.example',), 'allowed_schemes': ('https',)}
        fetcher = self.fetcher(rules={**rules, 'allowed_ports': (443,)}, resolver=Names())
        for url, host in (
            ('https://a.example:22/', 'a.example'),
            ('http://a.example/', 'a.example'),
            ('https://Evil.example/', 'Evil.example'),
            ('ftp://a.example/', 'a.example'),
            ('file:///etc/passwd', ''),
            ('file:///etc/shadow', ''),
        ):
            self.assert_refused(url, host, fetcher)

    def test_a_name_is_resolved_from_the_root_unless_the_operator_listed_it(self):
        resolver = Names(**{'images.example': ['127.0.0.1'], 'mirror': ['127.0.0.1']})
        self.server.serve('/image', DATA)
        url = self.server.url('/image', host='images.example')
        self.assertEqual(DATA, self.fetch(url, fetcher=self.fetcher(resolver=resolver)))
        listing = self.fetcher(resolver=resolver, rules=MIRROR_ONLY)
        self.assertEqual(DATA, self.fetch(self.server.url('/image', host='mirror'), fetcher=listing))
        self.assertEqual(['images.example.', 'mirror'], resolver.asked)

    def test_only_listed_hosts_when_any_is_listed(self):
        resolver = Names(**{'images.example': ['8.8.8.8'], 'mirror': ['127.0.0.1']})
        fetcher = self.fetcher(resolver=resolver, rules=MIRROR_ONLY)
        self.assert_refused('http://images.example/', 'images.example', fetcher)
        fetcher.check('http://mirror/')

    def test_rebinding_between_the_request_and_the_fetch(self):
        resolver = Names(**{'rebind.example': [['93.184.215.14'], ['127.0.0.1']]})
        fetcher = self.strict(resolver)
        url = self.server.url('/image', host='rebind.example')
        fetcher.check(url)
        self.assertRaises(errors.SourceRefused, self.open, url, fetcher=fetcher)
        self.assertEqual(0, self.server.connections())

    def test_rebinding_between_the_check_and_the_connection(self):
        """One look-up for a connection, and the connection goes to what it gave."""
        resolver = Names(**{'rebind.example': [['127.0.0.1'], ['127.0.0.2']]})
        rules = {'allowed_networks': ('127.0.0.1/32',)}
        fetcher = self.fetcher(resolver=resolver, rules=rules)
        self.server.serve('/image', DATA)
        self.assertEqual(DATA, self.fetch(self.server.url('/image', host='rebind.example'), fetcher=fetcher))
        self.assertEqual(['rebind.example.'], resolver.asked)

    def test_rebinding_between_two_connections_of_one_download(self):
        resolver = Names(**{'rebind.example': [['127.0.0.1'], ['10.0.0.1']]})
        self.server.serve('/image', DATA, fault=Fault(cut_after=1000))
        fetcher = self.fetcher(resolver=resolver)
        download = self.open(self.server.url('/image', host='rebind.example'), fetcher=fetcher)
        self.assertRaises(errors.SourceRefused, download.read)
        self.assertEqual(1, self.server.connections())

    def test_of_several_addresses_only_the_permitted_are_tried(self):
        self.server.serve('/image', DATA)
        resolver = Names(**{'mixed.example': ['169.254.169.254', '10.0.0.1', '127.0.0.1', '::1']})
        url = self.server.url('/image', host='mixed.example')
        self.assertEqual(DATA, self.fetch(url, fetcher=self.fetcher(resolver=resolver)))

    def test_the_connection_goes_to_the_address_that_was_checked(self):
        resolver = Names(**{'images.example': ['127.0.0.9']})
        url = self.server.url('/image', host='images.example')
        error = self.assertRaises(
            errors.SourceUnavailable, self.open, url, fetcher=self.fetcher(resolver=resolver)
        )
        self.assertEqual(Reason.NO_CONNECTION, error.facts['reason'])
        self.assertEqual(0, self.server.connections())

    def test_by_ipv6(self):
        try:
            server = self.useFixture(HttpServer(address='::1'))
        except OSError:
            tools.missing(self, 'IPv6 on loopback')
        server.serve('/image', DATA)
        fetcher = self.fetcher(rules={'allowed_networks': ('::1/128',)})
        self.assertEqual(DATA, self.fetch(server.url('/image'), fetcher=fetcher))
        self.assertEqual(f'[::1]:{server.port}', server.requests[0].headers['host'])

    def test_the_next_address_is_tried_when_one_does_not_answer(self):
        self.server.serve('/image', DATA)
        resolver = Names(**{'images.example': ['127.0.0.9', '127.0.0.1']})
        url = self.server.url('/image', host='images.example')
        self.assertEqual(DATA, self.fetch(url, fetcher=self.fetcher(resolver=resolver)))

    def test_a_resolver_that_fails_for_now(self):
        resolver = Names(**{'images.example': socket.gaierror(socket.EAI_AGAIN, 'try again')})
        fetcher = self.fetcher(resolver=resolver)
        url = 'http://images.example/'
        self.assertRaises(errors.SourceRefused, fetcher.check, url)
        error = self.assertRaises(errors.SourceUnavailable, self.open, url, fetcher=fetcher)
        self.assertEqual((Reason.NO_NAME, True), (error.facts['reason'], error.transient))

    def test_check_connects_to_nothing(self):
        self.fetcher().check(self.server.url('/image'))
        self.assertEqual(0, self.server.connections())

    def test_a_url_that_cannot_be_parsed_reaches_no_resolver(self):
        resolver = Names()
        fetcher = self.fetcher(resolver=resolver)
        for url in (
            'http://a.example/\r\nHost: b',
            'http://u:p@a.example/',
            'nonsense',
            'http://a.example:99999/',
        ):
            self.assertRaises(errors.SourceInvalid, fetcher.check, url)
            self.assertRaises(errors.SourceInvalid, self.open, url, fetcher=fetcher)
        self.assertEqual([], resolver.asked)


class RedirectTest(FetcherTestCase):
    def redirect(self, location: str, **more) -> str:
        self.server.serve('/from', fault=Fault(redirect=location, **more))
        return self.server.url('/from')

    def assert_refused(self, url: str, **arguments) -> None:
        error = self.assertRaises(errors.SourceRefused, self.open, url, **arguments)
        self.assertEqual({'host': urls.parse(url).typed_host}, error.facts)

    def test_redirects_are_followed(self):
        self.server.serve('/image', DATA)
        absolute = self.server.url('/image')
        for status in (301, 302, 303, 307, 308):
            for location in (absolute, absolute.removeprefix('http:'), '/image', 'image', '../image'):
                url = self.redirect(location, redirect_status=status)
                self.assertEqual(DATA, self.fetch(url))

    def test_every_spelling_of_the_inside(self):
        fetcher = self.fetcher(rules={'allowed_networks': ('127.0.0.1/32',)})
        inside = [host for host in INSIDE if host != '127.0.0.1']
        for host in inside:
            for port in ('', f':{self.server.port}'):
                url = self.redirect(f'http://{host}{port}/latest/meta-data/')
                self.assert_refused(url, fetcher=fetcher)
        self.assertEqual({'/from'}, {request.path for request in self.server.requests})

    def test_names_that_lead_inside(self):
        for address in ANSWERS[1:]:
            resolver = Names(**{'inside.example': [address]})
            fetcher = self.fetcher(resolver=resolver, rules={'allowed_networks': ('127.0.0.1/32',)})
            url = self.redirect(self.server.url('/image', host='inside.example'))
            self.assert_refused(url, fetcher=fetcher)
            self.assertEqual(['inside.example.'], resolver.asked)

    def test_rebinding_by_a_redirect_to_itself(self):
        resolver = Names(**{'rebind.example': [['127.0.0.1'], ['127.0.0.2']]})
        fetcher = self.fetcher(resolver=resolver, rules={'allowed_networks': ('127.0.0.1/32',)})
        self.redirect('/image')
        self.assert_refused(self.server.url('/from', host='rebind.example'), fetcher=fetcher)
        self.assertEqual(['/from'], [request.path for request in self.server.requests])

    def test_to_other_schemes_ports_and_hosts(self):
        rules = {'allowed_ports': (self.server.port,), 'disallowed_hosts': ('evil.example',)}
        fetcher = self.fetcher(rules=rules, resolver=Names())
        for location in (
            'file:///etc/passwd', 'file://127.0.0.1/etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/_x',
            'data:,x',
            'http://127.0.0.1:22/', 'http://evil.example/', 'http://nowhere.example/',
        ):  # fmt: skip
            self.assert_refused(self.redirect(location), fetcher=fetcher)

    def test_to_what_is_no_url(self):
        for location in (
            'http://user:pw@127.0.0.1/', 'http://', 'http:///image', '/ima ge', '/image\tx',
            '\\\\127.0.0.1\\x',
            'http://127.0.0.1:99999/', 'http://[::1/', '/image\r\n X: 1', 'http://127.0.0.1\\@evil.example/',
            '/' + 'a' * 9000,
        ):  # fmt: skip
            self.assert_refused(self.redirect(location))
        self.assertEqual({'/from'}, {request.path for request in self.server.requests})

    def test_without_a_location(self):
        error = self.assertRaises(errors.SourceUnusable, self.open, self.redirect(''))
        self.assertEqual(Reason.NO_LOCATION, error.facts['reason'])

    def test_text_beyond_ascii_in_a_location(self):
        self.server.serve('/%C3%BC', DATA)
        self.assertEqual(DATA, self.fetch(self.redirect('/ü')))

    def test_a_loop_ends(self):
        url = self.redirect('/from')
        error = self.assertRaises(errors.TooManyRedirects, self.open, url)
        self.assertEqual((6, False), (len(self.server.requests), error.transient))

    def test_five_redirects_are_followed_and_not_six(self):
        self.server.serve('/0', DATA)
        for number in range(1, 7):
            self.server.serve(f'/{number}', fault=Fault(redirect=f'/{number - 1}'))
        self.assertEqual(DATA, self.fetch(self.server.url('/5')))
        self.assertRaises(errors.TooManyRedirects, self.open, self.server.url('/6'))

    def test_from_https_to_http_is_refused(self):
        secure = self.useFixture(HttpServer(tls=True))
        self.server.serve('/image', DATA)
        secure.serve('/from', fault=Fault(redirect=self.server.url('/image')))
        self.assert_refused(secure.url('/from'), fetcher=self.fetcher(ca_file=secure.ca_file))
        self.assertEqual([], self.server.requests)

    def test_from_http_to_https_is_followed(self):
        secure = self.useFixture(HttpServer(tls=True))
        secure.serve('/image', DATA)
        url = self.redirect(secure.url('/image'))
        self.assertEqual(DATA, self.fetch(url, fetcher=self.fetcher(ca_file=secure.ca_file)))

    def test_headers_of_the_caller_stay_with_the_host_they_are_for(self):
        other = self.useFixture(HttpServer())
        self.server.serve('/here', fault=Fault(redirect=other.url('/back')))
        other.serve('/back', fault=Fault(redirect=self.server.url('/image')))
        self.server.serve('/image', DATA)
        url = self.redirect('/here')
        self.fetch(
            url, terms=Terms(headers=lambda: {'X-Auth-Token': 'secret', 'Authorization': 'Basic secret'})
        )
        given = [(request.path, 'x-auth-token' in request.headers) for request in self.server.requests]
        self.assertEqual([('/from', True), ('/here', True), ('/image', False)], given)
        self.assertNotIn('secret', str([dict(request.headers) for request in other.requests]))

    def test_headers_of_the_caller_cannot_split_the_request(self):
        self.server.serve('/image', DATA)
        for headers in (
            {'X': 'a\r\nY: b'},
            {'X\r\nY': 'a'},
            {'X': 'a\0'},
            {'X Y': 'a'},
            {'': 'a'},
            {'X': 'ü'},
        ):
            terms = Terms(headers=lambda headers=headers: headers)
            self.assertRaises(errors.SourceInvalid, self.open, self.server.url('/image'), terms=terms)
        self.assertEqual([], self.server.requests)

    def test_a_download_is_continued_through_its_redirect(self):
        self.server.serve('/image', DATA, fault=Fault(cut_after=20_000))
        self.assertEqual(DATA, self.fetch(self.redirect('/image')))
        self.assertEqual(
            [None, 'bytes=20000-'], [request.range for request in self.server.requests_to('/image')]
        )

    def test_the_log_of_a_refused_redirect_has_no_query(self):
        with self.assertLogs('imagepipe.sources', 'INFO') as logs:
            self.assert_refused(self.redirect('http://10.0.0.1/x?secret') + '?secret')
        self.assertIn('http://10.0.0.1/x was refused', logs.output[0])
        self.assertNotIn('secret', str(logs.output))
