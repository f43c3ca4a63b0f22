"""wss://: who is trusted, who is not, and what is known of the connection."""

from __future__ import annotations

import re
import unittest
from typing import Any

import support
import wsabi
from support import Recorder, certificate


def identity(place: str = "here") -> tuple[str, str]:
    return certificate(place, "cert"), certificate(place, "key")


class TlsTestCase(support.TestCase):
    def setUp(self) -> None:
        # Skips where there are no certificates, before anything is made.
        self.ca = certificate("here", "ca")
        super().setUp()

    def tls_server(self, place: str = "here", **arguments: Any) -> str:
        """The URL of a server that sends back, under the name that its certificate is for."""
        server = wsabi.Server(
            "wss://127.0.0.1:0/",
            runtime=self.runtime,
            tls_identity=identity(place),
            **{"on_message": lambda ws, data: ws.send(data), **arguments},
        )
        return f"wss://localhost:{server.port}/"

    def failure(self, url: str, **arguments: Any) -> str:
        """The sentence with which connecting fails, for a reason of TLS."""
        recorder = Recorder()
        ws = self.connect(url, **recorder.client_handlers(), **arguments)
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["error", "close"])
        [(error,)] = recorder.of("error")
        self.assertIsInstance(error, wsabi.ConnectError)
        self.assertEqual(error.status, wsabi.Status.TLS, error)
        self.assertEqual(recorder.of("close"), [(1006, "", False)])
        return str(error)


class Trust(TlsTestCase):
    def test_messages_go_both_ways_to_a_server_of_an_own_authority(self) -> None:
        ws, recorder = self.connect_recorded(self.tls_server(), tls_ca=self.ca)
        messages: list[str | bytes] = ["text \u20ac", b"", b"\0binary\xff", b"x" * (1 << 20)]
        for message in messages:
            ws.send(message)
        received = [data for (data,) in recorder.wait_for("message", len(messages))]
        self.assertEqual(received, messages)
        ws.close(3000)
        self.assertEqual(recorder.wait_for("close"), [(3000, "", True)])

    def test_the_system_does_not_trust_an_own_authority(self) -> None:
        sentence = self.failure(self.tls_server())
        # Or, on a machine without any trusted certificates, "TLS failed: ...".
        self.assertRegex(sentence, r"\A(certificate of unknown issuer|TLS failed): ")

    def test_another_authority_is_not_trusted_unless_it_is_added(self) -> None:
        url = self.tls_server()
        other = certificate("elsewhere", "ca")
        sentence = self.failure(url, tls_ca=other)
        self.assertTrue(sentence.startswith("certificate of unknown issuer: "), sentence)
        ws, _ = self.connect_recorded(url, tls_ca=other, tls_extra_ca=self.ca)
        ws.close()
        self.assertEnds(ws)

    def test_a_certificate_for_another_host_is_refused_unless_that_one_is_wanted(self) -> None:
        url = self.tls_server("elsewhere")
        ca = certificate("elsewhere", "ca")
        sentence = self.failure(url, tls_ca=ca)
        self.assertEqual(
            sentence,
            "certificate for another host: it is for elsewhere.example, and not for localhost",
        )
        ws, _ = self.connect_recorded(url, tls_ca=ca, tls_server_name="elsewhere.example")
        ws.close()
        self.assertEnds(ws)

    def test_without_verification_anybody_is_the_server(self) -> None:
        ws, _ = self.connect_recorded(self.tls_server("elsewhere"), tls_verify_dangerously=False)
        ws.close()
        self.assertEnds(ws)

    def test_a_key_that_is_not_pinned_is_refused_and_named(self) -> None:
        url = self.tls_server()
        sentence = self.failure(url, tls_ca=self.ca, tls_pins="A" * 43 + "=")
        match = re.fullmatch(
            r"certificate not pinned: the key of localhost:\d+ is (sha256//[\w+/]{43}=)", sentence
        )
        assert match is not None, sentence
        for pins in (match[1], ["A" * 43 + "=", match[1].removeprefix("sha256//")]):
            ws, _ = self.connect_recorded(url, tls_ca=self.ca, tls_pins=pins)
            ws.close()
            self.assertEnds(ws)

    def test_what_another_attempt_cannot_mend_is_not_tried_again(self) -> None:
        other = certificate("elsewhere", "ca")
        self.failure(self.tls_server(), tls_ca=other, reconnect=(0.001, 0.002, 0))


class ClientCertificates(TlsTestCase):
    def test_a_server_may_demand_a_certificate_of_its_clients(self) -> None:
        at_server = Recorder()
        url = self.tls_server(tls_client_ca=self.ca, **at_server.handlers())
        sentence = self.failure(url, tls_ca=self.ca)
        self.assertTrue(sentence.startswith("certificate demanded: "), sentence)
        sentence = self.failure(url, tls_ca=self.ca, tls_identity=identity("elsewhere"))
        self.assertTrue(sentence.startswith("own certificate refused: "), sentence)
        self.assertEqual(at_server.events, [])

        ws, _ = self.connect_recorded(url, tls_ca=self.ca, tls_identity=identity())
        at_server.wait_for("open")
        ws.close()
        self.assertEnds(ws)


class Renewal(TlsTestCase):
    def test_a_server_may_become_somebody_else_while_it_runs(self) -> None:
        server = wsabi.Server(
            "wss://127.0.0.1:0/", runtime=self.runtime, tls_identity=identity("elsewhere")
        )
        url = f"wss://localhost:{server.port}/"
        elsewhere = certificate("elsewhere", "ca")
        before, _ = self.connect_recorded(
            url, tls_ca=elsewhere, tls_server_name="elsewhere.example"
        )
        server.set_tls(tls_identity=identity(), tls_client_ca=self.ca)
        sentence = self.failure(url, tls_ca=self.ca)
        self.assertTrue(sentence.startswith("certificate demanded: "), sentence)
        after, _ = self.connect_recorded(url, tls_ca=self.ca, tls_identity=identity())
        self.assertIs(before.ready_state, wsabi.ReadyState.OPEN)
        with self.assertRaises(wsabi.ArgumentError):
            server.set_tls(tls_identity=("", ""))
        before.close()
        after.close()
        self.assertEnds(before, after)

    def test_a_server_without_tls_cannot(self) -> None:
        with self.assertRaises(wsabi.Error) as caught:
            self.echo_server().set_tls(tls_identity=identity())
        self.assertEqual(caught.exception.status, wsabi.Status.STATE)


class Plain(TlsTestCase):
    def test_a_server_of_wss_has_to_be_somebody(self) -> None:
        with self.assertRaises(wsabi.ArgumentError) as caught:
            wsabi.Server("wss://127.0.0.1:0/", runtime=self.runtime)
        self.assertIn("certificate", str(caught.exception))

    def test_a_server_without_tls_is_told_apart(self) -> None:
        url = support.url_of(self.echo_server()).replace("ws://", "wss://")
        sentence = self.failure(url, tls_ca=self.ca)
        self.assertTrue(sentence.startswith("not TLS: "), sentence)

    def test_a_client_without_tls_never_gets_to_open(self) -> None:
        at_server = Recorder()
        recorder = Recorder()
        url = self.tls_server(**at_server.handlers())
        ws = self.connect(url.replace("wss://", "ws://"), **recorder.handlers())
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["error", "close"])
        self.assertEqual(at_server.events, [])


class Facts(TlsTestCase):
    def test_version_and_cipher_are_known_at_both_ends_and_stay_after_the_end(self) -> None:
        at_server: list[wsabi.WebSocket] = []
        url = self.tls_server(on_open=at_server.append)
        ws, recorder = self.connect_recorded(url, tls_ca=self.ca)
        ws.send("hello")
        recorder.wait_for("message")
        for _ in range(2):
            for end in (ws, at_server[0]):
                self.assertEqual(end.tls_version, "TLSv1.3")
                self.assertRegex(end.tls_cipher, r"\ATLS_[A-Z0-9_]+\Z")
                self.assertGreater(end.stats().tls, 0)
            self.assertEqual(ws.tls_cipher, at_server[0].tls_cipher)
            self.assertEqual(ws.peer_address, at_server[0].local_address)
            self.assertEqual(at_server[0].peer_address, ws.local_address)
            ws.close()
            self.assertEnds(ws, at_server[0])

    def test_there_are_none_without_tls(self) -> None:
        ws, _ = self.connect_recorded(self.echo_server())
        self.assertEqual((ws.tls_version, ws.tls_cipher, ws.stats().tls), ("", "", 0.0))


if __name__ == "__main__":
    unittest.main()
