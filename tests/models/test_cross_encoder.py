from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hypencli.errors import ModelError
from hypencli.models.cross_encoder import load_cross_encoder, score_pairs
from hypencli.models.encoding import EncodingOptions

Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Real text of all lengths: the documentation of a module against questions about it."""
    texts = [inspect.getdoc(member) for _, member in inspect.getmembers(json)]
    texts += [inspect.getdoc(member) for _, member in inspect.getmembers(Path)]
    passages = [text for text in texts if text]
    queries = ["how do I read a file", "what is json?", "encode " * 90]
    collected = [(query, passage) for passage in passages for query in queries]
    assert len(collected) > 100
    return collected


def one_by_one(folder: Path, pairs: Pairs, label: int, max_length: int) -> np.ndarray:
    """Each pair alone, without padding: the reference in ten lines."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    scores = []
    for query, passage in pairs:
        inputs = tokenizer(
            query, passage, truncation="longest_first", max_length=max_length, return_tensors="pt"
        )
        with torch.no_grad():
            outputs = model(**inputs).logits[0].double()
        others = [float(torch.exp(z)) for k, z in enumerate(outputs) if k != label]
        scores.append(float(outputs[label]) - (np.log(sum(others)) if others else 0.0))
    return np.array(scores)


@pytest.mark.parametrize("max_length", [128, 24])
def test_scores_are_those_of_each_pair_alone(
    tiny_cross_encoder: Path, pairs: Pairs, max_length: int
) -> None:
    loaded = load_cross_encoder(tiny_cross_encoder)
    scored: list[int] = []
    scores = score_pairs(loaded, pairs, EncodingOptions(max_length), scored.append)
    expected = one_by_one(tiny_cross_encoder, pairs, 0, max_length)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(scores, expected, atol=2e-4)
    assert sum(scored) == len(pairs)


def test_the_chosen_label_is_scored_by_its_log_odds(
    tiny_two_label_encoder: Path, pairs: Pairs
) -> None:
    for named, label in (("relevant", 1), ("0", 0)):
        loaded = load_cross_encoder(tiny_two_label_encoder, label=named)
        scores = score_pairs(loaded, pairs[:20], EncodingOptions(128))
        expected = one_by_one(tiny_two_label_encoder, pairs[:20], label, 128)
        np.testing.assert_allclose(scores, expected, atol=2e-4)


def test_batches_do_not_change_scores(tiny_cross_encoder: Path, pairs: Pairs) -> None:
    loaded = load_cross_encoder(tiny_cross_encoder)
    each: Sequence[int | None] = (None, 1, 7)
    collected = [score_pairs(loaded, pairs[:40], EncodingOptions(64, size)) for size in each]
    np.testing.assert_allclose(collected[1], collected[0], atol=2e-4)
    np.testing.assert_allclose(collected[2], collected[0], atol=2e-4)


def test_bfloat16_is_near(tiny_cross_encoder: Path, pairs: Pairs) -> None:
    loaded = load_cross_encoder(tiny_cross_encoder)
    exact = score_pairs(loaded, pairs, EncodingOptions(64))
    coarse = score_pairs(loaded, pairs, EncodingOptions(64, dtype=torch.bfloat16))
    assert not np.array_equal(coarse, exact)
    assert np.corrcoef(coarse, exact)[0, 1] > 0.9


def test_no_pairs_are_no_scores(tiny_cross_encoder: Path) -> None:
    loaded = load_cross_encoder(tiny_cross_encoder)
    assert score_pairs(loaded, [], EncodingOptions(64)).shape == (0,)


def test_it_reads_what_tokenizer_and_positions_allow(tiny_cross_encoder: Path) -> None:
    assert load_cross_encoder(tiny_cross_encoder).longest == 128


def test_several_outputs_need_a_label(tiny_two_label_encoder: Path) -> None:
    with pytest.raises(ModelError, match=r"2 outputs: 0 \(irrelevant\), 1 \(relevant\)") as caught:
        load_cross_encoder(tiny_two_label_encoder)
    assert "`label=" in str(caught.value.hint)
    with pytest.raises(ModelError, match="no output 'good'"):
        load_cross_encoder(tiny_two_label_encoder, label="good")


def test_an_encoder_without_a_head_is_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(ModelError, match=r"no weights for classifier\.bias, classifier\.weight"):
        load_cross_encoder(tiny_backbone)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_cross_encoder(tmp_path)
