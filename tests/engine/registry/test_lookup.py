"""Engines by name: shipped ones, and what packages offer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hypencli import plugins
from hypencli.engine.registry.lookup import (
    GROUP,
    SHIPPED,
    engine_entries,
    engine_entry,
    engine_names,
)
from hypencli.errors import UsageError


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_engine_has_the_name_that_it_is_found_by(name: str) -> None:
    entry = engine_entry(name)
    assert entry.name == name
    assert entry.summary
    assert all(option.help for option in entry.describe())


def test_what_an_engine_needs_is_among_its_options() -> None:
    for entry in engine_entries():
        fields = {option.name for option in entry.describe()}
        assert {need for need in entry.needs if need != "index"} <= fields
        assert set(entry.amounts) <= fields
        for setting in (*entry.settings, *entry.presets.values()):
            entry.parse(setting)


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no engine 'giuded'") as caught:
        engine_entry("giuded")
    assert "Did you mean 'guided'" in str(caught.value.hint)


def test_a_package_cannot_stand_for_a_shipped_engine_or_offer_what_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "others-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Name: others\nVersion: 1.0\n", encoding="utf-8")
    text = f"[{GROUP}]\nexact = their_engines:EXACT\nother = their_engines:EXACT\n"
    (home / "entry_points.txt").write_text(text, encoding="utf-8")
    (tmp_path / "their_engines.py").write_text("EXACT = 'none'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_install_folders", lambda: {tmp_path.resolve()})
    assert engine_names() == [*SHIPPED, "other"]
    assert engine_entry("exact").name == "exact"
    assert "their_engines" not in sys.modules
    with pytest.raises(UsageError, match="no engine: 'none'"):
        engine_entry("other")
    sys.modules.pop("their_engines")
