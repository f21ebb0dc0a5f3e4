"""Secrets at rest and the file of their keys."""

import os
import stat
import threading
from pathlib import Path

import fixtures
import testtools
from cryptography.fernet import Fernet

from imagepipe import errors
from imagepipe.secrets import Secrets, generate_key_file, read_key_file

URL = 'https://images.example/a.qcow2?signature=hunter2&ü'


def key() -> str:
    return Fernet.generate_key().decode()


class SecretsTest(testtools.TestCase):
    def test_what_is_encrypted_is_decrypted(self):
        secrets = Secrets([key()])
        token = secrets.encrypt(URL)
        self.assertEqual(URL, secrets.decrypt(token))
        self.assertNotIn('images', token)
        self.assertTrue(token.isascii() and token.isprintable())
        self.assertNotEqual(token, secrets.encrypt(URL))

    def test_keys_are_rotated(self):
        old, new = key(), key()
        token = Secrets([old]).encrypt(URL)
        both = Secrets([new, old])
        self.assertEqual(URL, both.decrypt(token))
        self.assertEqual(URL, Secrets([new]).decrypt(both.encrypt(URL)))
        rotated = both.rotate(token)
        self.assertEqual(URL, Secrets([new]).decrypt(rotated))
        self.assertRaises(errors.SecretUnreadable, Secrets([new]).decrypt, token)

    def test_what_cannot_be_read_is_not_echoed(self):
        secrets = Secrets([key()])
        token = secrets.encrypt(URL)
        changed = token[:-10] + ('A' if token[-10] != 'A' else 'B') + token[-9:]
        for bad in (Secrets([key()]).encrypt(URL), changed, token[:20], 'nonsense', '', 'ü', '\0'):
            for attempt in (secrets.decrypt, secrets.rotate):
                error = self.assertRaises(errors.SecretUnreadable, attempt, bad)
                self.assertEqual({}, error.facts)
                self.assertIsNone(error.__cause__)

    def test_keys_that_are_none(self):
        for keys in ([], [''], ['short'], [key(), 'x' * 44], ['ü' * 43 + '=']):
            error = self.assertRaises(errors.ConfigurationInvalid, Secrets, keys)
            self.assertIn('[secrets] key_file', error.message)
            self.assertNotIn('x' * 44, error.message)

    def test_keys_are_not_shown(self):
        secret = key()
        self.assertNotIn(secret, repr(Secrets([secret])))


class KeyFileTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.useFixture(fixtures.TempDir()).path) / 'keys'

    def test_a_new_file_has_one_key_for_its_owner_only(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        generate_key_file(self.path)
        self.assertEqual(0o600, stat.S_IMODE(self.path.stat().st_mode))
        (only,) = read_key_file(self.path)
        self.assertEqual(URL, Secrets([only]).decrypt(Secrets([only]).encrypt(URL)))
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_a_key_that_is_in_use_is_never_overwritten(self):
        generate_key_file(self.path)
        first = self.path.read_bytes()
        generate_key_file(self.path)
        self.assertEqual(first, self.path.read_bytes())
        self.assertEqual([self.path], list(self.path.parent.iterdir()))

    def test_of_many_processes_that_start_at_once_all_read_one_key(self):
        found: list[tuple[str, ...]] = []

        def start() -> None:
            generate_key_file(self.path)
            found.append(tuple(read_key_file(self.path)))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((8, 1), (len(found), len(set(found))))

    def test_a_directory_that_is_not_there(self):
        self.assertRaises(OSError, generate_key_file, self.path / 'more')

    def test_the_first_line_encrypts(self):
        first, second = key(), key()
        self.path.write_text(f'# rotated in May\n{first}\n\n  {second}  \r\n')
        self.path.chmod(0o640)
        self.assertEqual([first, second], read_key_file(self.path))

    def test_files_that_cannot_be_used(self):
        self.assertRaises(errors.ConfigurationInvalid, read_key_file, self.path)
        generate_key_file(self.path)
        self.path.chmod(0o604)
        error = self.assertRaises(errors.ConfigurationInvalid, read_key_file, self.path)
        self.assertIn('every user', error.message)
        self.path.chmod(0o600)
        self.path.write_bytes(b'\xff\xfe')
        self.assertRaises(errors.ConfigurationInvalid, read_key_file, self.path)
