"""Bi-encoders there and back, and vectors against those of Sentence Transformers itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import hypencli
from hypencli.api import Model, Project
from hypencli.errors import UsageError
from hypencli.integrations.sentence_transformers import to_sentence_transformer

TEXTS = ["what is a river", "the moon and a star and bread " * 12, "water", ""]


def model_of(project: Project, name: str) -> Model:
    return hypencli.load(project.store.root / "models" / project.store.get(name, "model").id)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_a_trained_bi_encoder_goes_there_and_comes_back(project: Project, tmp_path: Path) -> None:
    model = model_of(project, "plain")
    there = to_sentence_transformer(model, max_length=128)
    expected = model.encode_document(TEXTS, max_length=128)
    assert cosines(there.encode_document(TEXTS), expected) == pytest.approx(1, abs=1e-6)
    there.save_pretrained(str(tmp_path / "folder"))
    back = hypencli.load(tmp_path / "folder")
    assert cosines(back.encode_document(TEXTS, max_length=128), expected) == pytest.approx(
        1, abs=1e-6
    )
    queries = back.encode_query(TEXTS, max_length=128)
    assert cosines(queries, there.encode_query(TEXTS)) == pytest.approx(1, abs=1e-6)


def test_a_hypencoder_is_refused(project: Project) -> None:
    model = model_of(project, "hyper")
    with pytest.raises(UsageError, match="q-nets"):
        to_sentence_transformer(model)
    with pytest.raises(UsageError, match="q-nets"):
        model.encode_query(["what is a river"])


@pytest.mark.encoder
def test_vectors_of_a_real_encoder_are_those_of_sentence_transformers(
    encoder_folder: Path,
) -> None:
    theirs = SentenceTransformer(str(encoder_folder), device="cpu")
    ours = hypencli.load(encoder_folder)
    length = theirs.max_seq_length
    vectors = ours.encode_document(TEXTS, max_length=length)
    assert cosines(vectors, theirs.encode_document(TEXTS)) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
