"""Tiny models and a quick way to train them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli.data.training import read_training_rows
from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
from hypencli.records import TrainingRow
from hypencli.training import (
    RunContext,
    Sampling,
    TrainingConfig,
    TrainingData,
    TrainingOutcome,
    train,
)

BOTH_LOSSES = (("margin_mse", {}), ("cross_entropy", {"only_use_first_item": True}))
QUICK = TrainingConfig(
    steps=3,
    batch_size=4,
    learning_rate=1e-3,
    schedule="constant",
    logging_steps=1,
    query_max_length=32,
    passage_max_length=64,
    sampling=Sampling(negatives_per_query=1),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices this small are slower on several threads, much slower beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer(tiny_backbone: Path) -> Any:
    return load_tokenizer(tiny_backbone)


@pytest.fixture(scope="session")
def rows(tiny_collection: Path) -> list[TrainingRow]:
    return read_training_rows(tiny_collection / "train.jsonl")


@pytest.fixture(scope="session")
def build(tiny_backbone: Path) -> Callable[..., Any]:
    """A tiny dual encoder by name, with further settings; dropout off unless asked for."""

    def make(kind: str = "hypencoder", *, dropout: bool = False, **settings: Any) -> Any:
        defaults: dict[str, Any] = {
            "hypencoder": {"converter_options": {"hidden_layers": 1}},
            "warm-start": {"converter": "warm-start", "converter_options": {"hidden_layers": 1}},
            "bi-encoder": {"architecture": "bi-encoder", "query_projection": 1.0},
        }[kind]
        spec = ModelSpec(
            **{"backbone": str(tiny_backbone), "pooling": "mean", "losses": BOTH_LOSSES}
            | defaults
            | settings
        )
        dual = build_dual_encoder(spec)
        if not dropout:
            for module in dual.modules():
                if hasattr(module, "p"):
                    module.p = 0.0
                if hasattr(module, "dropout_prob"):
                    module.dropout_prob = 0.0
        return dual

    return make


@pytest.fixture
def quick_train(
    tmp_path: Path, tokenizer: Any, rows: list[TrainingRow]
) -> Callable[..., TrainingOutcome]:
    """Train a dual encoder for three steps of four queries, or as the keywords say."""

    def run(
        dual: Any,
        some_rows: Sequence[TrainingRow] | None = None,
        *,
        pool: Sequence[str] | None = None,
        validation: Any = None,
        validating: Any = None,
        config: TrainingConfig = QUICK,
        output_dir: Path | None = None,
        **changes: Any,
    ) -> TrainingOutcome:
        surroundings = {
            name: changes.pop(name)
            for name in ("progress", "on_points", "caches")
            if name in changes
        }
        # A folder of its own for each run: one that is used again is gone on with.
        work = output_dir or Path(tempfile.mkdtemp(dir=tmp_path))
        data = TrainingData(
            rows=rows if some_rows is None else some_rows, pool=pool, validation=validation
        )
        return train(
            dual,
            tokenizer,
            data,
            replace(config, validation=validating, **changes),
            RunContext(output_dir=work, **surroundings),
        )

    return run
