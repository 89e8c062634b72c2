"""Every shipped recipe trains, on tiny stand-ins of the models and data that it names.

Names, sizes and the number of steps are replaced; everything else of a recipe stays as it is
shipped: lengths, losses, negatives, rates, schedules, precision, freezing, where it starts.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizerFast,
    DistilBertConfig,
    PretrainedConfig,
)

from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.load import load_dual_encoder, load_tokenizer
from hypencli.ops.training.run import TrainedModel, train
from hypencli.recipe import Recipe, list_recipes, load_recipe
from hypestore import Store

WIDTH = 32
"""Of the stand-ins; the published encoders have 768."""

HEAD = ("hyper_base", "weight_query", "bias_query", "weight_hyper", "bias_hyper")
HEAD += ("key_projections", "value_projections")

FARTHEST = 5e-3
"""No weight moves farther in two steps of AdamW at rates of up to 1e-3; new heads lie far apart."""

StandIns = dict[str, Path]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> StandIns:
    """The names in the recipes, and the folder or file that stands for each."""
    folder = tmp_path_factory.mktemp("stand-ins")
    sizes = {"vocab_size": len((tiny_backbone / "vocab.txt").read_text().split())}
    sizes |= {"max_position_embeddings": 512}
    bert = BertConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        **sizes,
    )
    distilbert = DistilBertConfig(dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=64, **sizes)
    configs: dict[str, PretrainedConfig] = {
        "google-bert/bert-base-uncased": bert,
        "facebook/contriever-msmarco": bert,
        "Shitao/RetroMAE_MSMARCO_finetune": bert,
        "sebastian-hofstaetter/distilbert-dot-tas_b-b256-msmarco": distilbert,
    }
    actual = {
        name: encoder(folder / name.replace("/", "--"), config, tiny_backbone / "vocab.txt", seed=i)
        for i, (name, config) in enumerate(configs.items())
    }
    actual["jfkback/hypencoder.6_layer"] = published_hypencoder(
        folder / "hypencoder.6_layer", actual["google-bert/bert-base-uncased"]
    )
    actual["jfkback/hypencoder-msmarco-training-dataset"] = training_rows(folder / "rows.jsonl")
    return actual


def encoder(folder: Path, config: PretrainedConfig, vocabulary: Path, *, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(vocabulary), model_max_length=512).save_pretrained(folder)
    return folder


def published_hypencoder(folder: Path, backbone: Path) -> Path:
    """Six layers as published: weights in a ``.bin``, and nothing under the key ``hype``."""
    layers = {"hidden_layers": 6}
    spec = ModelSpec(backbone=str(backbone), pooling="cls", converter_options=layers, seed=1)
    dual = build_dual_encoder(spec)
    dual.save_pretrained(folder, tokenizer=load_tokenizer(backbone))
    (folder / "model.safetensors").unlink()
    torch.save(dual.state_dict(), folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["hype"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def training_rows(path: Path) -> Path:
    """Rows of a positive and nine others, scored; enough for two steps of two batches of four."""
    words = ["river", "bank", "boat", "star", "moon", "orbit", "bread", "oven", "music", "piano"]
    with path.open("w", encoding="utf-8") as out:
        for i in range(24):
            items = [
                {
                    "id": f"d{i}-{j}",
                    "content": f"{words[(i + j) % 10]} {words[(i * 3 + j * 7) % 10]} in the old",
                    "score": 10.0 - j,
                    "type": "negative" if j else "positive",
                }
                for j in range(10)
            ]
            query = {"id": f"q{i}", "content": f"what is {words[i % 10]}"}
            out.write(json.dumps({"query": query, "items": items}) + "\n")
    return path


def tiny_overrides(recipe: Recipe, stand_ins: StandIns) -> list[str]:
    """What makes a shipped recipe small; names that no stand-in has are models of the store."""
    model = recipe.model
    named = {
        "model.backbone": model.backbone,
        "model.initial": model.initial,
        "model.hyper_head_from": model.hyper_head_from,
        "data.train": recipe.data.train or "jfkback/hypencoder-msmarco-training-dataset",
    }
    if model.backbone is None and model.initial is None:
        named["model.backbone"] = "google-bert/bert-base-uncased"
    overrides = [f"{key}={stand_ins[name]}" for key, name in named.items() if name in stand_ins]
    if model.initial is None and model.pooling is None:  # a sentence encoder would declare it
        overrides.append("model.pooling=mean")
    overrides += ["training.steps=2", "training.epochs=none", "training.logging_steps=1"]
    overrides += ["training.batch_size=4", "training.device=cpu"]
    converter = model.converter
    if converter is not None and converter.vector_dimensions is not None:
        _, *hidden, out = converter.vector_dimensions
        narrow = [WIDTH, *(min(width, WIDTH // 2) for width in hidden), out]
        overrides.append(f"model.converter.vector_dimensions={narrow}")
    if converter is not None and "widths" in converter.options:
        overrides.append(f"model.converter.options.widths={[WIDTH // 4, WIDTH // 2]}")
    if recipe.data.random_negatives:
        overrides.append("data.random_negatives=8")
    return overrides


def train_tiny(store: Store, recipe: str, stand_ins: StandIns, **options: Any) -> TrainedModel:
    overrides = tiny_overrides(load_recipe(recipe), stand_ins)
    return train(store, load_recipe(recipe, overrides), **options)


@pytest.mark.parametrize("name", [summary.name for summary in list_recipes()])
def test_a_shipped_recipe_trains(name: str, stand_ins: StandIns, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    recipe = load_recipe(name)
    if recipe.model.initial == "bebase":
        train_tiny(store, "bebase", stand_ins, name="bebase")
    trained = train_tiny(store, name, stand_ins)
    assert (trained.steps, trained.recipe, trained.n_rows) == (2, name, 24)
    assert math.isfinite(trained.final_loss)
    dual, _ = load_dual_encoder(trained.path)
    state = dual.state_dict()
    start = expected_start(recipe, stand_ins, store)
    assert start
    moved = {key: (state[key] - tensor).abs().max().item() for key, tensor in start.items()}
    assert max(moved.values()) < FARTHEST
    encoder_moved = any(moved[key] > 0 for key in moved if ".transformer." in key)
    assert encoder_moved != recipe.model.freeze_encoder
    if recipe.model.initial is not None:
        assert start.keys() == state.keys()
    if recipe.model.converter is not None and recipe.model.converter.layers is not None:
        assert len(dual.query_encoder.hyper_base_vectors) == recipe.model.converter.layers


def expected_start(recipe: Recipe, stand_ins: StandIns, store: Store) -> dict[str, torch.Tensor]:
    """The weights that training should begin with, as the files hold them."""
    model = recipe.model
    if model.initial is not None:
        folder = stand_ins.get(model.initial)
        folder = folder or store.path(store.get(model.initial, kind="model"))
        return dict(load_dual_encoder(folder)[0].state_dict())
    backbone = AutoModel.from_pretrained(
        stand_ins[model.backbone or "google-bert/bert-base-uncased"]
    ).state_dict()
    start = {
        f"{side}_encoder.transformer.{key}": tensor
        for side in ("query", "passage")
        for key, tensor in backbone.items()
    }
    if model.hyper_head_from is not None:
        donor = torch.load(
            stand_ins[model.hyper_head_from] / "pytorch_model.bin", weights_only=True
        )
        start |= {
            k: v for k, v in donor.items() if k.removeprefix("query_encoder.").startswith(HEAD)
        }
    return start
