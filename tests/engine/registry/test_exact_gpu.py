"""What exact search chooses on a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from hypencli.engine.registry.entry import SearchRequest
from hypencli.engine.registry.exact import EXACT, choose_first_pass

CAN = "torch.cuda.is_bf16_supported"


def chosen(n: int, **request: Any) -> torch.dtype | None:
    asked = SearchRequest(**{"k": 1000, "q_nets": True, **request})
    context = SimpleNamespace(
        corpus=SimpleNamespace(n=n, dim=24), device=torch.device("cuda:1"), request=asked
    )
    first_pass = choose_first_pass(EXACT.parse({}), cast(Any, context))
    return None if first_pass is None else first_pass.dtype


def test_a_first_pass_in_bfloat16_where_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """For q-nets, in float32, over more documents than are scored again."""
    monkeypatch.setattr(CAN, lambda including_emulation=True: True)
    assert chosen(1_000_000) == torch.bfloat16
    assert chosen(2_000) is None
    assert chosen(1_000_000, q_nets=False) is None
    assert chosen(1_000_000, dtype="bfloat16") is None
    monkeypatch.setattr(CAN, lambda including_emulation=True: including_emulation)
    assert chosen(1_000_000) is None
