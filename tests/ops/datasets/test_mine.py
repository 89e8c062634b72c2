from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.data.training import open_training_rows, read_training_rows, write_training_rows
from hypencli.data.training.negatives import MiningRule
from hypencli.data.training.survey import StatisticsOptions, row_statistics
from hypencli.errors import DataError, UsageError
from hypencli.ops.datasets import miner as mine_rows
from hypencli.ops.datasets.mine import Mined, MineOptions, mine
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import Output, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.search.scoring import append_rankings
from hypencli.records import Query, TrainingItem, TrainingRow
from hypestore import DamagedArtifact, Store


@pytest.fixture(scope="module")
def store(
    finished_study: Path, tiny_collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """A copy with a run of each model that ranks every document."""
    root = tmp_path_factory.mktemp("mine") / "study"
    store = Store.open(Path(shutil.copytree(finished_study, root)))
    queries = open_queries(tiny_collection / "queries.jsonl")
    for name in ("hyper", "plain"):
        search(
            store,
            queries,
            ModelSource(name),
            SearchOptions(k=120, output=Output(name=f"{name}-deep")),
        )
    return store


@pytest.fixture
def options(tiny_collection: Path, tmp_path: Path) -> MineOptions:
    qrels = str(tiny_collection / "qrels.txt")
    rule = MiningRule(to_rank=60, negatives=5)
    return MineOptions(tmp_path / "mined.jsonl", rule, qrels=qrels)


def by_hand(store: Store, options: MineOptions, corpus: Path) -> list[TrainingRow]:
    """The rows of the run ``plain-deep``, from its results as a whole, in the plainest way."""
    run = store.run("plain-deep")
    qrels = read_qrels(str(options.qrels)).qrels
    texts = {document.doc_id: document.text for document in open_corpus(corpus)}
    rule, rows = options.rule, []
    for query_id, ranking in run.results().items():
        judged = qrels.get(query_id, {})
        for positive in (doc_id for doc_id, grade in judged.items() if grade >= options.min_grade):
            score = dict(ranking).get(positive)
            if rule.max_score_ratio is not None and score is None:
                continue
            items = [TrainingItem(positive, texts[positive], type="positive")]
            for doc_id, other in ranking[rule.from_rank - 1 : rule.to_rank]:
                too_high = rule.max_score_ratio is not None and other > score * rule.max_score_ratio
                alike = texts[doc_id] in [item.content for item in items]
                if doc_id not in judged and not too_high and not alike:
                    items.append(TrainingItem(doc_id, texts[doc_id], type="negative"))
            if len(items) > 1:
                kept = tuple(items[: rule.negatives + 1])
                rows.append(TrainingRow(Query(query_id, run.queries()[query_id]), kept))
    return rows


@pytest.mark.parametrize(
    "rule",
    [
        MiningRule(to_rank=50, negatives=5),
        MiningRule(to_rank=30, negatives=30),
        MiningRule(from_rank=15, to_rank=25, negatives=3),
        MiningRule(to_rank=120, negatives=5, max_score_ratio=0.5),
    ],
)
@pytest.mark.parametrize("min_grade", [1, 2])
def test_rows_are_those_of_a_plain_reading(
    store: Store, options: MineOptions, tiny_collection: Path, rule: MiningRule, min_grade: int
) -> None:
    options = replace(options, rule=rule, min_grade=min_grade)
    done = mine(store, "plain-deep", options)
    expected = by_hand(store, options, tiny_collection / "corpus.jsonl")
    assert read_training_rows(options.output) == expected
    assert done.counts.rows == len(expected) > 0
    assert done.counts.negatives == sum(len(row.items) - 1 for row in expected)
    few = sum(len(row.items) - 1 < rule.negatives for row in expected)
    assert done.counts.few_negatives == few


def test_windows_texts_and_formats_change_nothing(
    store: Store, options: MineOptions, tiny_collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mine(store, "hyper-deep", options)
    monkeypatch.setattr(mine_rows, "WINDOW_DOCUMENTS", 1)
    monkeypatch.setattr(mine_rows, "_SPARE", 0)
    parquet = options.output.with_name("other.parquet")
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    other = mine(store, "hyper-deep", replace(options, output=parquet, corpus=corpus))
    assert read_training_rows(parquet) == read_training_rows(options.output)
    assert other.counts == whole.counts


def test_a_random_sample_keeps_the_rules(store: Store, options: MineOptions) -> None:
    rule = replace(options.rule, sample="random", seed=1)
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        output = options.output.with_name(f"{name}.jsonl")
        mine(store, "plain-deep", replace(options, output=output, rule=replace(rule, seed=seed)))
        drawn.append(read_training_rows(output))
    assert drawn[0] == drawn[1] != drawn[2]
    ranks = {
        query_id: [doc_id for doc_id, _ in ranking]
        for query_id, ranking in store.run("plain-deep").results().items()
    }
    for row in drawn[0]:
        places = [ranks[row.query.query_id].index(item.id) for item in row.items[1:]]
        assert places == sorted(places)


def test_rows_that_are_there_get_negatives_behind_their_items(
    store: Store, options: MineOptions
) -> None:
    mine(store, "plain-deep", options)
    before = read_training_rows(options.output)
    scored = [
        TrainingRow(row.query, tuple(replace(item, score=1.0) for item in row.items[:2]))
        for row in before
    ]
    write_training_rows(options.output.with_name("rows.parquet"), scored)
    source = open_training_rows(options.output.with_name("rows.parquet"))
    again = options.output.with_name("again.jsonl")
    done = mine(store, "plain-deep", replace(options, output=again), rows=source)
    after = read_training_rows(again)
    assert done.from_rows
    assert done.counts.queries == done.counts.rows == len(before)
    for old, new, first in zip(scored, after, before, strict=True):
        assert new.items[:2] == old.items
        # What was the second to sixth negative is now the first to fifth new one, as far as
        # the ranking reaches.
        assert [item.id for item in new.items[2:6]] == [item.id for item in first.items[2:6]]
        assert all(item.score is None for item in new.items[2:])
        assert {item.type for item in new.items[2:]} <= {"negative"}


def test_rows_the_run_says_nothing_of_are_kept(
    store: Store, options: MineOptions, tiny_collection: Path
) -> None:
    expected_names, text = next(iter(store.run("plain-deep").queries().items()))
    item = TrainingItem("x1", "a passage of another collection", type="positive")
    rows = [
        TrainingRow(Query(expected_names, text), (item,)),
        TrainingRow(Query("new", "what"), (item,)),
    ]
    path = options.output.with_name("rows.jsonl")
    write_training_rows(path, rows)
    done = mine(store, "plain-deep", options, rows=open_training_rows(path))
    first, second = read_training_rows(options.output)
    assert len(first.items) == 6
    assert second == rows[1]
    assert (done.counts.without_ranking, done.counts.without_negative) == (1, 0)
    limited = replace(options, rule=replace(options.rule, max_score_ratio=0.9), overwrite=True)
    with pytest.raises(DataError, match=r"no negative for any row .*positive not ranked: 1"):
        mine(store, "plain-deep", limited, rows=open_training_rows(path))


def test_rows_of_other_queries_are_refused(store: Store, options: MineOptions) -> None:
    path = options.output.with_name("rows.jsonl")
    row = TrainingRow(Query("q0", "another text"), (TrainingItem("d1", "river"),))
    write_training_rows(path, [row])
    with pytest.raises(DataError, match="Query 'q0' is 'another text' in the rows"):
        mine(store, "plain-deep", options, rows=open_training_rows(path))
    assert not options.output.exists()


@pytest.fixture
def small(study: Path, tiny_collection: Path) -> Store:
    """A store of its own, with the first 60 documents encoded without text, and a run of them."""
    store = Store.open(study)
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    created = EncodeOptions(limit=60, keep_text=False, name="half")
    encode(store, corpus, ModelSource("plain"), created)
    queries = open_queries(tiny_collection / "queries.jsonl")
    search(
        store,
        queries,
        ModelSource("plain"),
        SearchOptions(k=20, target=Target(embeddings="half"), output=Output(name="half-run")),
    )
    return store


def test_texts_come_from_the_corpus_where_none_were_kept(
    small: Store, options: MineOptions, tiny_collection: Path
) -> None:
    with pytest.raises(UsageError, match=r"No texts: the embedding set .* has no texts") as caught:
        mine(small, "half-run", options)
    assert "`corpus=" in str(caught.value.hint)
    corpus = open_corpus(tiny_collection / "corpus.jsonl")
    done = mine(small, "half-run", replace(options, corpus=corpus))
    assert done.counts.rows > 0


def test_a_corpus_of_another_run_is_refused(
    small: Store, options: MineOptions, tmp_path: Path
) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"id": "d0", "text": "river"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="in the run half-run have no text"):
        mine(small, "half-run", replace(options, corpus=open_corpus(path)))


def imported(store: Store, rankings: dict[str, list[tuple[str, float]]]) -> str:
    with store.run_writer("made", {"engine": "imported"}, parents=(), name="made") as writer:
        writer.queries([(query_id, f"about {query_id}") for query_id in rankings])
        append_rankings(writer, list(rankings), list(rankings.values()))
        writer.commit(stats={}, provenance={})
    return "made"


def test_everything_left_out_is_counted(study: Path, tmp_path: Path) -> None:
    """A run and a corpus made for it: each query is a case of its own."""
    store = Store.open(study)
    texts = {"p": "the positive", "twin": "the positive", "a": "one", "b": "two", "b2": "two"}
    corpus = tmp_path / "docs.jsonl"
    lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in texts.items()]
    corpus.write_text("\n".join(lines), encoding="utf-8")
    run = imported(
        store,
        {
            "alike": [("twin", 9.0), ("p", 8.0), ("b", 7.0), ("b2", 6.0), ("a", 5.0)],
            "unjudged": [("a", 1.0)],
            "unranked": [],
            "gone": [("a", 1.0)],
            "only": [("p", 2.0), ("twin", 1.0)],
            "partly": [("a", 3.0), ("b", 2.0), ("p", 1.0)],
        },
    )
    qrels = tmp_path / "qrels.txt"
    judged = ["alike 0 p 2", "unranked 0 p 2", "gone 0 nowhere 2", "only 0 p 2"]
    judged += ["partly 0 p 2", "partly 0 a 1", "unjudged 0 a 0", "another 0 p 2"]
    qrels.write_text("\n".join(judged) + "\n", encoding="utf-8")
    options = MineOptions(
        tmp_path / "mined.jsonl",
        MiningRule(negatives=2),
        qrels=str(qrels),
        min_grade=2,
        corpus=open_corpus(corpus),
    )
    done: Mined = mine(store, run, options)
    rows = {
        row.query.query_id: [item.id for item in row.items]
        for row in read_training_rows(options.output)
    }
    assert rows == {"alike": ["p", "b", "a"], "partly": ["p", "b"]}
    counted = {name: count for name, count in asdict(done.counts).items() if count}
    assert counted == {
        "queries": 6,
        "rows": 2,
        "negatives": 3,
        "few_negatives": 1,
        "without_positive": 1,
        "without_ranking": 1,
        "positive_without_text": 1,
        "without_negative": 1,
    }
    # With a limit the run must rank the positive; above its score nothing is left of "partly".
    limited = replace(options.rule, max_score_ratio=0.9)
    done = mine(store, run, replace(options, rule=limited, overwrite=True))
    (row,) = read_training_rows(options.output)
    assert [item.id for item in row.items] == ["p", "b", "a"]
    assert (done.counts.positive_not_ranked, done.counts.without_negative) == (1, 2)


def test_no_row_is_written_twice(study: Path, tmp_path: Path) -> None:
    """Neither where two positives have one text, nor where two queries have."""
    store = Store.open(study)
    texts = {"p": "the positive", "twin": "the positive", "other": "another", "a": "one"}
    corpus = tmp_path / "docs.jsonl"
    lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in texts.items()]
    corpus.write_text("\n".join(lines), encoding="utf-8")
    ranking = [("a", 9.0), ("p", 8.0), ("twin", 7.0), ("other", 6.0)]
    with store.run_writer("asked", {"engine": "imported", "twice": True}) as writer:
        writer.queries([("q1", "what"), ("q2", "what"), ("q3", "why")])
        append_rankings(writer, ["q1", "q2", "q3"], [ranking] * 3)
        run = writer.commit(stats={}, provenance={}).id
    qrels = tmp_path / "qrels.txt"
    judged = [f"{q} 0 {d} 1\n" for q in ("q1", "q2", "q3") for d in ("p", "twin", "other")]
    qrels.write_text("".join(judged), encoding="utf-8")
    options = MineOptions(
        tmp_path / "mined.jsonl",
        MiningRule(negatives=1),
        qrels=str(qrels),
        corpus=open_corpus(corpus),
    )
    done = mine(store, run, options)
    rows = read_training_rows(options.output)
    assert [(row.query.query_id, row.items[0].id) for row in rows] == [
        ("q1", "p"),
        ("q1", "other"),
        ("q3", "p"),
        ("q3", "other"),
    ]
    assert (done.counts.rows, done.counts.negatives, done.counts.repeated) == (4, 4, 5)
    assert row_statistics(rows, StatisticsOptions()).findings.get("row_twice") is None


def test_a_damaged_run_is_named(study: Path, options: MineOptions) -> None:
    store = Store.open(study)
    path = store.run("plain-run").folder / "results.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedArtifact, match=r"results\.parquet") as caught:
        mine(store, "plain-run", options)
    assert "hype doctor" in str(caught.value.hint)


def test_judgements_must_be_known(store: Store, options: MineOptions) -> None:
    with pytest.raises(UsageError, match="No judgements"):
        mine(store, "plain-deep", replace(options, qrels=None))


def test_a_file_that_is_there_is_kept(store: Store, options: MineOptions) -> None:
    options.output.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="exists"):
        mine(store, "plain-deep", options)
    assert options.output.read_text(encoding="utf-8") == "precious"
    mine(store, "plain-deep", replace(options, overwrite=True))
    assert len(read_training_rows(options.output)) > 10
