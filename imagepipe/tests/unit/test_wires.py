"""The wires that tests cut do what they say."""

import socket
import threading

import testtools

from imagepipe.tests.fixtures.wires import Wires


class WiresTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.listener.close)
        threading.Thread(target=self._echo, daemon=True).start()
        self.wires = self.useFixture(Wires())
        self.port = self.wires.lay('echo', self.listener.getsockname())

    def _echo(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except OSError:
            return

    def connect(self) -> socket.socket:
        client = socket.create_connection(('127.0.0.1', self.port), timeout=10)
        self.addCleanup(client.close)
        return client

    def said(self, client: socket.socket, words: bytes) -> bytes:
        client.sendall(words)
        return client.recv(1000)

    def test_what_is_sent_comes_back(self) -> None:
        self.assertEqual(b'hello', self.said(self.connect(), b'hello'))

    def test_a_cut_wire_resets_old_and_new_connections_until_it_is_mended(self) -> None:
        client = self.connect()
        self.said(client, b'hello')
        self.wires.cut('echo')
        self.assertRaises(ConnectionResetError, client.recv, 1000)
        self.assertRaises(OSError, lambda: self.said(self.connect(), b'hello'))
        self.wires.mend('echo')
        self.assertEqual(b'again', self.said(self.connect(), b'again'))

    def test_a_reset_ends_only_what_is_open(self) -> None:
        client = self.connect()
        self.said(client, b'hello')
        self.wires.reset('echo')
        self.assertRaises(ConnectionResetError, client.recv, 1000)
        self.assertEqual(b'again', self.said(self.connect(), b'again'))

    def test_what_was_held_back_comes_later(self) -> None:
        client = self.connect()
        self.said(client, b'hello')
        self.wires.hold('echo')
        client.sendall(b'late')
        client.settimeout(0.3)
        self.assertRaises(TimeoutError, client.recv, 1000)
        self.wires.mend('echo')
        client.settimeout(10)
        self.assertEqual(b'late', client.recv(1000))
