"""The package as others see it: its names, its imports, its errors, its specification."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hypestore as hs
from hypestore import errors
from hypestore.layout import FOLDERS


def test_the_public_names_are_these() -> None:
    visible = {
        name
        for name, value in vars(hs).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert set(hs.__all__) == visible
    assert len(hs.__all__) == len(set(hs.__all__))


def test_no_machine_learning_library_is_imported() -> None:
    code = (
        "import sys, hypestore; "
        "print([m for m in ('torch', 'transformers', 'hypencli', 'rich', 'typer') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, hs.StoreError)
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_public_and_drawn_in_the_tree(error: type[hs.StoreError]) -> None:
    assert getattr(hs, error.__name__) is error
    assert re.search(rf"(── |^ +){error.__name__} ", errors.__doc__ or "", re.MULTILINE)
    assert error.exit_code == 4
    raised = error("what is wrong", hint="what to do")
    assert str(raised) == "what is wrong\nwhat to do"
    assert str(error("only that")) == "only that"


@pytest.fixture(scope="module")
def specification(repository: Path) -> str:
    return (repository / "store" / "FORMAT.md").read_text(encoding="utf-8")


def test_the_specification_is_of_this_version(specification: str) -> None:
    assert f"format version {hs.FORMAT_VERSION}" in specification.splitlines()[0]


@pytest.mark.parametrize("kind", hs.KINDS)
def test_the_specification_names_every_folder(
    specification: str, store: hs.Store, kind: hs.Kind
) -> None:
    assert f"<store>/{FOLDERS[kind]}/<id>/" in specification
    assert f"`{kind}`" in specification
    assert (store.root / FOLDERS[kind]).is_dir()


def test_the_specification_lists_the_fields_of_a_manifest(specification: str) -> None:
    for field in hs.Manifest.model_fields:
        assert f'"{field}":' in specification
