"""The declarations agree with the header, and the library is found where it should be."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import types
import unittest
from typing import Any

import support
from wsabi import _ffi, _library
from wsabi._errors import Status

HEADER = re.sub(
    r"/\*.*?\*/",
    " ",
    (support.CHECKOUT / "include" / "wsabi.h").read_text(),
    flags=re.DOTALL,
)


class Header(unittest.TestCase):
    def test_constants_are_the_headers(self) -> None:
        in_header = {
            name: int(value)
            for name, value in re.findall(r"#define WSABI_(\w+)\s+\(?(-?\d+)\)?\s*$", HEADER, re.M)
        }
        ours = {name: value for name, value in vars(_ffi).items() if isinstance(value, int)}
        # TEXT and the states have the names that the header gives them, too.
        ours.update({f"ERR_{status.name}": int(status) for status in Status})
        ours["ABI_VERSION"] = _library.ABI_VERSION
        self.assertGreater(len(ours), 40)
        self.assertEqual(ours, {name: in_header.get(name) for name in ours})
        statuses = {name for name in in_header if name.startswith("ERR_")}
        self.assertEqual(statuses - set(ours), set())

    def test_every_function_of_the_header_is_declared_with_its_parameters(self) -> None:
        prototypes = re.findall(r"(\w[\w\s]*?[\s*]+)(wsabi_\w+)\s*\(([^;{}]*)\)\s*;", HEADER)
        self.assertGreater(len(prototypes), 50)
        for result, name, parameters in prototypes:
            with self.subTest(name=name):
                function = getattr(_ffi, name)
                self.assertEqual(kind_of(function.restype), kind_in_c(result))
                self.assertEqual(
                    [kind_of(it) for it in function.argtypes],
                    [kind_in_c(it) for it in split(parameters)],
                )

    def test_structs_have_the_headers_size_and_fields(self) -> None:
        for name, struct in (
            ("event", _ffi.Event),
            ("message", _ffi.Message),
            ("stats", _ffi.Stats),
        ):
            body = re.search(rf"typedef struct wsabi_{name} \{{(.*?)\}}", HEADER, re.DOTALL)
            assert body is not None
            fields = re.findall(r"(\w+)\s*[;,]", body[1])
            self.assertEqual([field for field, *_ in struct._fields_], fields)
        self.assertEqual(ctypes.sizeof(_ffi.Event), 40 + 3 * ctypes.sizeof(ctypes.c_void_p))


def split(parameters: str) -> list[str]:
    """The parameters of a prototype, function pointers included."""
    if parameters.strip() in ("", "void"):
        return []
    flat = re.sub(r"\([^()]*\)\s*\([^()]*\)", "*function", parameters)
    return flat.split(",")


def kind_in_c(declaration: str) -> tuple[str, int]:
    """Integer or pointer, and its size: what calling conventions look at."""
    if "*" in declaration or "handler" in declaration:
        return "pointer", ctypes.sizeof(ctypes.c_void_p)
    for name, size in SIZES.items():
        if re.search(rf"\b{name}\b", declaration):
            return "integer", size
    raise AssertionError(f"unknown type: {declaration}")


def kind_of(declared: Any) -> tuple[str, int]:
    pointer = hasattr(declared, "contents") or issubclass(
        declared, (ctypes.c_void_p, ctypes.c_char_p, FUNCTION)
    )
    return "pointer" if pointer else "integer", ctypes.sizeof(declared)


FUNCTION = type(_ffi.wsabi_version).__mro__[1]
SIZES = {
    "int32_t": 4,
    "uint32_t": 4,
    "int64_t": 8,
    "uint64_t": 8,
    "size_t": ctypes.sizeof(ctypes.c_size_t),
    "wsabi_runtime": 8,
    "wsabi_options": 8,
    "wsabi_socket": 8,
    "wsabi_server": 8,
    "wsabi_request": 8,
}


class Library(unittest.TestCase):
    def test_another_abi_version_is_refused(self) -> None:
        other = types.SimpleNamespace(wsabi_abi_version=lambda: 4711)
        with self.assertRaises(ImportError) as caught:
            _library.check_abi_version(other)  # type: ignore[arg-type]
        self.assertIn("4711", str(caught.exception))

    def test_a_library_that_is_missing_is_named(self) -> None:
        done = support.run_script(
            "import os; os.environ['WSABI_LIBRARY'] = '/nowhere/libwsabi.so'; import wsabi"
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("ImportError: cannot load the wsabi library: /nowhere/libwsabi", done.stderr)
        self.assertIn("WSABI_LIBRARY", done.stderr)

    def test_a_library_beside_the_package_comes_before_the_systems(self) -> None:
        done = support.run_script(
            "import os, shutil, sys, tempfile\n"
            "from pathlib import Path\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    shutil.copytree(sys.argv[1] + '/wsabi', folder + '/wsabi')\n"
            "    shutil.copy(sys.argv[2], folder + '/wsabi/' + sys.argv[3])\n"
            "    os.environ.pop('WSABI_LIBRARY', None)\n"
            "    sys.path.insert(0, folder)\n"
            "    import wsabi\n"
            "    loaded = Path(wsabi._ffi._library._name)\n"
            "    print(loaded.parent == Path(folder).resolve() / 'wsabi')\n",
            str(support.PACKAGE),
            _ffi._library._name,
            _library.FILE_NAME,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "True\n", ""))

    def test_the_package_needs_nothing_but_the_standard_library(self) -> None:
        done = subprocess.run(
            [sys.executable, "-S", "-c", "import wsabi"],
            env=support.environment(),
            capture_output=True,
            timeout=support.DEADLINE,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))


if __name__ == "__main__":
    unittest.main()
