"""Publishing: to topics, to everyone, from handlers, and to those who are too slow for it."""

from __future__ import annotations

import support
import wsabi
from support import Recorder


class Publishing(support.TestCase):
    def ends(self, recorder: Recorder, count: int) -> list[wsabi.WebSocket]:
        """The server's ends of clients that enter one after the other."""
        return [ws for (ws,) in recorder.wait_for("entered", count)]

    def test_a_topic_reaches_its_subscribers_and_none_everyone(self) -> None:
        recorder = Recorder()
        server = self.server(on_open=lambda ws: recorder.add("entered", ws))
        clients = []
        for count in (1, 2, 3):
            clients.append(self.connect_recorded(server)[1])
            self.ends(recorder, count)
        ends = self.ends(recorder, 3)
        for end in ends[:2]:
            end.subscribe("süß")
            end.subscribe("süß")
        self.assertEqual(server.publish("for two", "süß"), 2)
        self.assertEqual(server.publish("for nobody", "sauer"), 0)
        ends[0].unsubscribe("süß")
        ends[0].unsubscribe("süß")
        self.assertEqual(server.publish("for one", topic="süß"), 1)
        self.assertEqual(server.publish(bytearray(b"for all"), plain=True), 3)
        expected: tuple[list[tuple[object]], ...] = (
            [("for two",), (b"for all",)],
            [("for two",), ("for one",), (b"for all",)],
            [(b"for all",)],
        )
        for client, messages in zip(clients, expected):
            self.assertEqual(client.wait_for("message", len(messages)), messages)

    def test_handlers_subscribe_and_publish(self) -> None:
        recorder = Recorder()

        def on_open(ws: wsabi.WebSocket) -> None:
            ws.subscribe("room")
            recorder.add("entered", ws)

        server: wsabi.Server = self.server(
            on_open=on_open, on_message=lambda ws, data: server.publish(data, "room")
        )
        clients = [self.connect_recorded(server) for _ in range(3)]
        self.ends(recorder, 3)
        clients[0][0].send("hello " * 1000)
        for _, client in clients:
            self.assertEqual(client.wait_for("message"), [("hello " * 1000,)])

    def test_one_that_has_closed_is_left_out(self) -> None:
        recorder = Recorder()

        def on_open(ws: wsabi.WebSocket) -> None:
            ws.subscribe("t")
            recorder.add("entered", ws)

        server = self.server(
            on_open=on_open,
            on_close=lambda ws, *_: recorder.add("left"),
        )
        ws, _ = self.connect_recorded(server)
        (end,) = self.ends(recorder, 1)
        self.assertEqual(server.publish("one", "t"), 1)
        ws.close()
        recorder.wait_for("left")
        self.assertEnds(ws, end)
        self.assertEqual(server.publish("none", "t"), 0)
        with self.assertRaises(wsabi.ClosedError):
            end.subscribe("t")

    def test_what_is_refused(self) -> None:
        recorder = Recorder()
        server = self.server(on_open=lambda ws: recorder.add("entered", ws), max_buffered=1000)
        ws, _ = self.connect_recorded(server)
        (end,) = self.ends(recorder, 1)
        for topic in ("", "x" * 256, "a\0b"):
            with self.assertRaises(wsabi.ArgumentError):
                end.subscribe(topic)
            with self.assertRaises(wsabi.ArgumentError):
                end.unsubscribe(topic)
            with self.assertRaises(wsabi.ArgumentError):
                server.publish("text", topic)
        with self.assertRaises(TypeError):
            end.subscribe(b"topic")  # type: ignore[arg-type]
        with self.assertRaises(TypeError):
            server.publish("text", b"topic")  # type: ignore[arg-type]
        with self.assertRaises(TypeError):
            server.publish(None)  # type: ignore[arg-type]
        with self.assertRaises(wsabi.ArgumentError):
            server.publish(bytes(1001))
        with self.assertRaises(wsabi.ArgumentError):
            ws.subscribe("clients have none")
        server.close()
        with self.assertRaises(wsabi.HandleError):
            server.publish("late")

    def test_a_slow_one_is_skipped_or_closed(self) -> None:
        for policy in ("skip", "close"):
            with self.subTest(policy):
                recorder = Recorder()
                server = self.server(
                    **{
                        **recorder.handlers(),
                        "on_open": lambda ws, recorder=recorder: recorder.add("entered", ws),
                        "max_buffered": 1 << 20,
                        "close_timeout": 0.1,
                        "slow_subscribers": policy,
                    }
                )
                ws, client = self.connect_recorded(server, compression=False)
                self.ends(recorder, 1)
                ws.pause()
                message = bytes(60_000)
                taken = 0
                while server.publish(message) == 1:
                    taken += 1
                if policy == "skip":
                    ws.resume()
                    client.wait_for("message", taken)
                    recorder.wait_for("drain")
                else:
                    ((code, _, was_clean),) = recorder.wait_for("close")
                    self.assertEqual((code, was_clean), (1006, False))
                ws.release()
                server.close()
                self.assertEnds(server)
