"""The rules of the tree: no import circle, small folders, one name for one thing, small functions.

The order of the packages themselves is a rule of import-linter, in ``pyproject.toml``. What a test
here refuses is to be mended; an exception is listed with its reason, and goes when it is needed no
more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.structure import MAX_LINES, MAX_MODULES, MAX_PARAMETERS, Structure, circles

MIRRORED = {"tests": "hypencli", "tests/store": "store/hypestore"}
"""Folder of tests -> the folder whose modules they test; their sub-folders mirror each other."""

CROSS_CUTTING = {
    "contract": "what every engine, source or reader has to hold to",
    "docs": "what the documentation says and shows",
    "e2e": "commands in processes of their own: signals, crashes, stores of earlier versions",
    "oracle": "figures and files of others, as published",
    "regress": "defects of published files and code, each kept out",
    "security": "what every verb does with hostile text and values",
    "samples": "files, no tests",
}

OWN_NAMES = {
    "tests/test_structure.py": "about the whole tree",
    "tests/test_suite.py": "about the suite itself",
}
"""Tests in a mirrored folder that are about no module of it."""

SHARED_CLASS_NAMES: dict[str, str] = {}
"""Name of a class in several modules -> why they have one name."""

LONG_FUNCTIONS = {
    "hypencli.cli.verbs.search.search:search": "options of every engine, to be split",
}
"""Function above the limit of lines -> why. The signature of a verb is not counted."""

WIDE_SIGNATURES = {
    "hypencli.models.dual:DualEncoder.forward": "the tensors of a batch, passed by name",
}
"""Function above the limit of parameters -> why; verbs are free, as their options are these."""


@pytest.fixture(scope="module")
def structure(repository: Path) -> Structure:
    return Structure(repository)


@pytest.fixture(scope="module")
def long_functions(structure: Structure) -> dict[str, int]:
    """Functions above the limit -> lines that count."""
    lines = {one.name: one.body_lines if one.is_verb else one.lines for one in structure.functions}
    return {name: count for name, count in lines.items() if count > MAX_LINES}


@pytest.fixture(scope="module")
def wide_signatures(structure: Structure) -> dict[str, int]:
    """Functions above the limit -> parameters."""
    functions = (one for one in structure.functions if not one.is_verb)
    return {one.name: one.parameters for one in functions if one.parameters > MAX_PARAMETERS}


def test_all_modules_are_seen(structure: Structure) -> None:
    assert structure.modules.keys() >= {"hypencli.__main__", "hypencli.ops", "hypestore.store"}
    assert "hypestore.errors" in structure.imports["hypestore.files"]
    assert "hypencli.ops" in structure.packages


def test_circles_are_noticed() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}
    frozen = {name: frozenset(targets) for name, targets in graph.items()}
    assert circles(frozen) == [["a", "b", "c"]]
    assert circles({**frozen, "c": frozenset("d")}) == []


def test_no_import_circle(structure: Structure) -> None:
    """Imports within functions and for type checks are counted too."""
    assert circles(structure.imports) == []


def test_no_import_circle_between_the_parts_of_a_package(structure: Structure) -> None:
    """``ops.search`` and ``ops.graphs``, say: one of two rooms stands above the other."""
    groups = {one: circles(structure.imports_between_parts(one)) for one in structure.packages}
    assert {package: group for package, group in groups.items() if group} == {}


def test_no_folder_is_crowded(structure: Structure) -> None:
    folders = structure.folders
    assert len(folders) > 30
    assert {folder: count for folder, count in folders.items() if count > MAX_MODULES} == {}


def test_every_test_is_named_after_what_it_tests(repository: Path) -> None:
    """``tests/a/test_b_topic.py`` tests ``hypencli/a/b.py`` or the package ``hypencli/a/b``."""
    strangers, seen = [], 0
    for path in sorted((repository / "tests").rglob("test_*.py")):
        name = path.relative_to(repository)
        if name.parts[1] in CROSS_CUTTING or name.as_posix() in OWN_NAMES:
            continue
        tested = repository / _mirrored(name.parent)
        stem = path.stem.removeprefix("test_")
        modules = {one.stem for one in tested.glob("*") if one.suffix == ".py" or one.is_dir()}
        seen += 1
        if not any(stem == module or stem.startswith(f"{module}_") for module in modules):
            strangers.append(f"{name}: no module or package of {_mirrored(name.parent)}")
    assert strangers == []
    assert seen > 100


def _mirrored(folder: Path) -> Path:
    """The folder whose modules the tests of a folder test."""
    mirror = "tests/store" if folder.is_relative_to("tests/store") else "tests"
    return Path(MIRRORED[mirror]) / folder.relative_to(mirror)


def test_no_class_name_stands_for_two_things(structure: Structure) -> None:
    several = {name: places for name, places in structure.classes.items() if len(places) > 1}
    assert {name: several[name] for name in several.keys() - SHARED_CLASS_NAMES.keys()} == {}


def test_functions_are_short(long_functions: dict[str, int]) -> None:
    unlisted = long_functions.keys() - LONG_FUNCTIONS.keys()
    assert {name: long_functions[name] for name in unlisted} == {}


def test_signatures_are_narrow(wide_signatures: dict[str, int]) -> None:
    unlisted = wide_signatures.keys() - WIDE_SIGNATURES.keys()
    assert {name: wide_signatures[name] for name in unlisted} == {}


def test_every_exception_is_still_needed(
    structure: Structure, long_functions: dict[str, int], wide_signatures: dict[str, int]
) -> None:
    assert LONG_FUNCTIONS.keys() <= long_functions.keys()
    assert WIDE_SIGNATURES.keys() <= wide_signatures.keys()
    assert all(len(structure.classes[name]) > 1 for name in SHARED_CLASS_NAMES)
