"""Converters of a user's own: no file decides that their code runs."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypencli import api, plugins
from hypencli.errors import ModelError
from hypencli.models.qnets.registry import CONVERTERS_GROUP, resolve_converter
from hypestore.manifest import SEAL, seal_of

CODE = """
open({canary!r}, "a").close()


class Diagonal:
    def __init__(self, width=32):
        self.weight_shapes = [(width, 1)]
        self.bias_shapes = []

    def __call__(self, matrices, vectors, is_training):
        return lambda items: items @ matrices[0]


class Other(Diagonal):
    pass


def made(**options):
    return Diagonal()
"""
MODULE = "somebodys_q_nets"
NAME = f"{MODULE}:Diagonal"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """There once the module was imported."""
    return tmp_path / "imported"


@pytest.fixture
def module(tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module on the path, as the current folder or PYTHONPATH is."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(CODE.format(canary=str(ran)), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(MODULE, None)
    yield folder
    sys.modules.pop(MODULE, None)


def offer(folder: Path, value: str = NAME, direct_url: dict[str, Any] | None = None) -> None:
    """Metadata as pip writes it, of a package that offers a converter."""
    home = folder / "somebodys_q_nets-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Name: somebodys-q-nets\nVersion: 1.0\n", encoding="utf-8")
    text = f"[{CONVERTERS_GROUP}]\ndiagonal = {value}\n"
    (home / "entry_points.txt").write_text(text, encoding="utf-8")
    if direct_url is not None:
        (home / "direct_url.json").write_text(json.dumps(direct_url), encoding="utf-8")


def install_in(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let packages be installed in these folders."""
    places = {folder.resolve() for folder in folders}
    monkeypatch.setattr(plugins, "_install_folders", lambda: places)


def test_a_module_on_the_path_is_not_an_installed_package(module: Path, ran: Path) -> None:
    with pytest.raises(ModelError, match="runs that module's code") as caught:
        resolve_converter(NAME, {})
    assert "`trust_code=True`" in str(caught.value.hint)
    assert not ran.exists()
    assert resolve_converter(NAME, {}, trust_code=True)
    assert ran.exists()


def test_metadata_on_the_path_does_not_make_it_one(module: Path, ran: Path) -> None:
    offer(module)
    with pytest.raises(ModelError):
        resolve_converter(NAME, {})
    assert not ran.exists()


def test_an_installed_package_offers_its_converter(
    module: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(module)
    install_in(monkeypatch, module)
    assert list(resolve_converter(NAME, {"width": 4}).weight_shapes) == [(4, 1)]
    assert ran.exists()


@pytest.mark.parametrize(
    "name", [f"{MODULE}:Other", f"{MODULE}:made", "subprocess:Popen", "os:system", "antigravity:x"]
)
def test_only_what_it_offers_is_taken(
    module: Path, ran: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any installed module with any options would be as good as code: a command for ``Popen``."""
    offer(module)
    install_in(monkeypatch, module)
    with pytest.raises(ModelError):
        resolve_converter(name, {"args": ["touch", str(ran)]})
    assert not ran.exists()


def test_what_it_offers_must_be_a_class(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(module, f"{MODULE}:made")
    install_in(monkeypatch, module)
    with pytest.raises(ModelError):
        resolve_converter(f"{MODULE}:made", {})


def test_a_module_of_the_same_name_before_it_is_not_taken(
    module: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder comes first on the path: its module would be the one imported."""
    offer(module)
    install_in(monkeypatch, module)
    here = tmp_path / "here"
    here.mkdir()
    (here / f"{MODULE}.py").write_text(CODE.format(canary=str(ran)), encoding="utf-8")
    monkeypatch.syspath_prepend(str(here))
    with pytest.raises(ModelError):
        resolve_converter(NAME, {})
    assert not ran.exists()


def test_a_package_installed_to_be_edited_is_installed(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "metadata"
    metadata.mkdir()
    monkeypatch.syspath_prepend(str(metadata))
    install_in(monkeypatch, metadata)
    offer(metadata, direct_url={"url": module.as_uri(), "dir_info": {"editable": True}})
    assert resolve_converter(NAME, {})


@pytest.fixture
def named(study: Path) -> hs.Store:
    """A store that came from somebody: its model names code, and says that it is trusted."""
    store = hs.Store.open(study)
    model = store.get("hyper", "model")
    path = store.path(model) / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["query_encoder_kwargs"]["converter_kwargs"] = {"width": 32}
    raw["query_encoder_kwargs"]["converter"] = NAME
    path.write_text(json.dumps(raw), encoding="utf-8")
    listed = store.path(model) / "manifest.json"
    manifest = json.loads(listed.read_text(encoding="utf-8"))
    (record,) = (one for one in manifest["files"] if one["path"] == path.name)
    content = path.read_bytes()
    record |= {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["provenance"][SEAL] = seal_of(manifest)
    listed.write_text(json.dumps(manifest), encoding="utf-8")
    return hs.Store.open(study)


def test_no_verb_runs_what_a_store_names(
    hype: Callable[..., Any],
    named: hs.Store,
    module: Path,
    ran: Path,
    tiny_collection: Path,
    tmp_path: Path,
) -> None:
    model, place = named.get("hyper", "model"), ("--store", named.root)
    queries = tiny_collection / "queries.jsonl"
    folder = named.path(model)
    verbs: list[list[object]] = [
        ["encode", queries, "--model", "hyper", *place],
        ["search", queries, "--model", "hyper", "--k", 3, *place],
        ["query", "river", "--model", "hyper", *place],
        ["calibrate", queries, "--model", "hyper", *place],
        ["graph", "--model", "hyper", "--k", 5, "--calibrate", "--queries", queries, *place],
        ["export", "model", "hyper", "--output", tmp_path / "out", *place],
        ["import", "model", folder, "--name", "again", *place],
    ]
    for verb in verbs:
        shown = hype(*verb)
        assert (shown.code, ran.exists()) == (6, False), verb
        assert NAME in shown.err
        assert "--trust-code" in shown.err
    with pytest.raises(ModelError, match=NAME):
        api.load(folder)
    with pytest.raises(ModelError, match=NAME):
        api.open_store(named.root).query("river", model="hyper")
    assert not ran.exists()


def test_a_recipe_cannot_name_code_either(
    hype: Callable[..., Any], module: Path, ran: Path, tiny_recipe_settings: list[str], study: Path
) -> None:
    settings = ["--set", f"model.converter.name={NAME}", "--set", "model.converter.layers=none"]
    shown = hype("train", "tiny", *tiny_recipe_settings, *settings, "--store", study)
    assert (shown.code, ran.exists()) == (6, False)
    assert "--set model.trust_code=true" in shown.err
