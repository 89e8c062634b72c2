"""The q-net of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hypencli import HypencoderDualEncoder
from hypencli.errors import ModelError
from hypencli.models.qnets.registry import SHIPPED_CONVERTERS, resolve_converter
from hypencli.ops.models import model_folder
from hypestore import Store
from tests.conftest import Hype
from tests.docs.installing import Example

CONVERTER = "my_nets:HiddenAndDirection"


@pytest.fixture
def commands(
    example: Callable[[str], Example],
    tiny_backbone: Path,
    tiny_collection: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[list[str]]:
    """What the page types, in a folder with its recipe, on a backbone 32 wide."""
    section = example("A q-net")
    assert "width = 384" in section.recipe
    recipe = section.recipe.replace("384", "32")
    (tmp_path / "mine.toml").write_text(recipe, encoding="utf-8")
    shutil.copy(tiny_collection / "train.jsonl", tmp_path)
    shutil.copy(tiny_collection / "corpus.jsonl", tmp_path / "docs.jsonl")
    monkeypatch.chdir(tmp_path)
    return [
        [word.replace("FOLDER", str(tiny_backbone)) for word in command]
        for command in section.commands
    ]


@pytest.mark.usefixtures("site")
def test_what_the_page_types_trains_encodes_and_answers(
    commands: list[list[str]], hype: Hype, tmp_path: Path
) -> None:
    root = tmp_path / "study"
    assert hype("init", root).code == 0
    assert [command[0] for command in commands] == ["train", "encode", "query"]
    for command in commands:
        steps = ["--set", "training.steps=2"] if command[0] == "train" else []
        done = hype(*command, *steps, "--store", root, "--json")
        assert done.code == 0, done.err
    assert len(done.json["hits"]) > 0
    store = Store.open(root)
    dual = HypencoderDualEncoder.from_pretrained(model_folder(store, store.get("mine")))
    converter = dual.query_encoder.weight_to_model_converter
    assert type(converter).__name__ == "HiddenAndDirection"
    assert converter.weight_shapes == [(32, 64), (64, 1), (32, 1)]


@pytest.mark.usefixtures("site")
def test_it_computes_what_its_docstring_says() -> None:
    converter = resolve_converter(CONVERTER, {"width": 3, "hidden": 2})
    generator = torch.Generator().manual_seed(0)
    shapes = [*converter.weight_shapes, *converter.bias_shapes]
    a, v, u, b = (torch.randn(1, *shape, generator=generator) for shape in shapes)
    x = torch.randn(1, 4, 3, generator=generator)
    hidden = torch.nn.functional.gelu(x[0] @ a[0] + b[0].T)
    wanted = (hidden @ v[0] + x[0] @ u[0])[None]
    torch.testing.assert_close(converter([a, v, u], [b], False)(x), wanted)


@pytest.mark.usefixtures("examples_on_path")
def test_what_is_not_installed_is_refused_before_it_is_imported(
    commands: list[list[str]], hype: Hype, tmp_path: Path
) -> None:
    root = tmp_path / "study"
    assert hype("init", root).code == 0
    refused = hype(*commands[0], "--store", root)
    assert (refused.code != 0, CONVERTER in refused.err) == (True, True)
    with pytest.raises(ModelError, match=CONVERTER):
        resolve_converter(CONVERTER, {"width": 32})
    assert "my_nets" not in sys.modules
    assert resolve_converter(CONVERTER, {"width": 32}, trust_code=True).bias_shapes == [(64, 1)]


def test_every_shipped_converter_is_listed(repository: Path) -> None:
    page = (repository / "docs" / "q-nets.md").read_text(encoding="utf-8")
    for name in SHIPPED_CONVERTERS:
        assert f"| `{name}` |" in page
