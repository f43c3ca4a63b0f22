"""What is wrong is refused at once, with a sentence that names it, and nothing is left of it."""

from __future__ import annotations

import array
import unittest
from typing import Any

import support
import wsabi
from support import Recorder

# A certificate and its private key.
IDENTITY = (support.CHECKOUT / "tests" / "certificates" / "identity.pem").read_text()
PIN = "A" * 43 + "="


class Constructors(support.TestCase):
    def assertRefused(self, exception: type[BaseException], naming: str, **arguments: Any) -> None:
        arguments.setdefault("url", "ws://127.0.0.1:9/")
        for kind in (wsabi.WebSocket, wsabi.Server):
            if kind is wsabi.Server and "origin" in arguments:
                continue
            with self.subTest(kind=kind.__name__, **arguments):
                with self.assertRaises(exception) as caught:
                    kind(runtime=self.runtime, **arguments)
                self.assertIn(naming, str(caught.exception))

    def test_urls(self) -> None:
        for url in (
            "",
            "/relative",
            "ftp://127.0.0.1/",
            "ws://",
            "ws://127.0.0.1:99999/",
        ):
            self.assertRefused(wsabi.UrlError, "", url=url)
        with self.assertRaises(wsabi.UrlError) as caught:
            self.connect("ws://127.0.0.1/#fragment")
        self.assertEqual(caught.exception.name, "WSABI_ERR_URL")
        self.assertIsInstance(caught.exception, ValueError)
        for wrong in (None, 1, b"ws://127.0.0.1/"):
            self.assertRefused(TypeError, "url", url=wrong)

    def test_subprotocols(self) -> None:
        for name in ("", "a b", "a,b", "a\r\nb", "\u00e4"):
            self.assertRefused(wsabi.ArgumentError, "subprotocol", subprotocols=[name])
        self.assertRefused(wsabi.ArgumentError, "NUL", subprotocols=["a\0"])
        self.assertRefused(wsabi.ArgumentError, "CHAT", subprotocols=["chat", "CHAT"])
        self.assertRefused(TypeError, "subprotocol", subprotocols=[1])
        self.assertRefused(TypeError, "", subprotocols=1)

    def test_headers(self) -> None:
        for name, value in (
            ("", "x"),
            ("a b", "x"),
            ("X", "a\r\nInjected: b"),
            ("X", "a\nb"),
            ("Host", "example.com"),
            ("Sec-WebSocket-Key", "x"),
        ):
            self.assertRefused(wsabi.ArgumentError, "header", headers={name: value})
            self.assertRefused(wsabi.ArgumentError, "header", headers=[(name, value)])
        self.assertRefused(wsabi.ArgumentError, "NUL", headers={"X": "a\0b"})
        self.assertRefused(TypeError, "header", headers={"X": 1})
        self.assertRefused(TypeError, "header", headers={b"X": "y"})
        self.assertRefused(wsabi.ArgumentError, "", origin="a\r\nb")
        self.assertRefused(wsabi.ArgumentError, "", user_agent="a\r\nb")

    def test_options(self) -> None:
        self.assertRefused(TypeError, "max_mesage", max_mesage=1)
        self.assertRefused(wsabi.ArgumentError, "max_message", max_message=0)
        self.assertRefused(ValueError, "max_message", max_message=-1)
        self.assertRefused(ValueError, "max_buffered", max_buffered=1 << 64)
        self.assertRefused(ValueError, "max_connections", max_connections=1 << 32)
        self.assertRefused(ValueError, "slow_subscribers", slow_subscribers="wait")
        self.assertRefused(ValueError, "ping_interval", ping_interval=-0.1)
        self.assertRefused(ValueError, "ping_interval", ping_interval=float("nan"))
        self.assertRefused(ValueError, "idle_timeout", idle_timeout=float("inf"))
        self.assertRefused(TypeError, "", max_message=1.5)
        self.assertRefused(TypeError, "", connect_timeout="10")

    def test_ways_to_the_server(self) -> None:
        self.assertRefused(wsabi.ArgumentError, "colon", basic_auth="user")
        self.assertRefused(TypeError, "basic_auth", basic_auth=("user", "password"))
        self.assertRefused(wsabi.UrlError, "proxy", proxy="ftp://a/")
        self.assertRefused(wsabi.ArgumentError, "21", max_redirects=21)
        self.assertRefused(wsabi.ArgumentError, "min", reconnect=(2, 1, 0))
        self.assertRefused(wsabi.ArgumentError, "min", reconnect=(0, 1, 0))
        self.assertRefused(ValueError, "reconnect", reconnect=(1, -1, 0))
        self.assertRefused(ValueError, "reconnect", reconnect=(1, 2, -1))
        self.assertRefused(ValueError, "", reconnect=(1, 2))

    def test_tls(self) -> None:
        for name in ("tls_ca", "tls_extra_ca", "tls_client_ca"):
            self.assertRefused(wsabi.ArgumentError, "pem", **{name: "no certificate"})
            self.assertRefused(TypeError, name, **{name: IDENTITY.encode()})
        self.assertRefused(wsabi.ArgumentError, "key_pem", tls_identity=(IDENTITY, "no key"))
        self.assertRefused(wsabi.ArgumentError, "cert_pem", tls_identity=("", IDENTITY))
        self.assertRefused(TypeError, "tls_identity", tls_identity=(IDENTITY, None))
        self.assertRefused(wsabi.ArgumentError, "a b", tls_server_name="a b")
        self.assertRefused(wsabi.ArgumentError, "AAAA", tls_pins="AAAA")
        self.assertRefused(wsabi.ArgumentError, "AAAA", tls_pins=[PIN, "AAAA"])
        self.assertRefused(TypeError, "tls_pins", tls_pins=[1])

    def test_every_option_is_taken(self) -> None:
        options = wsabi.Options(
            user_agent="test/1",
            basic_auth="user:password",
            proxy="",
            max_redirects=3,
            reconnect=(0.5, 30, 5),
            max_message=1 << 20,
            max_buffered=1 << 20,
            low_water=1 << 10,
            max_frame=1 << 16,
            compression=True,
            compression_min=1,
            compression_level=6,
            compression_window=(10, 12),
            compression_takeover=(False, True),
            connect_timeout=5,
            close_timeout=0.5,
            ping_interval=None,
            pong_timeout=1,
            idle_timeout=0,
            max_connections=5,
            slow_subscribers="close",
            backlog=10,
            reuse_port=True,
            tls_ca=IDENTITY,
            tls_extra_ca=IDENTITY,
            tls_identity=(IDENTITY, IDENTITY),
            tls_client_ca=IDENTITY,
            tls_server_name="localhost",
            tls_pins=[PIN, f"sha256//{PIN}"],
            tls_verify_dangerously=True,
            tls_resumption=False,
            tls_key_log=False,
        )
        self.assertEqual(set(options), set(wsabi.Options.__annotations__))
        with self.echo_server(**options) as server:
            ws, recorder = self.connect_recorded(server, **options)
            ws.send("hello")
            recorder.wait_for("message")

    def test_runtimes(self) -> None:
        for threads in (0, 65, 1 << 31):
            with self.assertRaises(wsabi.ArgumentError):
                wsabi.Runtime(threads)
        for wrong in (-1, 1 << 32):
            with self.assertRaises(ValueError):
                wsabi.Runtime(wrong)
        with self.assertRaises(ValueError):
            self.runtime.close(timeout=-1)
        self.assertFalse(self.runtime.closed)


class Calls(support.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.at_server = Recorder()
        self.ws, self.recorder = self.connect_recorded(self.server(**self.at_server.handlers()))

    def test_what_cannot_be_sent(self) -> None:
        for wrong in (None, 5, 1.5, ["text"], object()):
            self.assertRaises(TypeError, self.ws.send, wrong)
        self.assertRaises(ValueError, self.ws.send, "a lone surrogate: \ud800")
        self.ws.close()
        self.assertEqual(self.at_server.wait_for("close"), [(1000, "", True)])
        self.assertEqual(self.at_server.kinds(), ["open", "close"])

    def test_everything_that_holds_bytes_can_be_sent(self) -> None:
        for data in (
            b"abc",
            bytearray(b"abc"),
            memoryview(b"abc"),
            memoryview(b"a-b-c-")[::2],
            array.array("B", b"abc"),
        ):
            self.ws.send(data)
        self.assertEqual(self.at_server.wait_for("message", 5), [(b"abc",)] * 5)

    def test_what_is_sent_was_copied(self) -> None:
        data = bytearray(b"before")
        self.ws.send(data)
        data[:] = b"after!"
        self.assertEqual(self.at_server.wait_for("message"), [(b"before",)])

    def test_close_codes_and_reasons(self) -> None:
        for code in (
            0,
            -1,
            999,
            1004,
            1005,
            1006,
            1015,
            2999,
            5000,
            65536,
            (1 << 32) + 1000,
        ):
            with self.assertRaises(wsabi.ArgumentError) as caught:
                self.ws.close(code)
            self.assertIn(str(code), str(caught.exception))
        with self.assertRaises(wsabi.ArgumentError):
            self.ws.close(1000, "x" * 124)
        with self.assertRaises(wsabi.ArgumentError):
            self.ws.close(1000, "\u00e4" * 62)
        with self.assertRaises(wsabi.ArgumentError):
            self.ws.close(None, "a reason needs a code")
        self.assertRaises(TypeError, self.ws.close, "1000")
        self.assertRaises(TypeError, self.ws.close, 1000, b"reason")
        self.assertIs(self.ws.ready_state, wsabi.ReadyState.OPEN)
        self.ws.close(1000, "\u00e4" * 61 + "x")
        self.assertEqual(self.at_server.wait_for("close"), [(1000, "\u00e4" * 61 + "x", True)])


if __name__ == "__main__":
    unittest.main()
