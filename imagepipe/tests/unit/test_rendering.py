"""Errors in the form that the client accepts, readable by every client."""

import json

import testscenarios
import testtools
from glanceclient import exc as glance_errors
from openstack import exceptions as sdk_errors

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.request import Request
from imagepipe.context import RequestContext

FAILURE = errors.InvalidQuery(name='<b>', reason='über & unter')
SENTENCE = 'The value of <b> is not valid: über & unter'


def render(accept, failure=FAILURE):
    request = Request.blank('/v2/images')
    request.context = RequestContext(request_id='req-1', overwrite=False)
    if accept is not None:
        request.headers['Accept'] = accept
    return rendering.error(request, failure)


class FormTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (str(accept), {'accept': accept, 'expected': expected})
        for accept, expected in (
            ('*/*', 'text/html'),
            ('text/html', 'text/html'),
            ('text/*', 'text/html'),
            ('text/html,application/xhtml+xml,*/*;q=0.8', 'text/html'),
            ('not a header', 'text/html'),
            ('application/json', 'application/json'),
            ('application/json, */*', 'application/json'),
            ('application/json, text/plain, */*', 'application/json'),
            ('application/*', 'application/json'),
            ('text/html;q=0.9, application/json;q=0.5', 'text/html'),
            ('APPLICATION/JSON', 'application/json'),
            ('text/html, application/json', 'application/json'),
            ('application/json;q=0', 'text/plain'),
            ('text/plain', 'text/plain'),
            ('image/png', 'text/plain'),
            ('', 'application/json'),
            (None, 'text/plain'),
        )
    ]

    def test_the_form_follows_accept(self):
        response = render(self.accept)
        self.assertEqual((self.expected, 400), (response.content_type, response.status_int))


class BodyTest(testtools.TestCase):
    def test_json_has_one_object_with_everything(self):
        response = render('application/json')
        self.assertEqual('application/json', response.headers['Content-Type'])
        self.assertEqual(
            {
                'error': {
                    'code': 400,
                    'title': 'Bad Request',
                    'message': SENTENCE,
                    'error_code': 'imagepipe.request.invalid_query',
                    'request_id': 'req-1',
                }
            },
            json.loads(response.body),
        )

    def test_html_is_escaped(self):
        response = render('*/*')
        self.assertIn(
            '<h1>400 Bad Request</h1>\n  The value of &lt;b&gt; is not valid: über &amp; unter<br />',
            response.text,
        )
        self.assertEqual('text/html; charset=UTF-8', response.headers['Content-Type'])

    def test_plain_text(self):
        self.assertEqual(f'400 Bad Request\n\n{SENTENCE}\n', render('text/plain').text)

    def test_an_error_brings_its_headers(self):
        failure = errors.UnsupportedPatch(content_type='a', expected='b')
        self.assertIn('v2.1-json-patch', render('*/*', failure).headers['Accept-Patch'])

    def test_reasons_are_those_clients_know(self):
        self.assertEqual('413 Request Entity Too Large', render(None, errors.SizeCapExceeded(limit=1)).status)
        self.assertEqual(
            '416 Request Range Not Satisfiable',
            render(None, errors.RangeNotSatisfiable(range='x', size=1)).status,
        )
        self.assertEqual(
            '431 Request Header Fields Too Large', render(None, errors.RequestIdTooLong(limit=1)).status
        )


class _Answer:
    """What the clients' libraries look at in a response."""

    def __init__(self, response):
        self.status_code = response.status_int
        self.headers = response.headers
        self.text, self.content = response.text, response.body
        self.reason = response.status.partition(' ')[2]
        self.url, self.request = 'http://images.invalid/', None

    def json(self):
        return json.loads(self.content)


class ClientsTest(testtools.TestCase):
    def test_glanceclient_reads_every_form(self):
        failure = errors.ImageNotFound(image_id='i')
        for accept in ('*/*', 'application/json', None):
            response = render(accept, failure)
            error = glance_errors.from_response(_Answer(response), response.body)
            self.assertIsInstance(error, glance_errors.HTTPNotFound)
            self.assertIn('Image i could not be found.', str(error))
            self.assertNotIn('<', str(error))

    def test_the_sdk_reads_json_and_html(self):
        for accept in ('*/*', 'application/json', ''):
            answer = _Answer(render(accept, errors.ImageNotFound(image_id='i')))
            error = self.assertRaises(sdk_errors.NotFoundException, sdk_errors.raise_from_response, answer)
            self.assertIn('Image i could not be found.', error.details)
            self.assertNotIn('<', error.details)
