"""What is shipped: the version, the wheel, the public names."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hypencli
import hypestore


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that nothing is left in the checkout."""
    import shutil

    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("hypencli", "store", "recipes"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source],
        check=True,
        capture_output=True,
        timeout=240,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_changelog_starts_with_this_version(repository: Path) -> None:
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    top = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert top is not None
    assert top[1] == hypencli.__version__


def test_the_wheel_holds_both_packages_and_the_recipes(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "hypencli/__main__.py",
        "hypencli/py.typed",
        "hypencli/data/demo/questions.jsonl",
        "hypestore/__init__.py",
        "hypestore/py.typed",
    } <= names
    recipes = repository / "recipes"
    shipped = {
        f"hypencli/recipes/{path.relative_to(recipes).as_posix()}"
        for path in recipes.rglob("*.toml")
    }
    assert "hypencli/recipes/replicate/in-domain.toml" in shipped
    assert shipped <= names
    templates = repository / "hypencli" / "reporting" / "templates"
    assert {str(path.relative_to(repository)) for path in templates.iterdir()} <= names
    modules = {
        str(path.relative_to(repository / root))
        for root, package in ((".", "hypencli"), ("store", "hypestore"))
        for path in (repository / root / package).rglob("*.py")
    }
    assert modules <= names
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"hypencli", "hypestore"}


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    headers = email.message_from_bytes(archive.read(metadata))
    needs = headers.get_all("Requires-Dist") or []
    assert headers["Version"] == hypencli.__version__
    assert "duckdb<3,>=2" in needs
    assert "transformers<6,>=5.0" in needs
    assert {"ann", "bm25", "demo", "dev", "serve"} <= set(headers.get_all("Provides-Extra") or [])
    assert not [need for need in needs if "hnswlib" in need and "extra" not in need]
    for extra, packages in {"ann": 2, "bm25": 2, "faiss": 1, "hnsw": 1}.items():
        assert len([need for need in needs if f"extra == '{extra}'" in need]) == packages
    (points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert "hype = hypencli.__main__:main" in archive.read(points).decode()


def test_an_installed_wheel_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import hypencli, hypencli.recipe as recipe\n"
        "print(hypencli.__file__); print(recipe.recipes_folder())\n"
        "print(' '.join(one.name for one in recipe.list_recipes()))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    package, folder, names = done.stdout.splitlines()
    assert Path(package).is_relative_to(tmp_path)
    assert Path(folder) == tmp_path / "hypencli" / "recipes"
    assert {"demo", "tiny"} <= set(names.split())


@pytest.mark.parametrize("package", [hypencli, hypestore], ids=lambda package: package.__name__)
def test_public_names_are_there_and_sorted(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    for name in names:
        assert getattr(package, name) is not None
    assert names == sorted(names, key=_ruff_order)


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, classes, then the rest, each in alphabetical order."""
    if name.isupper():
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Hypencoders'"):
        hypencli.Hypencoders  # noqa: B018
