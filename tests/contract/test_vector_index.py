"""What every vector index must hold, of whichever library."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.scorers import InnerProductScorer
from hypencli.engine.vector_index.index import INDEX_FILE, LibraryIndex, build_index, load_index
from hypencli.engine.vector_index.spec import INDEX_OPTIONS, IndexSpec
from hypencli.errors import MissingDependencyError, ModelError, UsageError
from hypencli.option_fields import describe_options

DIM = 32
QUICK = {
    "hnsw": {"M": 8, "ef_construction": 60},
    "faiss-flat": {},
    "faiss-flat16": {},
    "faiss-hnsw": {"M": 8, "ef_construction": 60},
    "faiss-ivf": {"nlist": 16},
    "faiss-ivfpq": {"nlist": 32, "m": 16, "nbits": 6},
}
SMALL = {
    **{kind: {} for kind in ("hnsw", "faiss-flat", "faiss-flat16", "faiss-hnsw")},
    "faiss-ivf": {"nlist": 4},
    "faiss-ivfpq": {"nlist": 4, "nbits": 4},
}
"""Every kind, with parameters that a corpus of 50 documents can be indexed with."""

APPROXIMATE = {
    "hnsw": "ef_search",
    "faiss-hnsw": "ef_search",
    "faiss-ivf": "nprobe",
    "faiss-ivfpq": "nprobe",
}
"""What makes a search of each kind look at more."""


def marked(kinds: Iterable[str]) -> list[Any]:
    """Kinds of index as parameters: the one of hnswlib needs that library."""
    hnswlib = pytest.param("hnsw", marks=pytest.mark.hnswlib)
    return [hnswlib if kind == "hnsw" else kind for kind in kinds]


HALVES = ("faiss-flat16", "faiss-ivf")
"""Kinds that keep vectors in float16."""

GRAPHS = marked(["hnsw", "faiss-hnsw"])


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Vectors [n, d] around 60 centres, of different lengths, as encoders give them."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, DIM))
    vectors = centres[random.integers(0, 60, n)] + random.normal(size=(n, DIM))
    return vectors.astype(np.float32)


def exhaustive(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ordinals and inner products of the best k, by looking at all: best first, then by ordinal."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


def recall(actual: np.ndarray, wanted: np.ndarray) -> float:
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(actual, wanted, strict=True)]
    return float(np.mean(shares))


def pieces(vectors: np.ndarray, cuts: Sequence[int] = ()) -> Iterator[tuple[int, np.ndarray]]:
    for start, end in itertools.pairwise([0, *cuts, len(vectors)]):
        yield start, vectors[start:end]


def build(kind: str, vectors: np.ndarray, cuts: Sequence[int] = (), **options: int) -> LibraryIndex:
    spec = IndexSpec(kind, {"threads": 1, **options})
    return build_index(partial(pieces, vectors, cuts), spec, n=len(vectors), dim=DIM)


@pytest.fixture(scope="module")
def corpus() -> np.ndarray:
    return clustered(2000)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return clustered(50, seed=1)


@pytest.fixture(params=marked(INDEX_OPTIONS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def index_of(corpus: np.ndarray) -> Callable[[str], LibraryIndex]:
    """The index of a kind over the corpus, built once."""
    return cache(lambda kind: build(kind, corpus, **QUICK[kind]))


def test_flat_is_the_exhaustive_search(corpus: np.ndarray, queries: np.ndarray) -> None:
    wanted, expected = exhaustive(corpus, queries, 100)
    for asked in (queries, queries[:1]):  # many queries are multiplied as a matrix, few are not
        ordinals, scores = build("faiss-flat", corpus).search(asked, 100)
        assert np.array_equal(ordinals, wanted[: len(asked)])
        np.testing.assert_allclose(scores, expected[: len(asked)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", marked(APPROXIMATE))
def test_looking_at_more_finds_more(
    kind: str,
    index_of: Callable[[str], LibraryIndex],
    corpus: np.ndarray,
    queries: np.ndarray,
    tmp_path: Path,
) -> None:
    """Until all is found: of quantised vectors, the exhaustive ranking of what they stand for."""
    index_of(kind).save(tmp_path)
    by_lists = APPROXIMATE[kind] == "nprobe"
    stands_for = decoded(tmp_path / INDEX_FILE) if by_lists else corpus
    wanted, _ = exhaustive(stands_for, queries, 10)
    collected = []
    for value in (1, 8, 2000) if by_lists else (1, 64, 2000):
        spec = IndexSpec(kind, {"threads": 1, **QUICK[kind], APPROXIMATE[kind]: value})
        collected.append(recall(load_index(tmp_path, spec).search(queries, 10)[0], wanted))
    assert collected[0] < collected[1] <= collected[2]
    assert collected[0] < 0.95
    assert collected[1] >= 0.95
    assert collected[2] >= 0.998


def decoded(path: Path) -> np.ndarray:
    """The vectors that the codes of an index of faiss stand for."""
    import faiss

    index = faiss.read_index(str(path))
    index.make_direct_map()
    return np.asarray(index.reconstruct_n(0, index.ntotal))


def test_defaults_find_the_nearest(kind: str, corpus: np.ndarray, queries: np.ndarray) -> None:
    """Quantised vectors lose the order within a neighbourhood, and keep it among the candidates."""
    wanted, _ = exhaustive(corpus, queries, 10)
    lossy = kind == "faiss-ivfpq"
    actual, _ = build(kind, corpus).search(queries, 100 if lossy else 10)
    assert recall(actual, wanted) >= (0.9 if lossy else 0.99)


def test_scores_are_those_of_the_scorer(
    kind: str, index_of: Callable[[str], LibraryIndex], corpus: np.ndarray, queries: np.ndarray
) -> None:
    """Of the same sign and size as an exact search gives, nearly so where vectors are quantised."""
    ordinals, scores = index_of(kind).search(queries, 20)
    scorer = InnerProductScorer(torch.from_numpy(queries))
    exact = np.take_along_axis(scorer(torch.from_numpy(corpus)).numpy(), ordinals, axis=1)
    away = np.abs(scores - exact)
    if kind == "faiss-ivfpq":
        assert away.mean() < 0.1 * exact.std() + 0.05 * exact.mean()
    elif kind in HALVES:
        longest = np.linalg.norm(corpus, axis=1).max() * np.linalg.norm(queries, axis=1).max()
        assert away.max() < longest * 2**-11
    else:
        assert away.max() < 1e-4


def test_scores_fall_and_documents_are_distinct(
    kind: str, index_of: Callable[[str], LibraryIndex], queries: np.ndarray
) -> None:
    ordinals, scores = index_of(kind).search(queries, 50)
    assert (ordinals.shape, ordinals.dtype) == ((50, 50), np.int64)
    assert (scores.shape, scores.dtype) == ((50, 50), np.float32)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 50 for row in ordinals.tolist())


def test_saved_and_loaded_is_the_same(
    kind: str, index_of: Callable[[str], LibraryIndex], queries: np.ndarray, tmp_path: Path
) -> None:
    built = index_of(kind)
    built.save(tmp_path)
    loaded = load_index(tmp_path, built.spec)
    assert (loaded.n, loaded.dim) == (2000, DIM)
    for one, other in zip(built.search(queries, 30), loaded.search(queries, 30), strict=True):
        assert np.array_equal(one, other)


def test_the_same_every_time_whatever_the_shards(
    kind: str, corpus: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypencli.engine.vector_index.index._ADDED_ROWS", 700)
    files = []
    for name, cuts in {"whole": [], "cut": [3, 1500, 1501, 1999]}.items():
        (tmp_path / name).mkdir()
        build(kind, corpus, cuts, **QUICK[kind]).save(tmp_path / name)
        files.append((tmp_path / name / INDEX_FILE).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("kind", marked(APPROXIMATE))
def test_another_seed_builds_another(kind: str, corpus: np.ndarray, tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        build(kind, corpus, seed=seed, **QUICK[kind]).save(tmp_path / str(seed))
        files.append((tmp_path / str(seed) / INDEX_FILE).read_bytes())
    assert files[0] != files[1]


def test_float16_vectors_are_indexed_as_their_float32_values(
    kind: str, corpus: np.ndarray, queries: np.ndarray
) -> None:
    halves = corpus.astype(np.float16)
    one = build(kind, halves, **QUICK[kind]).search(queries, 20)
    other = build(kind, halves.astype(np.float32), **QUICK[kind]).search(queries, 20)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", marked(["hnsw", "faiss-flat", "faiss-hnsw"]))
def test_several_threads_find_as_much_and_are_given_back(
    kind: str, index_of: Callable[[str], LibraryIndex], corpus: np.ndarray, queries: np.ndarray
) -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    several = build(kind, corpus, threads=2, **QUICK[kind]).search(queries, 10)[0]
    assert recall(several, index_of(kind).search(queries, 10)[0]) >= 0.95
    assert faiss.omp_get_max_threads() == before


def test_k_larger_than_the_corpus(kind: str, queries: np.ndarray) -> None:
    vectors = clustered(50)
    options = {**SMALL[kind], **({"nprobe": 4} if kind == "faiss-ivfpq" else {})}
    ordinals, scores = build(kind, vectors, **options).search(queries, 60)
    assert ordinals.shape == (50, 60)
    assert all(sorted(row) == list(range(50)) for row in ordinals[:, :50].tolist())
    assert (ordinals[:, 50:] == -1).all()
    assert np.isfinite(scores[:, :50]).all()
    assert (scores[:, 50:] == -np.inf).all()


def test_lists_that_are_not_read_leave_places_empty(queries: np.ndarray) -> None:
    index = build("faiss-ivfpq", clustered(50), nlist=8, nbits=4, nprobe=1)
    ordinals, scores = index.search(queries, 50)
    assert (ordinals == -1).any()
    assert np.array_equal(ordinals == -1, scores == -np.inf)
    assert (ordinals[:, 0] >= 0).all()


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_that_falls_apart_gives_what_it_reaches(kind: str) -> None:
    """Equal vectors fill the few links of each other, and nothing leads to the rest."""
    vectors = np.zeros((2000, DIM), dtype=np.float32)
    vectors[:, 0] = np.random.default_rng(0).integers(1, 5, 2000)
    index = build(kind, vectors, M=2, ef_construction=10)
    ordinals, scores = index.search(vectors[:3], 2000)
    reached = (ordinals >= 0).sum(axis=1)
    assert (reached >= 10).all()
    assert (reached < 2000).all()
    assert np.array_equal(ordinals == -1, scores == -np.inf)
    for row, count in zip(ordinals, reached, strict=True):
        assert len(set(row[:count].tolist())) == count
        assert (row[count:] == -1).all()
    narrow = index.search(vectors[:3], 10)
    assert (narrow[0] >= 0).all()


@pytest.mark.parametrize("kind", GRAPHS)
def test_ef_search_below_k_is_raised_to_k(
    kind: str, corpus: np.ndarray, queries: np.ndarray
) -> None:
    searched = [
        build(kind, corpus, ef_search=ef, **QUICK[kind]).search(queries, 100)[0] for ef in (1, 100)
    ]
    assert (searched[0] >= 0).all()
    assert np.array_equal(searched[0], searched[1])


@pytest.mark.parametrize("kind", marked(kind for kind in INDEX_OPTIONS if kind != "faiss-ivfpq"))
def test_one_document(kind: str, queries: np.ndarray) -> None:
    ordinals, scores = build(kind, clustered(1)).search(queries[:2], 3)
    assert ordinals.tolist() == [[0, -1, -1]] * 2
    rounded = clustered(1).astype(np.float16 if kind in HALVES else np.float32)
    expected = queries[:2] @ rounded[0].astype(np.float32)
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_too_few_documents_to_learn_from() -> None:
    with pytest.raises(UsageError, match=r"256 centroids.*there are 100") as caught:
        build("faiss-ivfpq", clustered(100))
    assert "faiss-flat" in str(caught.value.hint)


def test_no_queries_and_no_documents(kind: str, queries: np.ndarray, tmp_path: Path) -> None:
    ordinals, scores = build(kind, clustered(50), **SMALL[kind]).search(queries[:0], 5)
    assert (ordinals.shape, scores.shape) == ((0, 5), (0, 5))
    empty = build(kind, clustered(0))
    empty.save(tmp_path)
    for index in (empty, load_index(tmp_path, empty.spec)):
        ordinals, scores = index.search(queries[:2], 3)
        assert (ordinals == -1).all()
        assert (scores == -np.inf).all()


def test_equal_scores_are_ordered_by_ordinal(kind: str, queries: np.ndarray) -> None:
    """Whole numbers: a library sums in several orders, and of these every sum is the same."""
    vectors = np.repeat(np.round(8 * clustered(25)), 2, axis=0)
    ordinals, _ = build(kind, vectors, **SMALL[kind]).search(np.round(8 * queries), 10)
    assert np.array_equal(ordinals[:, ::2] + 1, ordinals[:, 1::2])


def test_wrong_queries_are_refused(kind: str, queries: np.ndarray) -> None:
    index = build(kind, clustered(50), **SMALL[kind])
    with pytest.raises(ModelError, match=rf"\[50, 31\].*\[q, {DIM}\]"):
        index.search(queries[:, :-1], 5)
    with pytest.raises(ModelError, match=r"\[32\]"):
        index.search(queries[0], 5)
    with pytest.raises(ModelError, match="at least 1"):
        index.search(queries, 0)
    broken = queries.copy()
    broken[2, 3] = np.nan
    with pytest.raises(ModelError, match="query number 3"):
        index.search(broken, 5)


@pytest.mark.parametrize(
    ("shown", "n", "dim", "message"),
    [
        (50, 60, DIM, "50 vectors, expected 60"),
        (50, 40, DIM, "more than the 40"),
        (50, 50, 31, "31"),
    ],
)
def test_another_corpus_than_said_is_refused(
    kind: str, shown: int, n: int, dim: int, message: str
) -> None:
    options = {**SMALL[kind], "m": 1} if kind == "faiss-ivfpq" else SMALL[kind]
    with pytest.raises(ModelError, match=message):
        build_index(partial(pieces, clustered(shown)), IndexSpec(kind, options), n=n, dim=dim)


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("index.bin", damage_cut, "size_bytes is"),
        ("index.bin", damage_flip, "crc32 is"),
        ("index.bin", Path.unlink, "No such file"),
        ("index.json", damage_cut, "damaged"),
        ("index.json", Path.unlink, "No such file"),
    ],
)
def test_a_damaged_index_is_refused(
    kind: str, file: str, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    built = build(kind, clustered(50), **SMALL[kind])
    built.save(tmp_path)
    damage(tmp_path / file)
    with pytest.raises(ModelError, match=message):
        load_index(tmp_path, built.spec)


def test_an_index_of_other_parameters_is_refused(kind: str, tmp_path: Path) -> None:
    build(kind, clustered(50), **SMALL[kind]).save(tmp_path)
    other = next(one for one in SMALL if one != kind)
    with pytest.raises(ModelError, match="asked for"):
        load_index(tmp_path, IndexSpec(other, {**SMALL[other], "threads": 1}))
    record = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**record, "n": 49}))
    with pytest.raises(ModelError, match="expected 49"):
        load_index(tmp_path, IndexSpec(kind, {**SMALL[kind], "threads": 1}))


def test_one_byte_a_number_finds_most(corpus: np.ndarray, queries: np.ndarray) -> None:
    wanted, _ = exhaustive(corpus, queries, 50)
    actual, _ = build("faiss-ivf", corpus, nlist=32, bits=8).search(queries, 50)
    assert recall(actual, wanted) >= 0.95


def test_more_effort_reads_more(corpus: np.ndarray, queries: np.ndarray) -> None:
    """``effort`` is a multiple of what the options say."""
    for kind, name in (("faiss-ivf", "nprobe"), ("faiss-hnsw", "ef_search")):
        few, many = (build(kind, corpus, **QUICK[kind], **{name: value}) for value in (4, 12))
        expected = many.search(queries, 4)[0]
        assert np.array_equal(few.search(queries, 4, effort=3)[0], expected)
        assert not np.array_equal(few.search(queries, 4)[0], expected)


def test_every_vector_is_told_of(kind: str) -> None:
    told: list[int] = []
    spec = IndexSpec(kind, SMALL[kind])
    build_index(partial(pieces, clustered(50)), spec, n=50, dim=DIM, on_added=told.append)
    assert sum(told) == 50


@pytest.mark.parametrize(
    ("kind", "options", "message", "hint"),
    [
        ("hsnw", {}, "Unknown index 'hsnw'", "Did you mean 'hnsw'"),
        ("hnsw", {"nprobe": 3}, "no option 'nprobe'", "ef_search"),
        ("hnsw", {"M": 1}, "M=1.*at least 2 and at most 1024", "32 by default"),
        ("faiss-flat", {"threads": -1}, "threads=-1.*at least 0", "0 by default"),
        ("faiss-ivfpq", {"nbits": 17}, "at most 16", "bits of a code"),
        ("faiss-ivf", {"bits": 12}, "bits=12.*expected", "8 for one byte"),
        ("hnsw", {"M": 2.5}, "M=2.5.*whole number", "links"),
        ("hnsw", {"M": True}, "M=True", "links"),
    ],
)
def test_a_wrong_specification_is_refused(
    kind: str, options: dict[str, int], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        IndexSpec(kind, options)
    assert hint in str(caught.value.hint)


def test_codes_must_divide_the_width() -> None:
    with pytest.raises(UsageError, match="m=5 does not divide") as caught:
        build("faiss-ivfpq", clustered(500), m=5)
    assert "m=4" in str(caught.value.hint)


def test_a_specification_says_all_and_never_changes(kind: str) -> None:
    spec = IndexSpec(kind)
    assert dict(spec.options) == {
        option.name: option.default for option in describe_options(INDEX_OPTIONS[kind])
    }
    assert spec == IndexSpec(kind, dict(spec.options))
    assert hash(spec) == hash(IndexSpec(kind))
    with pytest.raises(TypeError):
        spec.options["threads"] = 3  # type: ignore[index]


def test_only_what_determines_the_content_is_part_of_its_name() -> None:
    built = IndexSpec("hnsw").built_with
    assert IndexSpec("hnsw", {"ef_search": 999, "threads": 4}).built_with == built
    assert IndexSpec("hnsw", {"threads": 1}).built_with != built
    for option in ("M", "ef_construction", "seed"):
        assert IndexSpec("hnsw", {option: 99}).built_with != built
    halves = IndexSpec("faiss-hnsw").for_vectors("float16").built_with
    assert halves == IndexSpec("faiss-hnsw", {"bits": 16}).built_with
    assert halves != IndexSpec("faiss-hnsw").for_vectors("float32").built_with
    lists = IndexSpec("faiss-ivfpq").built_with
    assert IndexSpec("faiss-ivfpq", {"nprobe": 1, "threads": 1}).built_with == lists
    for option in ("nlist", "m", "nbits", "train_size", "seed"):
        assert IndexSpec("faiss-ivfpq", {option: 9}).built_with != lists
    assert IndexSpec("faiss-flat", {"threads": 1}).built_with == {}


@pytest.mark.parametrize(
    ("kind", "library", "requirement"),
    [("hnsw", "hnswlib", "hnswlib>=0.8"), ("faiss-flat", "faiss", "faiss-cpu>=1.11")],
)
def test_a_missing_library_says_how_to_install_it(
    kind: str, library: str, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=f"{kind} needs {library}") as caught:
        build(kind, clustered(5))
    assert f"pip install '{requirement}'" in str(caught.value.hint)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.engine.vector_index.index import build_index
vectors = np.ones((2000, 32), dtype=np.float32)
index = build_index(lambda: [(0, vectors)], IndexSpec(sys.argv[1], {"threads": 1}), n=2000, dim=32)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    index.save(Path(sys.argv[2]))
except OSError as error:
    print("OSError", error.errno)
"""


@pytest.mark.parametrize("kind", marked(["hnsw", "faiss-flat", "faiss-ivf"]))
def test_a_file_that_cannot_be_written_whole_is_an_error(kind: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, kind, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("OSError"), done.stderr
    assert not (tmp_path / "index.json").exists()
