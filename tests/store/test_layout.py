"""``hype.toml``: finding a store, its defaults, its version."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypestore.layout import write_default


def test_a_new_store_is_found_from_below(store: hs.Store, tmp_path: Path) -> None:
    deep = store.root / "embeddings" / "x" / "y"
    deep.mkdir(parents=True)
    assert hs.find_store(deep) == store.root
    assert hs.find_store(store.root) == store.root
    assert hs.Store.open(store.root).root == store.root
    assert tomllib.loads((store.root / "hype.toml").read_text())["format_version"] == 1


def test_the_current_folder_is_where_to_begin(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.root / "runs")
    assert hs.find_store() == store.root


def test_not_found_lists_every_place(tmp_path: Path) -> None:
    start = tmp_path / "a" / "b"
    start.mkdir(parents=True)
    with pytest.raises(hs.StoreNotFound) as caught:
        hs.find_store(start)
    for place in (start, start.parent, tmp_path, Path("/")):
        assert str(place / "hype.toml") in caught.value.message
    assert "hype init" in str(caught.value.hint)


def test_an_explicit_place_is_the_only_one(store: hs.Store) -> None:
    below = store.root / "runs"
    with pytest.raises(hs.StoreNotFound) as caught:
        hs.find_store(start=store.root, explicit=below)
    assert caught.value.message.count("hype.toml") == 1


def test_a_store_is_made_once(store: hs.Store) -> None:
    with pytest.raises(hs.StoreExists, match="already"):
        hs.Store.create(store.root)


def test_invariant_7_a_newer_store_is_refused_and_left_alone(
    store: hs.Store, snapshot: Callable[[Path], object]
) -> None:
    marker = store.root / "hype.toml"
    text = marker.read_text().replace("format_version = 1", "format_version = 12")
    marker.write_text(text.replace("0.1", "3.4"))
    before = snapshot(store.root)
    with pytest.raises(hs.StoreVersionError) as caught:
        hs.Store.open(store.root)
    assert "version 12 is needed" in caught.value.message
    assert "hypencli >= 3.4" in caught.value.message
    assert snapshot(store.root) == before


@pytest.mark.parametrize("text", ["x = ", "format_version = 'one'", "", "format_version = 0"])
def test_a_marker_that_cannot_be_read_is_damage(store: hs.Store, text: str) -> None:
    (store.root / "hype.toml").write_text(text)
    with pytest.raises(hs.DamagedArtifact, match=r"hype\.toml"):
        hs.Store.open(store.root)


def test_a_marker_that_is_not_utf8_is_damage(store: hs.Store) -> None:
    (store.root / "hype.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(hs.DamagedArtifact, match=r"hype\.toml"):
        hs.Store.open(store.root)


def test_defaults_are_set_and_everything_else_stays(store: hs.Store) -> None:
    marker = store.root / "hype.toml"
    marker.write_text(
        "# mine\nformat_version = 1\n\n[defaults]  # here\n"
        'device = "cpu"  # no GPU\n\n[other]\nmodel = "x"\n'
    )
    store.set_default("model", "big")
    store.set_default("corpus", "vaswani")
    store.set_default("model", "small")
    assert dict(store.defaults) == {"device": "cpu", "model": "small", "corpus": "vaswani"}
    text = marker.read_text()
    assert "# mine" in text
    assert 'device = "cpu"  # no GPU' in text
    assert text.endswith('[other]\nmodel = "x"\n')


def test_defaults_without_their_table_get_one(store: hs.Store) -> None:
    (store.root / "hype.toml").write_text("format_version = 1\n")
    store.set_default("queries", "topics")
    assert dict(store.defaults) == {"queries": "topics"}


def test_a_marker_written_another_way_is_not_guessed_at(store: hs.Store) -> None:
    text = 'format_version = 1\ndefaults = {model = "a"}\n'
    (store.root / "hype.toml").write_text(text)
    with pytest.raises(hs.DamagedArtifact):
        store.set_default("model", "b")
    assert (store.root / "hype.toml").read_text() == text


@pytest.mark.parametrize("text", ["", "format_version = ", "[defaults]\n"])
def test_a_marker_that_was_cut_short_says_what_it_needs(store: hs.Store, text: str) -> None:
    marker = store.root / "hype.toml"
    marker.write_text(text)
    with pytest.raises(hs.DamagedArtifact, match=r"hype\.toml") as caught:
        hs.Store.open(store.root)
    line = str(caught.value.hint).split("`")[1]
    marker.write_text(line)
    assert hs.Store.open(store.root).artifacts() == []


def test_an_unknown_default_is_refused_with_the_known_ones(store: hs.Store) -> None:
    with pytest.raises(hs.InvalidContent, match="colour") as caught:
        store.set_default("colour", "red")
    assert caught.value.hint == "Known: model, corpus, queries, device."


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_string_is_a_default(tmp_path: Path, value: str) -> None:
    marker = tmp_path / "hype.toml"
    marker.write_text("format_version = 1\n[defaults]\n")
    write_default(marker, "model", value)
    assert tomllib.loads(marker.read_text(encoding="utf-8"))["defaults"] == {"model": value}
