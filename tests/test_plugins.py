"""What installed packages offer: entry points of packages that were installed, and no others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli import plugins

GROUP = "hypencli.tests"
MODULE = "somebodys_parts"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that exists once the module was imported."""
    return tmp_path / "imported"


@pytest.fixture
def folder(tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with a module and the metadata of a package that offers two parts."""
    folder = tmp_path / "site"
    home = folder / "somebodys_parts-1.0.dist-info"
    home.mkdir(parents=True)
    code = f"open({str(ran)!r}, 'a').close()\nfirst = 'one'\nsecond = 'two'\nthird = 'three'\n"
    (folder / f"{MODULE}.py").write_text(code, encoding="utf-8")
    (home / "METADATA").write_text("Name: somebodys-parts\nVersion: 1.0\n", encoding="utf-8")
    points = f"[{GROUP}]\nsecond = {MODULE} : second\nfirst = {MODULE}:first\n"
    (home / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop(MODULE, None)


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as one where packages are installed."""
    monkeypatch.setattr(plugins, "_install_folders", lambda: {folder.resolve()})
    return folder


def test_an_installed_package_offers_its_parts_by_name(installed: Path, ran: Path) -> None:
    assert plugins.offered_names(GROUP) == ["first", "second"]
    assert not ran.exists()
    assert plugins.offered(GROUP, "first") == "one"
    assert ran.exists()


def test_a_part_is_found_by_what_it_points_to(installed: Path) -> None:
    assert plugins.offered(GROUP, f"{MODULE}:second") == "two"


def test_only_what_is_offered_in_the_group_is_taken(installed: Path, ran: Path) -> None:
    assert plugins.offered(GROUP, f"{MODULE}:third") is None
    assert plugins.offered(GROUP, "os:system") is None
    assert plugins.offered("hypencli.others", "first") is None
    assert plugins.offered_names("hypencli.others") == []
    assert not ran.exists()


def test_metadata_on_the_path_is_not_an_installed_package(folder: Path, ran: Path) -> None:
    assert plugins.offered_names(GROUP) == []
    assert plugins.offered(GROUP, "first") is None
    assert not ran.exists()


def test_a_module_of_the_same_name_before_it_is_not_taken(
    installed: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder comes first on the path: its module would be the one imported."""
    current = tmp_path / "current"
    current.mkdir()
    (current / f"{MODULE}.py").write_text((installed / f"{MODULE}.py").read_text("utf-8"), "utf-8")
    monkeypatch.syspath_prepend(str(current))
    assert plugins.offered(GROUP, "first") is None
    assert not ran.exists()


def test_the_folders_of_this_interpreter_are_install_folders() -> None:
    assert Path(pytest.__file__).resolve().parents[1] in plugins._install_folders()
