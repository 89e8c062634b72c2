"""Seals of places: only the account that recorded a place can make its seal."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.own_places import SEALS, is_own_place, key_file, place_seal, place_seals


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_seal_fits_its_place_alone(account: Path) -> None:
    seals = place_seals(qrels="/a/qrels.txt", queries=None)[SEALS]
    assert list(seals) == ["qrels"]
    assert is_own_place(seals, "qrels", "/a/qrels.txt")
    assert not is_own_place(seals, "qrels", "/etc/passwd")
    assert not is_own_place({"queries": seals["qrels"]}, "queries", "/a/qrels.txt")
    assert place_seals(queries=None) == {}


def test_another_account_has_another_key(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = place_seal("qrels", "/a/qrels.txt")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert not is_own_place({"qrels": seal}, "qrels", "/a/qrels.txt"), "no key yet"
    assert place_seal("qrels", "/a/qrels.txt") != seal
    assert not is_own_place({"qrels": seal}, "qrels", "/a/qrels.txt")


@pytest.mark.parametrize("seals", [None, 3, "x", [], {"qrels": None}, {"qrels": 1}, {"qrels": "é"}])
def test_what_is_no_seal_fits_nothing(account: Path, seals: object) -> None:
    place_seal("qrels", "/a")
    assert not is_own_place(seals, "qrels", "/a")


def test_only_the_account_reads_the_key(account: Path) -> None:
    place_seal("qrels", "/a")
    assert key_file().stat().st_mode & 0o077 == 0
    assert [path.name for path in key_file().parent.iterdir()] == ["key"]


def test_without_a_folder_to_write_there_is_no_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert place_seal("qrels", "/a") is None
    assert place_seals(qrels="/a") == {}


def test_a_damaged_key_makes_no_seal_and_stays(account: Path) -> None:
    seal = place_seal("qrels", "/a")
    key_file().write_text("not a key\n", encoding="utf-8")
    assert place_seal("qrels", "/a") is None
    assert not is_own_place({"qrels": seal}, "qrels", "/a")
    assert key_file().read_text(encoding="utf-8") == "not a key\n"


def test_without_a_home_there_is_no_seal_and_no_key_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "given")
    monkeypatch.chdir(tmp_path)
    assert place_seal("qrels", "/a") is None
    key = tmp_path / "given/.local/state/hype/key"
    assert not key.exists()
    key.parent.mkdir(parents=True)
    key.write_text("0" * 64, encoding="ascii")
    assert place_seal("qrels", "/a") is None, "a key of somebody else"
