"""The test collection of the demo: documentation of the Python standard library."""

from hypencli.data.demo.collection import (
    DemoCollection,
    JudgedQueries,
    build_docstring_collection,
    write_docstring_collection,
)
from hypencli.data.demo.files import DemoFiles

__all__ = [
    "DemoCollection",
    "DemoFiles",
    "JudgedQueries",
    "build_docstring_collection",
    "write_docstring_collection",
]
