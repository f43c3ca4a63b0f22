"""Both roles against the half of the package `websockets` that has threads and no loop."""

from __future__ import annotations

import ssl
import unittest
from typing import Any

import peers
import support
import websockets.sync.client as client
import wsabi
from peers import CLOSES, MESSAGES, sync_server
from support import Recorder, url_of


def echo(peer: Any) -> None:
    for message in peer:
        peer.send(message)


class AsClient(support.TestCase):
    def test_every_length_comes_back_as_it_went(self) -> None:
        with sync_server(echo) as url:
            ws, recorder = self.connect_recorded(url)
            for number, message in enumerate(MESSAGES, 1):
                ws.send(message)
                self.assertEqual(recorder.wait_for("message", number)[-1], (message,))
            ws.close(1000, "done")
            self.assertEqual(recorder.wait_for("close"), [(1000, "done", True)])

    def test_messages_in_fragments_with_pings_between_them(self) -> None:
        def send_in_fragments(peer: Any) -> None:
            for message in MESSAGES:
                peer.send([message[:1], message[1:100], message[100:]])
                peer.ping(b"between").wait(support.DEADLINE)

        with sync_server(send_in_fragments) as url:
            _, recorder = self.connect_recorded(url)
            self.assertEqual(
                [data for (data,) in recorder.wait_for("message", len(MESSAGES))],
                MESSAGES,
            )
            self.assertEqual(recorder.wait_for("close"), [(1000, "", True)])

    def test_a_close_without_a_code(self) -> None:
        def close(peer: Any) -> None:
            with peer.send_context():
                peer.protocol.send_close()

        with sync_server(close) as url:
            _, recorder = self.connect_recorded(url)
            self.assertEqual(recorder.wait_for("close"), [(1005, "", True)])


class AsServer(support.TestCase):
    def test_every_length_comes_back_as_it_went(self) -> None:
        at_server = Recorder()
        server = self.echo_server(on_close=at_server.handlers()["on_close"])
        with client.connect(url_of(server), max_size=None) as peer:
            for message in MESSAGES:
                peer.send(message)
                self.assertEqual(peer.recv(support.DEADLINE), message)
        self.assertEqual(at_server.wait_for("close"), [(1000, "", True)])

    def test_the_server_sends_first(self) -> None:
        server = self.server(on_open=lambda ws: [ws.send(message) for message in MESSAGES[:-2]])
        with client.connect(url_of(server), max_size=None) as peer:
            self.assertEqual([peer.recv(support.DEADLINE) for _ in MESSAGES[:-2]], MESSAGES[:-2])

    def test_messages_in_fragments(self) -> None:
        server = self.echo_server(max_frame=1 << 16)
        with client.connect(url_of(server), max_size=None) as peer:
            for message in MESSAGES:
                peer.send([message[:1], message[:0], message[1:100], message[100:]])
                self.assertEqual(peer.recv(support.DEADLINE), message)

    def test_pings_are_answered(self) -> None:
        with client.connect(url_of(self.echo_server())) as peer:
            for length in (0, 1, 125):
                answered = peer.ping(peers.binary_of(length))
                self.assertTrue(answered.wait(support.DEADLINE))

    def test_codes_and_reasons(self) -> None:
        at_server = Recorder()
        server = self.server(**at_server.handlers())
        for number, (code, reason) in enumerate(CLOSES, 1):
            with client.connect(url_of(server)) as peer:
                peer.close(code, reason)
            self.assertEqual(at_server.wait_for("close", number)[-1], (code, reason, True))
            self.assertEqual(peer.close_code, code)


class OverTls(support.TestCase):
    """The peer's TLS is that of OpenSSL."""

    def setUp(self) -> None:
        self.ca, self.cert, self.key = (
            support.certificate_file("here", it) for it in ("ca", "cert", "key")
        )
        super().setUp()

    def test_as_client(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            with sync_server(echo, ssl=context) as url:
                ws, recorder = self.connect_recorded(
                    url.replace("ws://", "wss://"), tls_ca=support.certificate("here", "ca")
                )
                self.assertEqual(ws.tls_version, version.name.replace("_", "."))
                for number, message in enumerate(MESSAGES, 1):
                    ws.send(message)
                    self.assertEqual(recorder.wait_for("message", number)[-1], (message,))
                ws.close(1000, "done")
                self.assertEqual(recorder.wait_for("close"), [(1000, "done", True)])

    def test_as_server(self) -> None:
        identity = support.certificate("here", "cert"), support.certificate("here", "key")
        server = wsabi.Server(
            "wss://127.0.0.1:0/",
            runtime=self.runtime,
            tls_identity=identity,
            on_message=lambda ws, data: ws.send(data),
        )
        context = ssl.create_default_context(cafile=self.ca)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            url = f"wss://localhost:{server.port}/"
            with client.connect(url, ssl=context, max_size=None) as peer:
                for message in MESSAGES:
                    peer.send(message)
                    self.assertEqual(peer.recv(support.DEADLINE), message)


if __name__ == "__main__":
    unittest.main()
