"""Signed images: verified over what came, before they are active, and refused where they cannot be."""

import base64
import pathlib
import re
import shlex
from collections.abc import Callable, Mapping
from typing import ClassVar

import fixtures
import testtools

from imagepipe import errors
from imagepipe.services import Services
from imagepipe.sources.intake import Intake
from imagepipe.tests.fixtures import commands, images, tools
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.servers import free_port
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.signing import HASHES, MAKERS, SECRET, UNPARSABLE, SigningFixture

DATA = b'what was signed' * 100
LARGE = DATA * 3000
TAMPERED = DATA[:-1] + b'!'
FORMATS = {'disk_format': 'raw', 'container_format': 'bare'}
CODE = 'imagepipe.signature.'


class SignatureCase(testtools.TestCase):
    overrides: ClassVar[Mapping[str, object]] = {}
    works = False

    def setUp(self) -> None:
        super().setUp()
        self.signing = self.useFixture(SigningFixture())
        self.pipe = self.useFixture(
            PipelineFixture(
                self, memory=['far'], works=self.works, overrides={**self.signing.options(), **self.overrides}
            )
        )

    def signed(self, data: bytes = DATA, *args: object, **how: object) -> str:
        """The id of an image for signed data."""
        return self.pipe.create(**FORMATS, **self.signing.sign(data, *args, **how))['id']

    def accepted(self, image_id: str, data: bytes = DATA, **how: object) -> None:
        response = self.pipe.put(image_id, data, **how)
        self.assertEqual(204, response.status_int, response.text)
        self.assertEqual('active', self.pipe.show(image_id)['status'])
        self.pipe.check_records()

    def refused(
        self, code: str, image_id: str, data: bytes = DATA, *, status: int = 400, **how: object
    ) -> str:
        """The sentence of the refusal, after which nothing is left."""
        response = self.pipe.put(image_id, data, **how)
        return self.told(code, image_id, response, status)

    def told(self, code: str, image_id: str, response: object, status: int = 400) -> str:
        error = response.json['error']
        self.assertEqual((status, f'{CODE}{code}'), (response.status_int, error['error_code']), error)
        image = self.pipe.show(image_id)
        self.assertEqual(('queued', None, None), (image['status'], image['size'], image['checksum']))
        self.pipe.check_records()
        return error['message']


class UploadTest(SignatureCase):
    def test_every_type_of_key_and_every_hash_method(self) -> None:
        for key_type in MAKERS:
            for hash_method in HASHES:
                image_id = self.signed(DATA, key_type, hash_method=hash_method)
                self.refused('invalid', image_id, TAMPERED)
                self.accepted(image_id)

    def test_large_data_on_each_way_to_a_store(self) -> None:
        services = self.pipe.services
        intake = Intake(
            stores=services.stores,
            staging=services.staging,
            rules=services.inspection_rules,
            algorithms=['sha512'],
        )
        self.pipe.with_parts(intake=intake)
        for store in ('fast', 'far'):
            image_id = self.signed(LARGE, hash_method='SHA-384')
            self.refused('invalid', image_id, LARGE[:-1] + b'?', store=store)
            self.refused('invalid', image_id, LARGE[:-1], store=store, chunked=True)
            self.accepted(image_id, LARGE, store=store)

    def test_the_salt_of_rsa_pss(self) -> None:
        for length in (0, 32, None):
            properties = self.signing.sign(DATA, 'RSA-PSS', salt_length=length)
            for wanted in (31, 0 if length is None else length):
                options = {'pss_salt_length': str(wanted), 'mask_gen_algorithm': 'MGF1'}
                image_id = self.pipe.create(**FORMATS, **properties, **options)['id']
                if wanted == length:
                    self.accepted(image_id)
                else:
                    self.refused('invalid', image_id)
            self.accepted(self.pipe.create(**FORMATS, **properties)['id'])

    def test_another_key(self) -> None:
        for key_type in ('RSA-PSS', 'ECC_SECP256R1'):
            other = self.signing.certify(key_type, number=1)
            self.refused('invalid', self.signed(DATA, key_type, certificate_id=other))

    def test_with_fewer_than_four_properties_there_is_nothing_to_verify(self) -> None:
        for name in self.signing.sign(DATA):
            properties = self.signing.sign(DATA)
            del properties[name]
            self.accepted(self.pipe.create(**FORMATS, **properties)['id'], TAMPERED)

    def test_properties_that_cannot_be_used(self) -> None:
        good = self.signing.sign(DATA, 'RSA-PSS')
        for name, value, reason in (
            ('img_signature', '', 'is not base64'),
            ('img_signature', 'Zm9v!', 'is not base64'),
            ('img_signature', 'é', 'is not base64'),
            ('img_signature_hash_method', 'MD5', 'is none of SHA-224, SHA-256, SHA-384, SHA-512'),
            ('img_signature_key_type', 'RSA', 'is not RSA-PSS, DSA or ECC_ followed by a curve'),
            ('mask_gen_algorithm', 'MGF2', 'is not MGF1'),
            ('pss_salt_length', '-1', 'is not a number of bytes'),
            ('pss_salt_length', 'max', 'is not a number of bytes'),
        ):
            image_id = self.pipe.create(**FORMATS, **good | {name: value})['id']
            message = self.refused('properties', image_id)
            self.assertEqual(
                f'The signature of the image cannot be checked: its property {name} {reason}.', message
            )
            self.refused('properties', image_id, to='stage')
        broken = good | {'pss_salt_length': '9999'}
        self.refused('invalid', self.pipe.create(**FORMATS, **broken)['id'])
        wrapped = good | {'img_signature': f'{good["img_signature"][:64]}\n{good["img_signature"][64:]}\n'}
        self.accepted(self.pipe.create(**FORMATS, **wrapped)['id'])

    def test_certificates_that_cannot_be_used(self) -> None:
        signing = self.signing
        for certificate_id, reason in (
            ('../../etc/passwd', 'that is not the id of one'),
            ('00000000-0000-4000-8000-000000000000', 'the key manager has none of this id for you'),
            (signing.certify(since=-2, until=-1), 'it has expired'),
            (signing.certify(since=1, until=2), 'it is not valid yet'),
            (signing.certify('RSA-PSS'), 'its key is RSA-PSS, not ECC_SECP256R1'),
            (signing.certify('ECC_SECP384R1'), 'its key is ECC_SECP384R1, not ECC_SECP256R1'),
            (signing.put(SECRET), 'it is a secret of another kind'),
            (signing.put(b'garbage'), 'it is no X.509 certificate'),
            (signing.put(b'-----BEGIN'), 'it is no X.509 certificate'),
            (signing.put(UNPARSABLE), 'it is no X.509 certificate'),
        ):
            message = self.refused('certificate', self.signed(certificate_id=certificate_id))
            self.assertIn(reason, message)
        self.accepted(self.signed(certificate_id=signing.certify(pem=True)))

    def test_a_wrong_certificate_is_told_before_the_data_is_read(self) -> None:
        image_id = self.signed(certificate_id='00000000-0000-4000-8000-000000000000')
        # So much is announced, and nothing is sent: whoever read it would say that it ended early.
        response = self.pipe.put(image_id, b'', length=10**9)
        self.told('certificate', image_id, response)

    def test_the_key_manager_is_away(self) -> None:
        image_id = self.signed()
        (self.signing.directory / 'away').touch()
        self.refused('key_manager_unavailable', image_id, status=503)
        (self.signing.directory / 'away').unlink()
        self.accepted(image_id)

    def test_other_signature_properties_in_the_moment_of_an_upload(self) -> None:
        image_id = self.signed()
        complete = self.pipe.services.signatures.complete

        change = {'op': 'remove', 'path': '/img_signature'}
        self.pipe.with_parts(signatures=Meanwhile(complete, lambda: self.pipe.patch(image_id, change)))
        response = self.pipe.put(image_id, TAMPERED)
        self.assertEqual(409, response.status_int, response.text)
        self.pipe.check_records()


class ManualTest(SignatureCase):
    """The commands of the users guide, as they stand there."""

    def test_its_signatures_are_accepted(self) -> None:
        tools.need(self, 'openssl')
        page = (commands.PROJECT / 'doc' / 'source' / 'user' / 'signed-images.rst').read_text()
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (directory / 'disk.qcow2').write_bytes(DATA)
        lines = re.findall(r'^   \$ (openssl .*)$', page, re.MULTILINE)
        self.assertEqual(6, len(lines))
        for line in lines:
            commands.run(self, *shlex.split(line), cwd=directory)
        for key_type, certificate, signature in (
            ('ECC_SECP384R1', 'signing.pem', 'disk.qcow2.sig'),
            ('RSA-PSS', 'signing-rsa.pem', 'disk.qcow2.rsa'),
        ):
            value = base64.b64encode((directory / signature).read_bytes()).decode()
            image = self.pipe.create(
                **FORMATS,
                img_signature=value,
                img_signature_hash_method='SHA-256',
                img_signature_key_type=key_type,
                img_signature_certificate_uuid=self.signing.put((directory / certificate).read_bytes()),
            )
            self.refused('invalid', image['id'], TAMPERED)
            self.accepted(image['id'])


class Meanwhile:
    """Signatures during whose completion something happens."""

    def __init__(self, complete: Callable[..., object], happens: Callable[[], object]) -> None:
        self._complete = complete
        self._happens = happens

    def complete(self, context: object, signature: object) -> object:
        found = self._complete(context, signature)
        self._happens()
        return found


class ImportTest(SignatureCase):
    works = True
    overrides: ClassVar = {'import_flow.fetch_attempts': 1, 'import_flow.target_formats': 'cheap:raw'}

    def test_staged_data(self) -> None:
        image_id = self.signed(LARGE)
        self.pipe.stage(image_id, LARGE[:-1] + b'?')
        found = self.pipe.fail(self.pipe.start(image_id), f'{CODE}invalid', step='introspect', again=None)
        self.assertIn('does not have the signature', found['error']['message'])
        self.pipe.stage(image_id, LARGE)
        self.pipe.succeed(self.pipe.start(image_id, stores=['fast', 'far']))
        self.assertEqual(LARGE, self.pipe.download(image_id))

    def test_a_signature_that_is_named_after_staging(self) -> None:
        for data, code in ((DATA, None), (TAMPERED, f'{CODE}invalid')):
            image_id = self.pipe.image()
            self.pipe.stage(image_id, data)
            for name, value in self.signing.sign(DATA, 'RSA-PSS', hash_method='SHA-224').items():
                self.pipe.patch(image_id, {'op': 'add', 'path': f'/{name}', 'value': value})
            import_id = self.pipe.start(image_id)
            self.assertEqual(code, (self.pipe.wait(import_id)['error'] or {}).get('code'))
        self.pipe.check_records()

    def test_fetched_data(self) -> None:
        for data, code in ((LARGE, None), (LARGE + b'?', f'{CODE}invalid')):
            image_id = self.signed(LARGE, 'ECC_SECP521R1', hash_method='SHA-512')
            found = self.pipe.wait(self.pipe.start(image_id, uri=self.pipe.serve(image_id, data)))
            self.assertEqual(code, (found['error'] or {}).get('code'))
        self.pipe.check_records()

    def test_the_certificate_is_looked_at_when_the_import_is_asked_for(self) -> None:
        expired = self.signing.certify(since=-2, until=-1)
        image_id = self.signed(certificate_id=expired)
        response = self.pipe.ask(image_id, uri=self.pipe.serve(image_id, DATA))
        self.told('certificate', image_id, response)
        # And not again: a conductor needs no key manager.
        image_id = self.signed()
        self.pipe.stage(image_id, DATA)
        (self.signing.directory / 'away').touch()
        error = self.pipe.ask(image_id).json['error']
        self.assertEqual(f'{CODE}key_manager_unavailable', error['error_code'])

    def test_what_is_converted_was_signed_before(self) -> None:
        disk = images.content('qcow2')
        image_id = self.pipe.create(disk_format='qcow2', container_format='bare', **self.signing.sign(disk))[
            'id'
        ]
        self.pipe.stage(image_id, disk)
        found = self.pipe.succeed(self.pipe.start(image_id, stores=['cheap']))
        self.assertEqual('raw', self.pipe.show(image_id)['disk_format'])
        self.assertIn('sha256', found['source']['digests'])


class LocationTest(SignatureCase):
    """Data that others keep is no way around a signature."""

    works = True
    overrides: ClassVar = {
        'enabled_backends': 'fast:file,cheap:file,web:http',
        'import_flow.fetch_attempts': 1,
        'do_secure_hash': False,
        'show_multiple_locations': True,
    }

    def test_it_is_verified_before_the_image_is_active(self) -> None:
        for data, code in ((DATA, None), (TAMPERED, f'{CODE}invalid')):
            image_id = self.signed()
            body = {'url': self.pipe.serve(image_id, data)}
            response = self.pipe.call('POST', f'/v2/images/{image_id}/locations', body)
            found = self.pipe.wait(response.headers['OpenStack-image-import-task-id'])
            self.assertEqual(code, (found['error'] or {}).get('code'))
            self.assertEqual(
                ['check', 'hash', 'activate', 'notify'], [step['name'] for step in found['steps']]
            )
            self.assertEqual('queued' if code else 'active', self.pipe.show(image_id)['status'])

    def test_the_certificate_is_looked_at_when_the_location_is_added(self) -> None:
        image_id = self.signed(certificate_id=self.signing.certify(since=-2, until=-1))
        body = {'url': self.pipe.serve(image_id, DATA)}
        self.told('certificate', image_id, self.pipe.call('POST', f'/v2/images/{image_id}/locations', body))

    def test_a_patch_cannot_verify_it(self) -> None:
        image_id = self.signed()
        value = {'url': self.pipe.serve(image_id, DATA), 'metadata': {}}
        response = self.pipe.patch(image_id, {'op': 'add', 'path': '/locations/-', 'value': value})
        self.assertEqual(400, response.status_int, response.text)
        self.assertEqual('queued', self.pipe.show(image_id)['status'])


class NoKeyManagerTest(SignatureCase):
    """Nothing that names a signature is taken unverified."""

    def setUp(self) -> None:
        self.overrides = {'key_manager.backend': ''}
        super().setUp()

    def test_it_is_refused(self) -> None:
        image_id = self.signed()
        message = self.refused('no_key_manager', image_id)
        self.assertIn('has no key manager', message)
        response = self.pipe.ask(image_id, uri=self.pipe.serve(image_id, DATA))
        self.told('no_key_manager', image_id, response)


class MistakenTest(testtools.TestCase):
    def test_a_backend_that_there_is_not_is_told_at_the_start(self) -> None:
        conf = self.useFixture(ServicesFixture(self)).conf
        for backend in ('nonsense', 'imagepipe.nowhere.KeyManager', 'imagepipe.errors.Nothing'):
            conf.set_override('backend', backend, 'key_manager')
            error = self.assertRaises(errors.ConfigurationInvalid, Services.build, conf)
            self.assertIn(f"[key_manager] backend '{backend}' cannot be loaded", str(error))


class BarbicanTest(SignatureCase):
    """Castellan's own driver, of a Barbican that does not answer."""

    def setUp(self) -> None:
        nobody = f'http://127.0.0.1:{free_port()}'
        self.overrides = {
            'key_manager.backend': 'barbican',
            'barbican.barbican_endpoint': nobody,
            'barbican.auth_endpoint': f'{nobody}/v3',
            'barbican.number_of_retries': 0,
        }
        super().setUp()

    def test_it_is_away(self) -> None:
        self.refused('key_manager_unavailable', self.signed(), status=503)
