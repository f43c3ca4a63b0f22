"""The exceptions: one class for each status."""

from __future__ import annotations

import pickle
import unittest

import wsabi
from wsabi import _ffi
from wsabi._errors import Status


class Errors(unittest.TestCase):
    def test_every_status_has_a_class_of_its_own_that_is_exported(self) -> None:
        classes = {type(_ffi.error(status, "a sentence")) for status in Status}
        self.assertEqual(len(classes), len(Status))
        for kind in classes:
            self.assertTrue(issubclass(kind, wsabi.Error))
            self.assertIs(getattr(wsabi, kind.__name__), kind)

    def test_they_are_what_python_calls_the_same(self) -> None:
        for status, kind in (
            (Status.ARGUMENT, ValueError),
            (Status.HANDLE, ValueError),
            (Status.TIMEOUT, TimeoutError),
            (Status.IO, OSError),
            (Status.TLS, wsabi.ConnectError),
            (Status.TOO_BIG, wsabi.ProtocolError),
        ):
            self.assertIsInstance(_ffi.error(status, "a sentence"), kind)

    def test_they_say_what_they_are_also_after_pickling(self) -> None:
        for status in (*Status, -12345):
            error = _ffi.error(status, "a sentence")
            for it in (error, pickle.loads(pickle.dumps(error))):
                self.assertEqual((it.status, str(it)), (status, "a sentence"))
                self.assertEqual(type(it), type(error))
        closed = wsabi.ConnectionClosedError(1011, "a defect", True)
        for it in (closed, pickle.loads(pickle.dumps(closed))):
            self.assertEqual((it.code, it.reason, it.was_clean), (1011, "a defect", True))
            self.assertEqual(it.status, Status.CLOSED)
            self.assertIn("1011: a defect", str(it))

    def test_a_status_of_a_later_version_is_an_error(self) -> None:
        self.assertIs(type(_ffi.error(-12345, "a sentence")), wsabi.Error)


if __name__ == "__main__":
    unittest.main()
