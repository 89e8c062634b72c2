"""The training step against goldens of the published code: losses and gradients, read in chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli import HypencoderDualEncoder
from hypencli.models.checkpoints.config import LossConfig
from hypencli.models.losses.registry import make_losses
from hypencli.training.step import TrainingStep

LOSSES: dict[str, list[LossConfig]] = {
    "margin_mse": [LossConfig("margin_mse")],
    "margin_mse_scale0.5": [LossConfig("margin_mse", {"scale": 0.5})],
    "ce_inbatch": [LossConfig("cross_entropy")],
    "ce_inbatch_first": [LossConfig("cross_entropy", {"only_use_first_item": True})],
    "ce_noinbatch": [LossConfig("cross_entropy", {"use_in_batch_negatives": False})],
    "ce_noinbatch_first": [
        LossConfig("cross_entropy", {"use_in_batch_negatives": False, "only_use_first_item": True})
    ],
    "margin_mse+ce_inbatch_first": [
        LossConfig("margin_mse"),
        LossConfig("cross_entropy", {"only_use_first_item": True}),
    ],
}
"""All that the goldens have."""

WITH_GRADIENTS = "margin_mse+ce_inbatch_first"


@pytest.fixture(scope="module")
def arrays(folder: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in np.load(folder / "golden.npz").items()}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def step_of(folder: Path, goldens: Path) -> Callable[..., TrainingStep]:
    """The tiny published model with a loss of the goldens, in evaluation mode: no dropout."""
    backbone = goldens / "backbones/tiny-bert"

    def make(name: str, *, recompute: bool) -> TrainingStep:
        dual = HypencoderDualEncoder.from_pretrained(folder / "checkpoint", backbone=backbone)
        dual.loss_functions = make_losses(LOSSES[name])
        return TrainingStep(dual, recompute=recompute).eval()

    return make


def side(arrays: dict[str, torch.Tensor], kind: str, size: int | None) -> dict[str, Any]:
    """Texts of the goldens as the collator gives them: whole, or shortest first in chunks."""
    ids, mask = (arrays[f"loss_{kind}_{name}"] for name in ("input_ids", "attention_mask"))
    if size is None:
        return {"chunks": [(ids, mask)]}
    order = mask.sum(1).argsort()
    chunks = []
    for part in order.split(size):
        longest = int(mask[part].sum(1).max())
        chunks.append((ids[part, :longest], mask[part, :longest]))
    return {"chunks": chunks, "order": order.argsort()}


@pytest.mark.parametrize("chunk_size", [None, 3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_and_gradients(
    name: str,
    chunk_size: int | None,
    step_of: Callable[..., TrainingStep],
    arrays: dict[str, torch.Tensor],
    facts: dict[str, Any],
) -> None:
    step = step_of(name, recompute=chunk_size is not None)
    actual = step(
        side(arrays, "query", chunk_size),
        side(arrays, "passage", chunk_size),
        labels=arrays["loss_labels"],
    )
    assert actual["loss"].item() == pytest.approx(facts["losses"][name], rel=1e-5)
    single = {k: v.item() for k, v in actual.items() if k != "loss"}
    published = {k: facts["to_log"][name].get(f"similarity_loss_{k}") for k in single}
    assert single == pytest.approx(published, rel=1e-5)
    actual["loss"].backward()
    gradients = {key: tensor.grad for key, tensor in step.dual.named_parameters()}
    wanted = facts["grad_norms"][name]
    assert gradients.keys() == wanted.keys()
    for key, norm in wanted.items():
        gradient = gradients[key]
        assert (gradient is None) == (norm is None), key
        if gradient is not None:
            assert gradient.norm().item() == pytest.approx(norm, rel=1e-4, abs=2e-5), key
    for key in [key for key in arrays if key.startswith("grad_") and name == WITH_GRADIENTS]:
        torch.testing.assert_close(
            gradients[key.removeprefix("grad_")], arrays[key], rtol=1e-4, atol=2e-5
        )
