"""Small models that several files of tests build from."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch

from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.dual import DualEncoder
from hypencli.models.qnets.batch import QNetBatch

Build = Callable[..., Any]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    # The hub's client reads its environment when imported, so the variable alone comes too late.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets one test reach the hub; skips where it cannot be reached."""
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
    except OSError:
        pytest.skip("the model hub cannot be reached")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def build(tiny_backbone: Path) -> Build:
    """Builds a model on the tiny backbone: a specification's fields as keywords."""

    def make(**fields: Any) -> DualEncoder:
        fields.setdefault("backbone", str(tiny_backbone))
        fields.setdefault("pooling", "mean")
        hypencoder = fields.get("architecture", "hypencoder") == "hypencoder"
        if hypencoder and "converter" not in fields:
            fields.setdefault("converter_options", {"hidden_layers": 2})
        return build_dual_encoder(ModelSpec(**fields))

    return make


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Three queries with two passages each, padded, and a teacher's scores."""
    generator = torch.Generator().manual_seed(3)
    queries = torch.randint(5, 60, (3, 7), generator=generator)
    passages = torch.randint(5, 60, (6, 11), generator=generator)
    query_mask, passage_mask = torch.ones_like(queries), torch.ones_like(passages)
    query_mask[0, 4:] = 0
    passage_mask[2:4, 6:] = 0
    return {
        "query_input_ids": queries * query_mask,
        "query_attention_mask": query_mask,
        "passage_input_ids": passages * passage_mask,
        "passage_attention_mask": passage_mask,
        "labels": torch.randn(3, 2, generator=generator),
    }


def q_net(converter: Any, q: int = 1, seed: int = 0, **more: Any) -> QNetBatch:
    """Random q-nets of an architecture."""
    drawn = torch.Generator().manual_seed(seed)

    def made(shapes: Any) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(q, *s, generator=drawn) / s[0] ** 0.5 for s in shapes)

    return QNetBatch(made(converter.weight_shapes), made(converter.bias_shapes), converter, **more)


def rows(n: int, dim: int, seed: int = 1) -> torch.Tensor:
    """Random items ``[n, d]``."""
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
