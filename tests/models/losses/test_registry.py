"""Losses by name: the shipped ones and their options."""

from __future__ import annotations

import pytest

from hypencli.errors import ModelError
from hypencli.models.checkpoints.config import LossConfig
from hypencli.models.losses.cross_entropy import CrossEntropy
from hypencli.models.losses.registry import make_losses


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LossConfig("margin"), "Did you mean 'margin_mse'"),
        (LossConfig("cross_entropy", {"temperature": 2}), "refuses its options.*temperature"),
        (LossConfig("cross_entropy", {"use_cross_device_negatives": True}), "refuses its options"),
        (LossConfig("cross_entropy", {"use_query_embedding_representation": True}), "refuses"),
    ],
)
def test_losses_that_do_not_exist_are_refused(config: LossConfig, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_losses([config])


def test_an_option_that_published_code_never_reads_is_accepted_when_off() -> None:
    options = {"use_query_embedding_representation": False}
    assert make_losses([LossConfig("cross_entropy", options)]) == {"cross_entropy": CrossEntropy()}


def test_a_loss_that_comes_again_has_its_number() -> None:
    configs = [LossConfig("cross_entropy"), LossConfig("margin_mse"), LossConfig("cross_entropy")]
    assert list(make_losses(configs)) == ["cross_entropy", "margin_mse", "cross_entropy_2"]
