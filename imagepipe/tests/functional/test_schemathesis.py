"""schemathesis asks every call of the OpenAPI document things that fit it and things that do not.

No answer may be a server's error, and none undocumented: its status, media type, headers and body
are held against the document. IMAGEPIPE_SCHEMATHESIS_EXAMPLES asks each call more.
"""

import json
import os

import hypothesis
import schemathesis
import testscenarios
import testtools
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from imagepipe.api import routes
from imagepipe.domain import patch
from imagepipe.tests.fixtures.api import ApiFixture

EXAMPLES = int(os.environ.get('IMAGEPIPE_SCHEMATHESIS_EXAMPLES', '8'))
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


@schemathesis.serializer(*patch.MEDIA_TYPES)
def _patch(context: object, value: object) -> bytes:
    return json.dumps(value).encode()


class SchemathesisTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(f'{row.method} {row.path}', {'row': row}) for row in routes.ROUTES]

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self))
        self.schema = schemathesis.openapi.from_dict(self.api.call('GET', '/v2/openapi.json').json)
        self.schema.app = self.api.application

    def test_what_fits(self):
        self.ask(GenerationMode.POSITIVE)

    def test_what_does_not_fit(self):
        self.ask(GenerationMode.NEGATIVE)

    def ask(self, mode):
        operation = self.schema[self.row.path][self.row.method]
        asked = []

        @SETTINGS
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def one(case):
            asked.append(case)
            self.meet(case, known=len(asked) % 4 != 0)
            case.headers = {
                **(case.headers or {}),
                'X-Auth-Token': 'admin' if len(asked) % 2 else 'ours',
                'Accept': 'application/json',
            }
            case.call_and_validate(checks=CHECKS, app=self.api.application)

        try:
            one()
        except hypothesis.errors.Unsatisfiable:
            self.assertIs(GenerationMode.NEGATIVE, mode)  # nothing of this call can be wrong

    def meet(self, case, *, known):
        """Let the path name things that exist, most of the time."""
        if known and 'image_id' in (case.path_parameters or {}):
            case.path_parameters['image_id'] = self.api.create(
                name='asked', disk_format='raw', container_format='bare'
            )['id']
