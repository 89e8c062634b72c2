"""NaN, infinity and overflow: refused where they would be written, and never ranked.

What the parts do by themselves stands with them: ``tests/contract/test_engines.py`` (every engine),
``tests/store/test_embeddings.py`` and ``tests/store/test_runs.py`` (what is written).
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import hypencli
import hypestore
from hypencli.data.exchange import EncodedItem, write_item_stream
from hypencli.data.runs import write_run
from hypencli.data.training import open_training_rows
from hypencli.errors import DataError, ModelError
from hypencli.evaluation.fusion import FUSION_METHODS, Fusion, fuse
from hypencli.evaluation.measures import evaluate, parse_measures
from hypencli.ops.datasets.teach import teach
from hypencli.ops.datasets.teachers import Teacher
from hypencli.training.data.token_tables import TokenStateStore
from tests.conftest import Hype

STORE, DATA, MODEL = 4, 5, 6
N, DIM = 120, 32


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, DIM))


@pytest.fixture
def take_in(
    vectors: np.ndarray, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> Callable[..., Any]:
    """Import the vectors with one value changed, that of document d7 at position 3."""

    def run(value: float, dtype: str, *options: str) -> Any:
        changed = vectors.astype(dtype)
        changed[7, 3] = value
        np.save(tmp_path / "v.npy", changed)
        ids = ["--ids", tiny_collection / "corpus.jsonl"]
        return hype_in_bench("import", "embeddings", tmp_path / "v.npy", *ids, *options)

    return run


@pytest.mark.parametrize(
    ("value", "dtype", "options", "words"),
    [
        (math.nan, "float32", [], "has nan at position 3"),
        (-math.inf, "float64", [], "has -inf at position 3"),
        (
            1e6,
            "float32",
            ["--storage-dtype", "float16"],
            "has 1e+06 at position 3, which exceeds the range of",
        ),
        (1e300, "float64", [], "has 1e+300 at position 3, which exceeds the range of float32"),
    ],
)
def test_vectors_that_are_taken_in_name_file_and_document(
    value: float,
    dtype: str,
    options: list[str],
    words: str,
    take_in: Callable[..., Any],
    artifacts: Callable[[], set[str]],
) -> None:
    before = artifacts()
    outcome = take_in(value, dtype, "--model", "plain", *options)
    assert outcome.code == DATA
    assert "v.npy: the vector of document 'd7' " + words in outcome.err
    assert ("--storage-dtype float32" in outcome.err) == (options != [])
    assert artifacts() == before


def test_a_stream_names_its_document_too(hype_in_bench: Hype, tmp_path: Path) -> None:
    items = [EncodedItem(f"d{i}", np.full(DIM, v, "f4"), "x") for i, v in enumerate([1, math.nan])]
    with (tmp_path / "x.docs").open("wb") as out:
        write_item_stream(items, out)
    outcome = hype_in_bench("import", "embeddings", tmp_path / "x.docs", "--model", "plain")
    assert (outcome.code, "x.docs: the vector of document 'd1' has nan" in outcome.err) == (
        DATA,
        True,
    )


ENGINES: dict[str, tuple[str, list[str]]] = {
    "exact, q-nets": ("hyper", ["--engine", "exact"]),
    "guided": ("hyper", ["--approx"]),
    "rerank": ("hyper", ["--rerank", "hyper-run"]),
    "exact, vectors": ("plain", ["--engine", "exact"]),
    "hnsw": ("plain", ["--engine", "hnsw"]),
    "faiss-flat": ("plain", ["--engine", "faiss-flat"]),
    "faiss-hnsw": ("plain", ["--engine", "faiss-hnsw"]),
    "faiss-ivfpq": (
        "plain",
        ["--engine", "faiss-ivfpq", "-o", "nlist=2", "-o", "nbits=4"],
    ),
}


@pytest.mark.parametrize("case", ENGINES)
def test_a_document_without_a_finite_score_is_named_by_every_engine(
    case: str,
    take_in: Callable[..., Any],
    tiny_collection: Path,
    hype_in_bench: Hype,
    artifacts: Callable[[], set[str]],
) -> None:
    """The value is a float32, and no product with it is: libraries leave such documents out."""
    model, options = ENGINES[case]
    name = f"long-{model}"
    assert take_in(3e38, "float32", "--model", model, "--name", name).code == 0
    before = artifacts()
    queries = tiny_collection / "queries.jsonl"
    outcome = hype_in_bench(
        "search", queries, "--model", model, "--embeddings", name, *options, "-k", 120
    )
    assert outcome.code == MODEL, outcome.err
    assert "document 'd7'" in outcome.err
    assert artifacts() == before


@pytest.mark.parametrize("builder", ["exact", "hnsw", "nn-descent"])
def test_a_graph_of_vectors_too_long_names_the_document(
    builder: str,
    take_in: Callable[..., Any],
    hype_in_bench: Hype,
    artifacts: Callable[[], set[str]],
) -> None:
    assert take_in(3e38, "float32", "--model", "plain", "--name", "long-plain").code == 0
    before = artifacts()
    outcome = hype_in_bench("graph", "long-plain", "--k", 3, "--builder", builder)
    assert outcome.code == MODEL
    assert "The vector of document 'd7' is too long for products in float32" in outcome.err
    assert artifacts() == before


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_encoder_beyond_float16_is_refused_with_the_document(
    dtype: str, bench: Path, tiny_collection: Path, tmp_path: Path, hype_in_bench: Hype
) -> None:
    """The last layer norm of a bi-encoder, a hundred thousand times as large."""
    opened = hypestore.Store.open(bench)
    folder = opened.path(opened.get("plain", kind="model"))
    checkpoint = Path(shutil.copytree(folder, tmp_path / f"loud-{dtype}"))
    (checkpoint / "manifest.json").unlink()
    state = load_file(checkpoint / "model.safetensors")
    for key in [key for key in state if "encoder.layer.1.output.LayerNorm" in key]:
        state[key] *= 1e5
    save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
    command = ["encode", tiny_collection / "corpus.jsonl", "--model", checkpoint]
    outcome = hype_in_bench(*command, "--storage-dtype", dtype)
    if dtype == "float32":
        assert outcome.code == 0
        return
    assert outcome.code == STORE
    assert "the vector of document 'd0' has" in outcome.err
    assert "which is beyond float16" in outcome.err
    assert "--storage-dtype float32" in outcome.err


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", ["combsum", "interpolate"])
@pytest.mark.parametrize("normalise", ["min-max", "none"])
def test_scores_that_are_not_finite_are_not_fused(
    score: float, method: str, normalise: str
) -> None:
    runs = [{"q": [("a", 1.0), ("b", score)]}, {"q": [("a", 2.0), ("c", 1.0)]}]
    with pytest.raises(DataError, match="Query 'q', document 'b': the score is"):
        fuse(runs, Fusion(method=method, normalise=normalise))  # type: ignore[arg-type]


def test_weights_that_make_scores_infinite_are_refused(
    hype_in_bench: Hype, artifacts: Callable[[], set[str]]
) -> None:
    before = artifacts()
    command = ["fuse", "hyper-run", "plain-run", "--method", "interpolate", "--normalise", "none"]
    outcome = hype_in_bench(*command, "--weights", "1e308 1e308")
    assert outcome.code in (STORE, DATA)
    assert "Query 'q0', document 'd" in outcome.err
    assert hype_in_bench(*command, "--weights", "nan 1").code == 2
    assert artifacts() == before


def test_every_method_of_fusion_is_known_here() -> None:
    assert set(FUSION_METHODS) == {"rrf", "combsum", "interpolate"}  # rrf reads ranks alone


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_run_with_a_score_that_is_none_is_not_measured(score: float) -> None:
    ranking = [("a", 1.0), ("b", score)]
    with pytest.raises(DataError, match="score of document 'b' for query 'q' is not finite"):
        evaluate({"q": ranking}, {"q": {"a": 1}}, parse_measures(["RR"]))


def test_a_stored_run_that_was_written_with_nan_is_damaged(
    finished_study: Path, tmp_path: Path
) -> None:
    opened = hypestore.Store.open(Path(shutil.copytree(finished_study, tmp_path / "study")))
    run = opened.run("hyper-run")
    path = run.folder / "results.parquet"
    table = pq.read_table(path)
    scores = table["score"].to_numpy().copy()
    scores[5] = math.nan
    place = table.schema.get_field_index("score")
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(scores)), path)
    # The manifest of a program that wrote them so: it fits the files.
    written = [
        hypestore.FileRecord(
            path=record.path,
            size_bytes=(run.folder / record.path).stat().st_size,
            sha256=hashlib.sha256((run.folder / record.path).read_bytes()).hexdigest(),
        )
        for record in run.manifest.files
    ]
    foreign = hypestore.StoredRun(run.folder, run.manifest.model_copy(update={"files": written}))
    for read in (foreign.table, foreign.results, foreign.by_query):
        with pytest.raises(hypestore.DamagedArtifact, match="a score that is not finite"):
            read()


@pytest.mark.parametrize("format", ["parquet"])
def test_a_score_beyond_float32_is_not_narrowed_to_infinity(format: Any, tmp_path: Path) -> None:
    """Text keeps double precision (``tests/data/test_runs.py``); Parquet has float32."""
    with pytest.raises(DataError, match="query 'q', document 'd': a score must be"):
        write_run(tmp_path / "run", {"q": [("d", 1e300)]}, format=format)


def test_the_library_gives_neither_vectors_nor_scores_that_are_none(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench)
    model = hypencli.load("plain", device="cpu")
    queries = model.encode_queries(["what is river"])
    passages = model.encode_passages(["the river", "a star"])
    assert np.isfinite(queries(passages)).all()
    for value in (math.nan, math.inf):
        broken = passages.copy()
        broken[1, 0] = value
        with pytest.raises(ModelError, match="document 'number 2' for query number 1"):
            queries(broken)
    with pytest.raises(DataError, match="Passage 2: half a surrogate pair"):
        model.encode_passages(["fine", "\ud800"])
    with torch.no_grad():
        model.dual.passage_encoder.transformer.encoder.layer[1].output.LayerNorm.weight[0] = (
            math.inf
        )
    with pytest.raises(ModelError, match="The vector of passage 1 is not finite"):
        model.encode_passages(["the river"])


def test_a_teacher_without_a_number_for_a_pair_is_refused(
    tiny_collection: Path, tmp_path: Path
) -> None:
    source = open_training_rows(tiny_collection / "train.jsonl")

    def score(rows: Any) -> np.ndarray:
        scores = np.zeros(sum(len(row.items) for row in rows), np.float32)
        scores[3] = math.nan
        return scores

    with pytest.raises(ModelError, match="query 't1' and passage 'd2' with nan"):
        teach(source, Teacher("mute", {}, score), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_token_states_beyond_float16_are_not_kept_as_such() -> None:
    table = TokenStateStore(np.zeros((3, 2), np.float16), np.array([0, 1, 3]))
    table.put(0, torch.tensor([[1.0, 2.0]]))
    with pytest.raises(ModelError, match="text 2 have values that float16 cannot hold") as caught:
        table.put(1, torch.tensor([[1.0, 2.0], [1e6, 0.0]]))
    assert "`training.cache_dtype=float32`" in str(caught.value.hint)
    assert table.states.tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
