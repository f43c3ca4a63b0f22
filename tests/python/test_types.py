"""The package and what uses it pass mypy, where it is strict."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import support


@support.needs("mypy", importlib.util.find_spec("mypy"))
class Types(unittest.TestCase):
    def test_the_package_is_typed(self) -> None:
        self.assertChecks(support.PACKAGE / "wsabi")
        self.assertTrue((support.PACKAGE / "wsabi" / "py.typed").is_file())

    def test_what_a_program_gets_has_the_types_that_it_expects(self) -> None:
        self.assertChecks(Path(__file__).with_name("typed_program.py"))

    def test_the_examples_are_typed(self) -> None:
        # Packages that some of them use need not be installed.
        tolerance = "--ignore-missing-imports", "--no-warn-unused-ignores"
        for example in sorted((support.CHECKOUT / "examples" / "python").glob("*.py")):
            with self.subTest(example.name):
                self.assertChecks(example, *tolerance)

    def assertChecks(self, path: Path, *arguments: str) -> None:
        result = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--cache-dir", self.cache, *arguments, path],
            env=support.environment(),
            cwd=self.cache,
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.cache = directory.name


if __name__ == "__main__":
    unittest.main()
