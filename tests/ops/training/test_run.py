from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from hypencli.errors import DataError, ModelError, RecipeError, UsageError
from hypencli.models.load import load_dual_encoder
from hypencli.ops.models import model_facts
from hypencli.ops.training.run import TrainedModel, train
from hypencli.recipe import load_recipe
from hypestore import NameTaken, Store

Train = Callable[..., TrainedModel]

OWN_CONVERTER = '''
from torch import nn
import torch


class Scaled(nn.Module):
    """One matrix, times a number that is learned."""

    weight_shapes = [(32, 1)]
    bias_shapes = []

    def __init__(self, start):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(start)))

    def forward(self, matrices, vectors, is_training):
        return lambda items: self.scale * (items @ matrices[0])
'''


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    torch.set_num_threads(1)
    # The environment variable is read once, when the library is imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return Store.create(tmp_path / "store")


@pytest.fixture
def train_tiny(store: Store, tiny_backbone: Path, tiny_collection: Path) -> Train:
    """Train the recipe ``tiny`` for two steps, or as overrides say."""

    def run(*overrides: str, **options: Any) -> TrainedModel:
        recipe = load_recipe(
            "tiny",
            [
                f"model.backbone={tiny_backbone}",
                f"data.train={tiny_collection / 'train.jsonl'}",
                "training.steps=2",
                "training.logging_steps=1",
                *overrides,
            ],
        )
        return train(store, recipe, **options)

    return run


def test_a_model_lands_in_the_store(store: Store, train_tiny: Train) -> None:
    trained = train_tiny(name="first")
    manifest = store.get("first", kind="model")
    assert (trained.model_id, trained.name, trained.existing) == (manifest.id, "first", False)
    assert trained.path == store.path(manifest)
    assert (trained.steps, trained.n_rows, trained.recipe) == (2, 96, "tiny")
    files = {record.path for record in manifest.files}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "recipe.toml",
        "training.parquet",
        "README.md",
    } <= files
    assert not any(path.startswith("unfinished") for path in files)
    assert manifest.inputs["architecture"] == "hypencoder"
    assert manifest.inputs["backbone"] == "tiny-bert"
    assert manifest.inputs["data"] == "train.jsonl"
    assert manifest.provenance["seed"] == 42
    assert manifest.stats["final_loss"] == trained.final_loss


def test_what_is_saved_is_what_was_trained(store: Store, train_tiny: Train) -> None:
    trained = train_tiny()
    dual, tokenizer = load_dual_encoder(trained.path)
    stats = store.get(trained.model_id).stats
    for key, value in model_facts(dual, tokenizer).items():
        assert stats[key] == value


def test_recipe_curves_and_card_lie_beside_the_weights(store: Store, train_tiny: Train) -> None:
    trained = train_tiny()
    recipe = load_recipe(trained.path / "recipe.toml")
    assert recipe.hash == store.get(trained.model_id).inputs["recipe_hash"]
    curves = pq.read_table(trained.path / "training.parquet").to_pylist()
    losses = [point["value"] for point in curves if point["name"] == "loss"]
    assert len(losses) == 2
    assert losses[-1] == trained.final_loss
    rows = store.catalog.query(
        f"SELECT step, value FROM training_curves WHERE model = '{trained.model_id}' "
        "AND name = 'loss' ORDER BY step"
    ).rows
    assert [value for _, value in rows] == pytest.approx(losses)
    card = (trained.path / "README.md").read_text(encoding="utf-8")
    assert "tiny-bert" in card
    assert "96 rows" in card


def test_the_same_command_twice_trains_once(
    store: Store, train_tiny: Train, tiny_collection: Path, tmp_path: Path
) -> None:
    first = train_tiny(name="first")
    again = train_tiny()
    assert again.existing
    assert again.model_id == first.model_id
    moved = tmp_path / "elsewhere" / "train.jsonl"
    moved.parent.mkdir()
    shutil.copy(tiny_collection / "train.jsonl", moved)
    assert train_tiny(f"data.train={moved}").existing
    assert len(store.artifacts("model")) == 1


@pytest.mark.parametrize(
    "override",
    ["training.seed=1", "training.steps=1", "data.query_max_length=16", "model.pooling=cls"],
)
def test_another_recipe_is_another_model(train_tiny: Train, override: str) -> None:
    assert train_tiny().model_id != train_tiny(override).model_id


def test_changed_data_is_another_model(
    train_tiny: Train, tiny_collection: Path, tmp_path: Path
) -> None:
    lines = (tiny_collection / "train.jsonl").read_text(encoding="utf-8").splitlines(True)
    fewer = tmp_path / "train.jsonl"
    fewer.write_text("".join(lines[:-1]), encoding="utf-8")
    other = train_tiny(f"data.train={fewer}")
    assert other.n_rows == 95
    assert other.model_id != train_tiny().model_id


def test_two_stores_hold_the_same_bytes(
    train_tiny: Train, tiny_backbone: Path, tiny_collection: Path, tmp_path: Path
) -> None:
    first = train_tiny()
    recipe = load_recipe(first.path / "recipe.toml")
    second = train(Store.create(tmp_path / "second"), recipe)
    name = "model.safetensors"
    assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert first.model_id == second.model_id


def test_a_bi_encoder(train_tiny: Train) -> None:
    trained = train_tiny(
        "model.architecture=bi-encoder",
        "model.converter=none",
        "model.freeze_encoder=true",
        "model.query_projection=20.0",
        "training.cache_encoder=true",
    )
    assert trained.trainable_parameters == 32 * 32
    assert "bi-encoder" in (trained.path / "README.md").read_text(encoding="utf-8")


def test_published_code_finds_no_key_that_it_does_not_know(train_tiny: Train) -> None:
    config = json.loads((train_tiny().path / "config.json").read_text(encoding="utf-8"))
    assert "converter" not in config["query_encoder_kwargs"]
    assert config["query_encoder_kwargs"]["converter_kwargs"] == {
        "vector_dimensions": [32, 32, 32, 1]
    }
    assert config["loss_type"] == ["margin_mse", "cross_entropy"]


def test_a_converter_of_ones_own(
    train_tiny: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_converter_for_test.py").write_text(OWN_CONVERTER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    settings = [
        "model.converter.name=own_converter_for_test:Scaled",
        "model.converter.layers=none",
        "model.converter.options.start=0.5",
        "training.learning_rate=0.1",
    ]
    with pytest.raises(ModelError, match="its code") as caught:
        train_tiny(*settings)
    assert "`model.trust_code=true`" in str(caught.value.hint)
    trained = train_tiny(*settings, "model.trust_code=true")
    dual, _ = load_dual_encoder(trained.path, trust_code=True)
    scale = dual.query_encoder.weight_to_model_converter.scale
    assert scale.item() != 0.5
    assert train_tiny(*settings, "model.trust_code=true").existing


def test_random_negatives_from_a_corpus(
    store: Store, train_tiny: Train, tiny_collection: Path
) -> None:
    corpus = tiny_collection / "corpus.jsonl"
    trained = train_tiny("data.random_negatives=5", f"data.random_negatives_from={corpus}")
    assert "random_negatives_fingerprint" in store.get(trained.model_id).inputs
    from_rows = train_tiny("data.random_negatives=5")
    assert from_rows.final_loss != trained.final_loss


def test_a_model_of_the_store_as_backbone(store: Store, train_tiny: Train) -> None:
    start = train_tiny(
        "model.architecture=bi-encoder", "model.converter=none", name="my-bi-encoder"
    )
    trained = train_tiny("model.backbone=my-bi-encoder", "model.pooling=none")
    manifest = store.get(trained.model_id)
    assert manifest.parents == (start.model_id,)
    assert manifest.inputs["backbone"] == start.model_id


def test_a_name_that_is_taken_is_refused_before_training(train_tiny: Train) -> None:
    train_tiny(name="mine")
    with pytest.raises(NameTaken):
        train_tiny("training.steps=100000", name="mine")


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["model.backbone=none"], RecipeError, "names no backbone"),
        (["data.train=none"], RecipeError, "names no training data"),
        (["data.train=no.jsonl"], DataError, "No training file"),
        (["model.backbone=no/such"], ModelError, "no such folder"),
        (["data.passage_max_length=129"], UsageError, "exceeds the maximum of the encoder, 128"),
        (["data.negatives_per_query=2"], DataError, "1 negatives; 2 are to be drawn"),
        (["model.pooling=none"], ModelError, "does not declare how it pools"),
        (["model.converter.name=repeated-dens"], ModelError, "repeated-dens"),
        (["model.converter.options.foo=1"], ModelError, "refuses"),
        (["training.device=tpu"], ModelError, "device"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_no_model(
    store: Store,
    train_tiny: Train,
    overrides: list[str],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        train_tiny(*overrides)
    assert store.artifacts("model") == []


def test_an_interrupted_training_leaves_a_whole_store(
    store: Store, train_tiny: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypencli.training import loop

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_tiny()
    assert store.artifacts("model") == []
    assert not train_tiny().existing
    assert len(store.artifacts("model")) == 1
