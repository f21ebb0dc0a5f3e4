"""Who may call what: every route, asked by everybody, before a real Keystone."""

import re
from typing import ClassVar

import testscenarios
import testtools
from testtools import content

from imagepipe.api.routes import ROUTES
from imagepipe.tests.fixtures.api import V21
from imagepipe.tests.fixtures.persona_states import States
from imagepipe.tests.fixtures.personas import Personas

#: The columns, in their order. manager, member, reader: of the project that owns the image; sha: a member
#: of a project that has accepted the share, inv: of one that is invited; str: a stranger; ser: the role
#: service and no other; cre: the member by an application credential; m+s: the member, with a service
#: token; sys, dom: the admin with a token of the system, of a domain; non: no token; exp: one that has
#: expired.
COLUMNS = {
    'adm': 'admin', 'man': 'manager', 'mem': 'member', 'rea': 'reader', 'sha': 'partner', 'inv': 'invited',
    'str': 'stranger', 'ser': 'service', 'cre': 'credential', 'm+s': 'member+service', 'sys': 'system',
    'dom': 'domain', 'non': 'nobody', 'exp': 'expired',
}  # fmt: skip

#: One row for each route. given: what there is before, see fixtures/persona_states.py; the image is
#: shared, and the values of the path are of it.
TABLE = """
route below /v2                                     given     adm man mem rea sha inv str ser cre m+s sys dom non exp
GET    /images                                      queued    200 200 200 200 200 200 200 403 200 200 403 403 401 401
POST   /images                                      -         201 201 201 403 201 201 201 403 201 201 403 403 401 401
GET    /images/{image}                              queued    200 200 200 200 200 200 404 404 200 200 404 404 401 401
PATCH  /images/{image}                              queued    200 200 200 403 403 403 404 404 200 200 404 404 401 401
DELETE /images/{image}                              queued    204 204 204 403 403 403 404 404 204 204 404 404 401 401
PUT    /images/{image}/file                         queued    204 204 204 403 403 403 404 404 204 204 404 404 401 401
GET    /images/{image}/file                         active    200 200 200 403 200 200 404 404 200 200 404 404 401 401
PUT    /images/{image}/stage                        queued    204 204 204 403 403 403 404 404 204 204 404 404 401 401
POST   /images/{image}/import                       staged    202 202 202 403 403 403 404 404 202 202 404 404 401 401
GET    /images/{image}/imports                      importing 200 200 200 200 200 200 404 404 200 200 404 404 401 401
GET    /images/{image}/tasks                        importing 200 200 200 200 200 200 404 404 200 200 404 404 401 401
GET    /imports                                     importing 200 200 200 200 200 200 200 403 200 200 403 403 401 401
GET    /imports/{import}                            importing 200 200 200 200 200 200 404 404 200 200 404 404 401 401
POST   /imports/{import}/cancel                     importing 202 202 202 403 403 403 404 404 202 202 404 404 401 401
POST   /imports/{import}/retry                      failed    202 202 202 403 403 403 404 404 202 202 404 404 401 401
GET    /tasks/{import}                              importing 200 403 403 403 403 403 403 403 403 403 403 403 401 401
GET    /info/import                                 -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /info/stores                                 -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/image                               -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/images                              -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /openapi.json                                -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /images/{image}/members                      queued    200 200 200 200 200 200 404 404 200 200 404 404 401 401
POST   /images/{image}/members                      queued    200 200 200 403 403 403 404 404 200 200 404 404 401 401
GET    /images/{image}/members/{partners}           queued    200 200 200 200 200 404 404 404 200 200 404 404 401 401
PUT    /images/{image}/members/{partners}           queued    200 403 403 403 200 404 404 404 403 403 404 404 401 401
DELETE /images/{image}/members/{partners}           queued    204 204 204 403 403 404 404 404 204 204 404 404 401 401
PUT    /images/{image}/tags/{tag}                   queued    204 204 204 403 403 403 404 404 204 204 404 404 401 401
DELETE /images/{image}/tags/{tag}                   queued    204 204 204 403 403 403 404 404 204 204 404 404 401 401
POST   /images/{image}/actions/deactivate           active    204 204 204 403 403 403 404 404 204 204 404 404 401 401
POST   /images/{image}/actions/reactivate           inactive  204 204 204 403 403 403 404 404 204 204 404 404 401 401
GET    /tasks                                       importing 200 403 403 403 403 403 403 403 403 403 403 403 401 401
POST   /tasks                                       -         201 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /tasks/{import}                              importing 405 403 403 403 403 403 403 403 403 403 403 403 401 401
GET    /info/stores/detail                          -         200 403 403 403 403 403 403 200 403 403 403 403 401 401
GET    /info/usage                                  -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/member                              -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/members                             -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/task                                -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/tasks                               -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/namespace                  -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/namespaces                 -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/object                     -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/objects                    -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/property                   -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/properties                 -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/resource_type              -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/resource_types             -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/tag                        -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /schemas/metadefs/tags                       -         200 200 200 200 200 200 200 200 200 200 200 200 401 401
GET    /cache                                       -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /cache                                       -         204 403 403 403 403 403 403 403 403 403 403 403 401 401
PUT    /cache/{image}                               active    202 403 403 403 403 403 404 404 403 403 404 404 401 401
DELETE /cache/{image}                               active    204 403 403 403 403 403 404 404 403 403 404 404 401 401
GET    /cache/nodes/{image}                         active    200 403 403 403 403 403 403 403 403 403 403 403 401 401
POST   /cache/clean                                 -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
POST   /cache/prune                                 -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
GET    /cached_images                               -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /cached_images                               -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /cached_images/{image}                       active    200 403 403 403 403 403 403 403 403 403 403 403 401 401
GET    /queued_images                               -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /queued_images                               -         200 403 403 403 403 403 403 403 403 403 403 403 401 401
PUT    /queued_images/{image}                       active    200 403 403 403 403 403 403 403 403 403 403 403 401 401
DELETE /queued_images/{image}                       active    200 403 403 403 403 403 403 403 403 403 403 403 401 401
GET    /metadefs/resource_types                     namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
GET    /metadefs/namespaces                         namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces                         -         201 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}                    namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
PUT    /metadefs/namespaces/{ns}                    namespace 200 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}                    namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/objects            namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces/{ns}/objects            namespace 201 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/objects            namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/objects/{o}        namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
PUT    /metadefs/namespaces/{ns}/objects/{o}        namespace 200 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/objects/{o}        namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/properties         namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces/{ns}/properties         namespace 201 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/properties         namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/properties/{p}     namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
PUT    /metadefs/namespaces/{ns}/properties/{p}     namespace 200 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/properties/{p}     namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/resource_types     namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces/{ns}/resource_types     namespace 201 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/resource_types/{t} namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/tags               namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces/{ns}/tags               namespace 201 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/tags               namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /metadefs/namespaces/{ns}/tags/{l}           namespace 200 200 200 200 200 200 200 404 200 200 404 404 401 401
POST   /metadefs/namespaces/{ns}/tags/{new}         namespace 201 403 403 403 403 403 403 404 403 403 404 404 401 401
PUT    /metadefs/namespaces/{ns}/tags/{l}           namespace 200 403 403 403 403 403 403 404 403 403 404 404 401 401
DELETE /metadefs/namespaces/{ns}/tags/{l}           namespace 204 403 403 403 403 403 403 404 403 403 404 404 401 401
GET    /images/{image}/locations                    active    200 403 403 403 403 403 404 404 403 403 404 404 401 401
POST   /images/{image}/locations                    queued    202 202 202 403 403 403 404 404 202 202 404 404 401 401
DELETE /stores/{store}/{image}                      copied    204 403 403 403 403 403 404 404 403 403 404 404 401 401
"""  # noqa: E501  a table is read by its columns

#: Images of other visibilities, and properties that only services may set (PROTECTIONS below).
MORE = """
route below /v2                                     given     adm man mem rea sha inv str ser cre m+s sys dom non exp
GET    /images/{image}                              public    200 200 200 200 200 200 200 404 200 200 404 404 401 401
GET    /images/{image}/file                         public    200 200 200 403 200 200 200 404 200 200 404 404 401 401
PATCH  /images/{image}                              public    200 200 200 403 403 403 403 404 200 200 404 404 401 401
DELETE /images/{image}                              public    204 204 204 403 403 403 403 404 204 204 404 404 401 401
GET    /images/{image}                              community 200 200 200 200 200 200 200 404 200 200 404 404 401 401
GET    /images/{image}/file                         community 200 200 200 403 200 200 200 404 200 200 404 404 401 401
PATCH  /images/{image}                              community 200 200 200 403 403 403 403 404 200 200 404 404 401 401
GET    /images/{image}                              private   200 200 200 200 404 404 404 404 200 200 404 404 401 401
GET    /images/{image}/file                         private   200 200 200 403 404 404 404 404 200 200 404 404 401 401
PATCH  /images/{image}                              private   200 200 200 403 404 404 404 404 200 200 404 404 401 401
GET    /images/{image}                              hidden    200 200 200 200 200 200 404 404 200 200 404 404 401 401
GET    /images/{image}/file                         hidden    200 200 200 403 200 200 404 404 200 200 404 404 401 401
GET    /images/{image}/file                         inactive  200 403 403 403 403 403 404 404 403 403 404 404 401 401
POST   /images                                      publicly  201 403 403 403 403 403 403 403 403 403 403 403 401 401
PATCH  /images/{image}                              publicly  200 403 403 403 403 403 404 404 403 403 404 404 401 401
POST   /images                                      licensed  403 403 403 403 403 403 403 403 403 201 403 403 401 401
PATCH  /images/{image}                              licensed  403 403 403 403 403 403 404 404 403 200 404 404 401 401
"""  # noqa: E501  a table is read by its columns

PROTECTIONS = """
"create_image_property:^license": "service_roles:service"
"update_image_property:^license": "!"
"delete_image_property:^license": "!"
"""

#: What is sent.
OCTETS = {'Content-Type': 'application/octet-stream'}
BODIES: dict[str, dict[str, object]] = {
    'POST /v2/images publicly': {'body': {'visibility': 'public'}},
    'PATCH /v2/images/{} publicly': {
        'body': [{'op': 'replace', 'path': '/visibility', 'value': 'public'}],
        'headers': {'Content-Type': V21},
    },
    'POST /v2/images licensed': {'body': {'license_key': 'a'}},
    'PATCH /v2/images/{} licensed': {
        'body': [{'op': 'add', 'path': '/license_key', 'value': 'a'}],
        'headers': {'Content-Type': V21},
    },
    'POST /v2/images': {'body': {}},
    'PATCH /v2/images/{}': {
        'body': [{'op': 'replace', 'path': '/name', 'value': 'new'}],
        'headers': {'Content-Type': V21},
    },
    'PUT /v2/images/{}/file': {'raw': b'data', 'headers': OCTETS},
    'PUT /v2/images/{}/stage': {'raw': b'data', 'headers': OCTETS},
    'POST /v2/images/{}/import': {'body': {'method': {'name': 'glance-direct'}}},
    'POST /v2/images/{}/members': {'body': {'member': 'another'}},
    'PUT /v2/images/{}/members/{}': {'body': {'status': 'rejected'}},
    'POST /v2/images/{}/locations': {'body': {'url': 'http://127.0.0.1:1/data'}},
    'POST /v2/tasks': {
        'body': {
            'type': 'import',
            'input': {
                'import_from': 'http://127.0.0.1:1/data',
                'import_from_format': 'raw',
                'image_properties': {'disk_format': 'raw', 'container_format': 'bare'},
            },
        }
    },
    'POST /v2/metadefs/namespaces': {'body': {'namespace': '{new}'}},
    'PUT /v2/metadefs/namespaces/{}': {'body': {'namespace': '{ns}', 'visibility': 'public'}},
    'POST /v2/metadefs/namespaces/{}/objects': {'body': {'name': 'another'}},
    'PUT /v2/metadefs/namespaces/{}/objects/{}': {'body': {'name': 'thing'}},
    'POST /v2/metadefs/namespaces/{}/properties': {
        'body': {'name': 'another', 'title': 'Another', 'type': 'string'}
    },
    'PUT /v2/metadefs/namespaces/{}/properties/{}': {
        'body': {'name': 'size', 'title': 'Size', 'type': 'string'}
    },
    'POST /v2/metadefs/namespaces/{}/resource_types': {'body': {'name': 'OS::Nova::Flavor'}},
    'POST /v2/metadefs/namespaces/{}/tags': {'body': {'tags': [{'name': 'another'}]}},
    'PUT /v2/metadefs/namespaces/{}/tags/{}': {'body': {'name': 'label'}},
}


def anonymous(route):
    """A route whatever the names in its path are."""
    return re.sub(r'\{[^}]*\}', '{}', route)


SERVED = {anonymous(f'{route.method} {route.path}') for route in ROUTES}


def rows(table):
    """Route, method, path, what is given, and the expected codes by persona."""
    lines = [line.split() for line in table.strip().splitlines()]
    columns = lines[0][4:]
    for method, path, given, *codes in lines[1:]:
        expected = {COLUMNS[column]: int(code) for column, code in zip(columns, codes, strict=True)}
        yield anonymous(f'{method} /v2{path}'), method, f'/v2{path}', given, expected


class TableTest(testtools.TestCase):
    def test_every_route_has_one_row(self):
        found = [route for route, *_ in rows(TABLE)]
        self.assertEqual(set(), {route for route, *_ in rows(MORE)} - set(found))
        self.assertEqual(sorted(set(found)), sorted(found))
        self.assertEqual(set(), SERVED - set(found), 'routes without a row')
        self.assertEqual(set(), set(found) - SERVED, 'rows without a route')


class SharedPersonas(testtools.TestCase):
    """One Keystone and one application for a whole class."""

    api: ClassVar[Personas]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = Personas(cls('setUpClass'), overrides=States.OPTIONS, policy=PROTECTIONS)
        cls.addClassCleanup(cls.api.cleanUp)
        cls.api.setUp()
        cls.states = States(cls.api)

    def setUp(self):
        super().setUp()
        self.addOnException(self.attach_logs)

    def attach_logs(self, _info):
        told = {'api.log': self.api.log.output, **self.api.keystone.logs()}
        for name, text in told.items():
            self.addDetail(name, content.text_content(text[-8000:]))


class PersonasTest(testscenarios.WithScenarios, SharedPersonas):
    scenarios = [
        (
            f'{route} {given}',
            {'route': route, 'method': method, 'path': path, 'given': given, 'expected': expected},
        )
        for route, method, path, given, expected in (*rows(TABLE), *rows(MORE))
    ]

    def test_who_may(self):
        found, told, values = {}, {}, None
        for persona in self.expected:
            if values is None:
                values = self.states.make(self.given)
            response = self.ask(persona, values)
            found[persona] = response.status_int
            told[persona] = response.text if response.status_int >= 400 else ''
            if response.status_int < 400 and self.method != 'GET':
                values = None  # what was given has been changed
        if found != self.expected:
            differences = [name for name in found if found[name] != self.expected[name]]
            self.fail(
                '\n'.join(
                    f'{self.route} as {name}: {self.expected[name]} expected, {found[name]} {told[name]}'
                    for name in differences
                )
            )

    def ask(self, persona, values):
        sent = BODIES.get(f'{self.route} {self.given}', BODIES.get(self.route, {}))
        if isinstance(sent.get('body'), dict):
            sent = sent | {'body': {name: filled(value, values) for name, value in sent['body'].items()}}
        return self.api.call(self.method, self.path.format(**values), as_=persona, **sent)


def filled(value, values):
    return value.format(**values) if isinstance(value, str) else value
