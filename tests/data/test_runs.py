"""Run files, in and out."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data import runs
from hypencli.data.runs import RUN_FORMATS, RankedQuery, read_run, write_rankings, write_run
from hypencli.errors import DataError, UsageError


def write(folder: Path, content: str, name: str = "some.run") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def written(queries: list[RankedQuery], **options: object) -> str:
    out = io.BytesIO()
    write_rankings(queries, out, **options)  # type: ignore[arg-type]
    return out.getvalue().decode()


def as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


identifiers = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1).filter(
    lambda word: len(word.split()) == 1 and word[0] not in "{\ufeff"
)
scores = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def rankings(draw: st.DrawFn) -> dict[str, list[tuple[str, float]]]:
    """Runs in rank order: scores fall or tie, ties in any order of ids."""
    run = {}
    for query_id in draw(st.lists(identifiers, min_size=1, max_size=3, unique=True)):
        docs = draw(st.lists(identifiers, min_size=1, max_size=6, unique=True))
        values = sorted(draw(st.lists(scores, min_size=len(docs), max_size=len(docs))))[::-1]
        run[query_id] = list(zip(docs, values, strict=True))
    return run


@given(run=rankings(), format=st.sampled_from(RUN_FORMATS))
def test_a_run_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    run: dict[str, list[tuple[str, float]]],
    format: runs.RunFormat,
) -> None:
    path = tmp_path_factory.mktemp("run") / "file"
    changed = write_run(path, run, format=format)
    read = read_run(path)
    assert read.reordered_queries == ()
    back = {
        query: [(doc, as_float32(score)) for doc, score in ranking]
        for query, ranking in read.results.items()
    }
    if format == "trec":
        orders = {query: [doc for doc, _ in ranking] for query, ranking in run.items()}
        assert {q: [doc for doc, _ in by_trec_eval(some)] for q, some in back.items()} == orders
        pairs = [pair for q in run for pair in zip(run[q], back[q], strict=True)]
        assert changed == sum(before != after for before, after in pairs)
    else:
        assert (back, changed) == (run, 0)


def by_trec_eval(ranking: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The order of trec_eval: falling scores in single precision, ties by falling document id."""
    return sorted(ranking, key=lambda one: (as_float32(one[1]), one[0]), reverse=True)


def test_ties_fall_by_the_smallest_step() -> None:
    ranking = [("a", 1.0), ("b", 0.5), ("c", 0.5), ("d", 0.5), ("e", 0.25)]
    lines = written([RankedQuery("q", ranking)], format="trec").splitlines()
    step = 2.0**-25
    assert [float(line.split()[4]) for line in lines] == pytest.approx(
        [1.0, 0.5, 0.5 - step, 0.5 - 2 * step, 0.25], rel=1e-9, abs=0
    )
    lowest = -as_float32(3.4028234663852886e38)
    lines = written([RankedQuery("q", [("a", lowest), ("b", lowest)])], format="trec").splitlines()
    assert [line.split()[4] for line in lines] == ["-3.40282326e+38", "-3.40282347e+38"]


def test_trec_eval_measures_what_is_measured_here(tmp_path: Path) -> None:
    """By trec_eval's own order of ties, the relevant document would be last."""
    import ir_measures

    from hypencli.evaluation.measures import evaluate, parse_measures

    results = {f"q{i}": [(f"d{j}", 0.5) for j in range(9)] for i in range(3)}
    qrels = {query: {"d0": 1} for query in results}
    measures = parse_measures(["nDCG@10", "RR", "P@5", "AP"])
    write_run(tmp_path / "run", results, format="trec")
    judged = [ir_measures.Qrel(q, d, g) for q, docs in qrels.items() for d, g in docs.items()]
    run = ir_measures.read_trec_run(str(tmp_path / "run"))
    by_trec_eval = ir_measures.pytrec_eval.calc_aggregate(measures, judged, run)
    here = evaluate(results, qrels, measures).aggregates
    assert {str(measure): value for measure, value in by_trec_eval.items()} == here
    assert here["RR"] == 1.0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique=True))
def test_double_precision_survives_text(values: list[float]) -> None:
    ranking = [(str(i), score) for i, score in enumerate(sorted(values, reverse=True))]
    for format in ("trec", "jsonl"):
        lines = written([RankedQuery("q", ranking)], format=format).splitlines()
        if format == "jsonl":
            read = [item["score"] for item in json.loads(lines[0])["items"]]
        else:
            read = [float(line.split()[4]) for line in lines]
        exact = [score for _, score in ranking]
        single = all(as_float32_or_nan(score) == score for score in exact)
        assert read == exact or (single and [as_float32(score) for score in read] == exact)


def as_float32_or_nan(value: float) -> float:
    try:
        return as_float32(value)
    except OverflowError:
        return math.nan


def test_trec_counts_ranks_from_one_and_prints_short_scores() -> None:
    queries = [RankedQuery("q1", [("d2", as_float32(0.1)), ("d1", -3.0)]), RankedQuery("q2", [])]
    assert written(queries, format="trec", tag="my run") == (
        "q1 Q0 d2 1 0.100000001 my_run\nq1 Q0 d1 2 -3 my_run\n"
    )
    assert written(queries, format="trec", tag=" ").endswith(" hype\n")


def test_jsonl_is_the_published_layout() -> None:
    queries = [RankedQuery("q1", [("d2", 2.5)], "what é"), RankedQuery("q2", [])]
    first, second = written(
        queries, format="jsonl", contents=lambda ids: [f"text of {one}" for one in ids]
    ).splitlines()
    assert json.loads(first) == {
        "query": {"id": "q1", "content": "what é"},
        "items": [{"id": "d2", "score": 2.5, "content": "text of d2"}],
    }
    assert json.loads(second) == {"query": {"id": "q2"}, "items": []}


def test_published_jsonl_is_read(tmp_path: Path) -> None:
    item = {"id": 7, "score": 1, "content": "text", "type": "positive"}
    content = json.dumps({"query": {"id": 1, "content": "what"}, "items": [item]})
    read = read_run(write(tmp_path, f"{content}\n\n" + '{"query": {"id": "2"}, "items": []}'))
    assert read.results == {"1": [("7", 1.0)], "2": []}
    assert read.queries == {"1": "what"}


def test_a_run_at_hand_keeps_queries_without_results(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_run(path, {"a": [("d", 1.0)]}, {"b": "why", "a": "what"}, format="jsonl")
    read = read_run(path)
    assert read.results == {"b": [], "a": [("d", 1.0)]}
    assert read.queries == {"b": "why", "a": "what"}


def test_parquet_has_the_columns_of_a_stored_run_in_many_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(runs, "_PARQUET_ROWS", 3)
    results = {f"q{i}": [(f"d{j}", float(-j)) for j in range(2)] for i in range(5)}
    path = tmp_path / "run.parquet"
    write_run(path, results, format="parquet")
    table = pq.read_table(path)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("query_id", "string"),
        ("doc_id", "string"),
        ("rank", "int32"),
        ("score", "float"),
    ]
    assert table.column("rank").to_pylist() == [1, 2] * 5
    assert pq.ParquetFile(path).num_row_groups == 3
    assert read_run(path).results == results


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"q Q0 d 1 0.5 tag\n"))
    assert read_run(path).results == {"q": [("d", 0.5)]}
    assert read_run(path).tag == "tag"


@pytest.mark.parametrize(
    ("ranks", "scores", "order", "reordered"),
    [
        ((1, 2, 3), (3, 2, 1), "abc", False),
        ((3, 1, 2), (1, 3, 2), "bca", False),
        ((2, 1, 3), (5, 5, 1), "bac", False),  # equal scores: the rank decides
        ((0, 0, 0), (5, 7, 5), "bac", False),  # ranks say nothing: ids decide between a and c
        ((3, 2, 1), (3, 2, 2), "abc", True),  # ranks from the wrong end: the score decides
        ((10, 30, 20), (3, 1, 2), "acb", False),
    ],
)
def test_the_order_of_what_is_read(
    tmp_path: Path,
    ranks: tuple[int, ...],
    scores: tuple[float, ...],
    order: str,
    reordered: bool,
) -> None:
    rows = zip("abc", ranks, scores, strict=True)
    content = "".join(f"q Q0 {doc} {rank} {score} tag\n" for doc, rank, score in rows)
    read = read_run(write(tmp_path, content))
    assert "".join(doc for doc, _ in read.results["q"]) == order
    assert read.reordered_queries == (("q",) if reordered else ())


def test_lines_of_several_queries_may_be_mixed(tmp_path: Path) -> None:
    content = "q1 Q0 a 1 2 t\nq2 Q0 a 1 9 t\nq1 Q0 b 2 1 t\n"
    assert read_run(write(tmp_path, content)).results == {
        "q1": [("a", 2.0), ("b", 1.0)],
        "q2": [("a", 9.0)],
    }


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q Q0 b 2 0.5", "5 columns, a TREC run has 6"),
        ("q Q0 b 2 0.5 tag and junk", "8 columns, a TREC run has 6"),
        ("q Q0 b second 0.5 tag", "a rank must be an integer, not 'second'"),
        ("q Q0 b 2 high tag", "a score must be a finite number, not 'high'"),
        ("q Q0 b 2 nan tag", "a score must be a finite number, not 'nan'"),
        ("q Q0 b 2 -inf tag", "a score must be a finite number, not '-inf'"),
        ("q Q0 b 2 1e999 tag", "a score must be a finite number"),
        ("q Q0 a 2 0.5 tag", "document 'a' is there twice for query 'q'"),
    ],
)
def test_a_wrong_trec_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"some\.run, line 3: {problem}"):
        read_run(write(tmp_path, f"q Q0 a 1 0.7 tag\n\n{line}\n"))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ('{"items": []}', "expected"),
        ('{"query": "q", "items": []}', "expected"),
        ('{"query": {"id": "p"}}', "expected"),
        ('{"query": {"content": "x"}, "items": []}', "query id: an id must be"),
        ('{"query": {"id": "q"}, "items": []}', "query 'q' is there twice"),
        ('{"query": {"id": "p"}, "items": ["d"]}', "item 1: expected"),
        ('{"query": {"id": "p"}, "items": [{"score": 1}]}', "item 1, id: an id must be"),
        ('{"query": {"id": "p"}, "items": [{"id": "d"}]}', "not None"),
        ('{"query": {"id": "p"}, "items": [{"id": "d", "score": NaN}]}', "not nan"),
        ('{"query": {"id": "p"}, "items": [{"id": "d", "score": true}]}', "not True"),
        (
            '{"query": {"id": "p"}, "items": [{"id": 1, "score": 1}, {"id": "1", "score": 1}]}',
            "item 2: document '1' is there twice for query 'p'",
        ),
        ('{"query": {"id": "p"}', "not valid JSON"),
    ],
)
def test_a_wrong_jsonl_line_is_named(tmp_path: Path, record: str, problem: str) -> None:
    content = f'{{"query": {{"id": "q"}}, "items": []}}\n{record}\n'
    with pytest.raises(DataError, match=rf"some\.run, line 2.*{problem}"):
        read_run(write(tmp_path, content))


def test_an_empty_or_damaged_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is empty"):
        read_run(write(tmp_path, "\n"))
    with pytest.raises(DataError, match="not a run in Parquet"):
        read_run(write(tmp_path, "PAR1 and nothing more"))
    with pytest.raises(DataError, match="cannot be read"):
        read_run(tmp_path / "none.run")


def test_parquet_of_other_columns_is_an_error(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"query_id": ["q"], "doc_id": ["d"], "score": [1.0]}), path)
    with pytest.raises(DataError, match="not a run in Parquet"):
        read_run(path)
    whole = {"query_id": ["q"], "doc_id": ["d"], "rank": [1], "score": [math.nan]}
    pq.write_table(pa.table(whole), path)
    with pytest.raises(DataError, match="row 1: a score must be a finite number"):
        read_run(path)
    pq.write_table(pa.table({**whole, "query_id": pa.array([None], pa.string())}), path)
    with pytest.raises(DataError, match="row 1: an empty value"):
        read_run(path)


@pytest.mark.parametrize("format", RUN_FORMATS)
@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_not_written(format: str, score: float) -> None:
    with pytest.raises(DataError, match="query 'q', document 'd': a score must be"):
        written([RankedQuery("q", [("d", score)])], format=format)


@pytest.mark.parametrize("bad", ["a b", "a\tb", "a\n", ""])
def test_an_id_with_white_space_is_refused_by_trec_only(bad: str) -> None:
    for query in (RankedQuery(bad, [("d", 1.0)]), RankedQuery("q", [(bad, 1.0)])):
        with pytest.raises(DataError, match="white space") as caught:
            written([query], format="trec")
        assert "jsonl or parquet" in str(caught.value.hint)
        assert json.loads(written([query], format="jsonl"))


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="csv") as caught:
        written([], format="csv")
    assert caught.value.hint == "Known: trec, jsonl, parquet"
