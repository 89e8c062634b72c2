"""The demo: the Python standard library's documentation as a test collection."""

from hypencli.data.demo.collection import (
    DemoCollection,
    DemoFiles,
    JudgedQueries,
    build_docstring_collection,
    write_docstring_collection,
)

__all__ = [
    "DemoCollection",
    "DemoFiles",
    "JudgedQueries",
    "build_docstring_collection",
    "write_docstring_collection",
]
