"""What ``hype train`` says next."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Hype


def test_a_frozen_encoder_need_not_encode_again(
    tiny_recipe_settings: list[str], tiny_collection: Path, tmp_path: Path, hype: Hype
) -> None:
    """The second head is trained over the encoder of the first, whose vectors are there."""
    place = ["--store", tmp_path / "store"]
    frozen = [*tiny_recipe_settings, "--set", "model.freeze_encoder=true"]
    assert hype("init", tmp_path / "store").code == 0
    first = hype("train", "tiny", *frozen, "--name", "first", *place)
    assert first.code == 0, first.err
    assert "Next: hype encode DATASET --model first" in first.out
    corpus = tiny_collection / "corpus.jsonl"
    assert hype("encode", corpus, "--model", "first", "--name", "docs", *place).code == 0
    other = ["--set", "training.seed=7", "--name", "second"]
    second = hype("train", "tiny", *frozen, *other, *place)
    assert second.code == 0, second.err
    assert "has encoded already: docs" in second.out
    assert "hype encode" not in second.out
    _, _, next_command = second.out.partition("Next: hype ")
    assert next_command.split() == [
        *("search", "QUERIES", "--model", "second", "--embeddings", "docs"),
    ]
    typed = [tiny_collection / "queries.jsonl", *next_command.split()[2:]]
    searched = hype("search", *typed, *place)
    assert searched.code == 0, searched.err


def test_another_encoder_is_asked_to_encode(
    tiny_recipe_settings: list[str], tiny_collection: Path, tmp_path: Path, hype: Hype
) -> None:
    place = ["--store", tmp_path / "store"]
    assert hype("init", tmp_path / "store").code == 0
    assert hype("train", "tiny", *tiny_recipe_settings, "--name", "first", *place).code == 0
    corpus = tiny_collection / "corpus.jsonl"
    assert hype("encode", corpus, "--model", "first", "--name", "docs", *place).code == 0
    other = ["--set", "training.seed=7", "--name", "second"]
    second = hype("train", "tiny", *tiny_recipe_settings, *other, *place)
    assert "Next: hype encode DATASET --model second" in second.out
