"""``hype import embeddings`` and ``hype export embeddings``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.fixture
def stream(hype: Hype, study: Path, tmp_path: Path) -> Path:
    path = tmp_path / "out.docs"
    done = hype("export", "embeddings", "hyper-docs", "--output", path, "--store", study)
    assert done.code == 0
    assert "Wrote 120 × 32 float32 to" in done.out
    return path


def test_a_stream_is_taken_in_and_searched(
    hype: Hype, study: Path, stream: Path, tiny_collection: Path
) -> None:
    common = ["--store", study]
    taken = hype("import", "embeddings", stream, "--model", "hyper", "--name", "in", *common)
    assert taken.code == 0
    assert "Took in in: 120 × 32 float32 of file:out.docs, with text" in taken.out
    assert "Not checked: whether hyper computes these vectors. --check 8 does." in taken.out
    assert "hype search QUERIES --model hyper --embeddings in" in taken.out
    outcome = hype(
        "query", "river boat", "--model", "hyper", "--embeddings", "in", *common, "--json"
    )
    own = ["query", "river boat", "--model", "hyper", "--embeddings", "hyper-docs"]
    wanted = hype(*own, *common, "--json").json["hits"]
    for hit, other in zip(outcome.json["hits"], wanted, strict=True):
        assert (hit["doc_id"], hit["text"]) == (other["doc_id"], other["text"])
    again = ["import", "embeddings", stream, "--model", "hyper", "--name", "in", "--check", 2]
    assert "Already there: in." in hype(*again, *common).out
    assert hype(*again, *common, "--json").json["existing"]


def test_a_check_is_told(hype: Hype, study: Path, stream: Path) -> None:
    arguments = ["import", "embeddings", stream, "--store", study, "--check", 3, "--model"]
    assert (
        "Checked: hyper computes the same vectors for the first 3." in hype(*arguments, "hyper").out
    )
    refused = hype(*arguments, "plain")
    assert (refused.code, "cosine" in refused.err) == (6, True)


def test_an_array_needs_its_ids(hype: Hype, study: Path, tmp_path: Path) -> None:
    common = ["--store", study]
    path = tmp_path / "x.npy"
    done = hype("export", "embeddings", "plain-docs", "-o", path, *common)
    assert "x.ids.txt." in done.out
    named = ["import", "embeddings", path, "--model", "plain", *common]
    assert hype(*named).code == 2
    taken = hype(*named, "--ids", tmp_path / "x.ids.txt", "--json").json
    assert (taken["n_documents"], taken["has_text"]) == (120, False)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["import", "embeddings", "{folder}/none.docs"], 5, "none.docs"),
        (["import", "embeddings", "{folder}/x.vec"], 2, ".npy"),
        (["import", "embeddings", "{folder}/cut.docs"], 5, "byte"),
        (["import", "embeddings", "{folder}/cut.docs", "--model", "no"], 4, "hyper"),
        (["export", "embeddings", "hyper-docs", "-o", "{folder}/x.vec"], 2, ".npy"),
        (["export", "embeddings", "hyper-doc5", "-o", "{folder}/x.npy"], 4, "hyper-docs"),
        (["export", "embeddings", "hyper-docs", "-o", "{folder}/cut.docs"], 2, "--overwrite"),
        (["export", "embeddings", "hyper-docs", "-o", "{folder}/no/x.npy"], 5, "folder"),
    ],
)
def test_errors(
    hype: Hype, study: Path, stream: Path, arguments: list[str], code: int, words: str
) -> None:
    cut = stream.with_name("cut.docs")
    cut.write_bytes(stream.read_bytes()[:5_000])
    filled = [part.format(folder=stream.parent) for part in arguments]
    if "import" in filled and "--model" not in filled:
        filled += ["--model", "hyper"]
    outcome = hype(*filled, "--store", study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err
    assert hype("doctor", "--store", study).code == 0
