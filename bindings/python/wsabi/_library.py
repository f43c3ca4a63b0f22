"""Finds the shared library, loads it, and refuses one whose ABI is another."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

ABI_VERSION = 1


def load() -> ctypes.CDLL:
    """The library: `WSABI_LIBRARY`, or else the first of the usual places that has one."""
    chosen = os.environ.get("WSABI_LIBRARY")
    path = chosen or _path() or FILE_NAME
    try:
        # CDLL and not PyDLL: ending a runtime waits for handlers, and handlers need the GIL.
        library = ctypes.CDLL(path)
    except OSError as error:
        hint = "WSABI_LIBRARY names it" if chosen else "set WSABI_LIBRARY to its path"
        raise ImportError(f"cannot load the wsabi library: {error} ({hint})") from error
    check_abi_version(library)
    return library


def check_abi_version(library: ctypes.CDLL) -> None:
    """Raises ImportError where the library's ABI is not the one that is declared in `_ffi`."""
    version = library.wsabi_abi_version()
    if version != ABI_VERSION:
        raise ImportError(
            f"the wsabi library has ABI version {version}, and this package needs {ABI_VERSION}"
        )


def _path() -> str | None:
    """The library beside this package, or the one that its source checkout has built."""
    package = Path(__file__).resolve().parent
    places = [package]
    if len(package.parents) > 2 and (package.parents[2] / "Cargo.toml").is_file():
        places.append(package.parents[2] / "target" / "release")
    for place in places:
        path = place / FILE_NAME
        if path.is_file():
            return str(path)
    return None


if sys.platform == "win32":
    FILE_NAME = "wsabi.dll"
elif sys.platform == "darwin":
    FILE_NAME = "libwsabi.dylib"
else:
    FILE_NAME = "libwsabi.so"
