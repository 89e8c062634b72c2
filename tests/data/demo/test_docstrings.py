"""Which symbols of a library are documented, read from its sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.data.demo.docstrings import read_symbols
from hypencli.errors import DataError


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library of a few files."""
    files = {
        "plain.py": '''"""A module with a docstring."""
import os

if os.name == "posix":
    def chosen(a, *, key: str = "x") -> None:
        """One of two definitions."""

def _hidden():
    """A private function, which nobody reads."""

class Box(list):
    """A class with a constructor.

    And a second paragraph.
    """
    def __init__(self, size=3, **options):
        """Make a box of some size."""
    @property
    def lid(self):
        """The lid of the box, if any."""
    @staticmethod
    def make(n):
        """Make a box without a box."""
    def _inner(self):
        """Private, so not documented."""
    def short(self):
        """Too short."""
    def again(self):
        """One of two definitions."""
''',
        "pack/__init__.py": "from .inner import *\nfrom pack._private import given\n",
        "pack/inner.py": '__all__ = ["shown"]\ndef shown():\n    """Shown by the package."""\n'
        'def kept():\n    """Known by its own module only."""\n',
        "pack/_private.py": 'def given():\n    """Handed on by the package."""\n'
        'def taken():\n    """Handed on by nobody at all."""\n',
        "_pyio.py": '__all__ = ["open"]\ndef open(file):\n    """Open a file and read it."""\n',
        "test/test_plain.py": '"""A test, which is not documentation."""',
        "site-packages/other.py": '"""Another project, not the library."""',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_symbols_are_public_documented_names(library: Path) -> None:
    assert [(symbol.name, symbol.kind) for symbol in read_symbols(library)] == [
        ("io.open", "function"),
        ("pack.given", "function"),
        ("pack.inner.kept", "function"),
        ("pack.shown", "function"),
        ("plain", "module"),
        ("plain.Box", "class"),
        ("plain.Box.again", "method"),
        ("plain.Box.lid", "method"),
        ("plain.Box.make", "method"),
    ]


def test_signatures_are_those_a_reader_sees(library: Path) -> None:
    signatures = {symbol.name: symbol.signature for symbol in read_symbols(library)}

    assert signatures["plain.Box"] == "class plain.Box(size=3, **options)"
    assert signatures["plain.Box.lid"] == "plain.Box.lid"
    assert signatures["plain.Box.make"] == "plain.Box.make(n)"


def test_a_definition_under_a_condition_is_found(library: Path) -> None:
    (library / "plain.py").write_text(
        "try:\n    import nothing\nexcept ImportError:\n"
        '    def chosen(a, /, b=1, *c, key: str = "x"):\n        """Defined in a handler."""\n',
        encoding="utf-8",
    )

    actual = {symbol.name: symbol for symbol in read_symbols(library)}

    assert actual["plain.chosen"].signature == "plain.chosen(a, b=1, *c, key='x')"


def test_a_library_without_sources_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no documented Python source"):
        read_symbols(tmp_path)
