"""A project store as an object: every method gives what the verb prints with ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypencli
from hypencli.cli.output.render import to_json
from hypencli.errors import HypeError
from hypestore import StoreError, StoreNotFound
from tests.conftest import Hype

SECONDS = {"seconds", "preparation_seconds"}


def said(value: Any) -> Any:
    """A record as JSON, without what differs from call to call: times, and who came first."""
    plain = to_json(value)
    if isinstance(plain, list):
        return [said(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    return {
        key: said(item)
        for key, item in plain.items()
        if key not in SECONDS | {"stages", "existing", "encoded", "rate"}
    }


@pytest.fixture
def project(bench: Path) -> hypencli.Project:
    return hypencli.open_store(bench)


Json = Callable[..., Any]


@pytest.fixture
def verb(hype: Hype, bench: Path) -> Json:
    """What a verb prints with ``--json`` in that store."""

    def run(*arguments: object) -> Any:
        outcome = hype(*arguments, "--store", bench, "--json")
        assert outcome.code == 0, outcome.err
        return outcome.json

    return run


def test_train(project: hypencli.Project, verb: Json, tiny_recipe_settings: list[str]) -> None:
    settings = [*tiny_recipe_settings, "--set", "training.steps=4"]
    printed = verb("train", "tiny", *settings, "--name", "short")
    values: dict[str, object] = dict(
        text.split("=", 1) for text in tiny_recipe_settings[1::2] if "losses" not in text
    )
    values |= {"training.steps": 4, "training.learning_rate": 5e-3}
    values["losses"] = [{"type": "cross_entropy"}]
    assert said(project.train("tiny", settings=values, name="short")) == said(printed)


def test_encode(project: hypencli.Project, verb: Json, tiny_collection: Path) -> None:
    corpus = tiny_collection / "corpus.jsonl"
    done = project.encode(corpus, model="hyper", limit=50, max_length=16, name="fifty")
    options = ["--limit", 50, "--max-length", 16, "--name", "fifty"]
    assert said(done) == said(verb("encode", corpus, "--model", "hyper", *options))
    assert done.n_documents == 50


def test_graph(project: hypencli.Project, verb: Json) -> None:
    done = project.graph("hyper-docs", k=5, metric="ip", name="near")
    printed = verb("graph", "hyper-docs", "--k", 5, "--metric", "ip", "--name", "near")
    assert said(done) == said(printed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, []),
        ({"engine": "guided", "budget": 40}, ["--engine", "guided", "--budget", 40]),
        ({"engine": "guided", "check": 3}, ["--approx", "--check", 3]),
        ({"rerank": "plain-run", "name": "both"}, ["--rerank", "plain-run", "--name", "both"]),
        ({"measures": ["AP", "nDCG@5"]}, ["--measures", "AP nDCG@5"]),
    ],
)
def test_search(
    project: hypencli.Project,
    verb: Json,
    tiny_collection: Path,
    options: dict[str, Any],
    words: list[object],
) -> None:
    queries, qrels = tiny_collection / "queries.jsonl", tiny_collection / "qrels.txt"
    chosen = {"model": "hyper", "embeddings": "hyper-docs"}
    done = project.search(queries, k=7, qrels=qrels, **chosen, **options)
    place = ["--model", "hyper", "--embeddings", "hyper-docs", "--k", 7, "--qrels", qrels]
    assert said(done) == said(verb("search", queries, *place, *words))


def test_search_over_a_graph(project: hypencli.Project, verb: Json, tiny_collection: Path) -> None:
    graph = project.graph("hyper-docs", k=6)
    queries = tiny_collection / "queries.jsonl"
    done = project.search(
        queries,
        engine="graph",
        k=7,
        model="hyper",
        embeddings="hyper-docs",
        graph=graph,
        preset="efficient-2",
        entry_points=20,
        early_stop=False,
    )
    place = ["--model", "hyper", "--embeddings", "hyper-docs", "--k", 7, "--engine", "graph"]
    walk = {"preset": "efficient-2", "entry_points": 20, "early_stop": "false"}
    walk["graph"] = graph.graph
    settings = [part for name, value in walk.items() for part in ("-o", f"{name}={value}")]
    printed = verb("search", queries, *place, *settings)
    assert said(done) == said(printed)


def test_query(project: hypencli.Project, verb: Json) -> None:
    text = "what is river and boat"
    place = ["--model", "hyper", "--embeddings", "hyper-docs"]
    answer = project.query(text, model="hyper", embeddings="hyper-docs", k=3)
    assert said(answer) == said(verb("query", text, *place, "--k", 3))
    assert [hit.rank for hit in answer.hits] == [1, 2, 3]
    assert all(hit.text for hit in answer.hits)
    approximate = project.query(text, model="hyper", embeddings="hyper-docs", k=3, engine="guided")
    assert said(approximate) == said(verb("query", text, *place, "--k", 3, "--approx"))
    assert len(project.query(text, model="hyper", embeddings="hyper-docs", k=7).hits) == 7


def test_evaluate(project: hypencli.Project, verb: Json, tiny_collection: Path) -> None:
    qrels = tiny_collection / "qrels.txt"
    run = project.search({"q0": "what is river"}, k=5, model="hyper", embeddings="hyper-docs")
    done = project.evaluate(run, qrels, measures=["AP", "R@5"])
    printed = verb("eval", run.run, "--qrels", qrels, "--measures", "AP, R@5")
    assert said(done) == said(printed)
    assert set(done.aggregates) == {"AP", "R@5"}


def test_compare(project: hypencli.Project, verb: Json) -> None:
    printed = verb("compare", "plain-run", "hyper-run", "--measures", "nDCG@10 RR")
    assert to_json(project.compare("plain-run", "hyper-run", measures=["nDCG@10", "RR"])) == printed


def test_leaderboard(project: hypencli.Project, verb: Json) -> None:
    boards = project.leaderboard(measures=["RR"])
    assert to_json(boards) == verb("report", "--measures", "RR")
    assert "RR" in boards[0].columns


@pytest.mark.parametrize("kind", ["runs", "models", "embeddings"])
def test_listings(project: hypencli.Project, verb: Json, kind: str) -> None:
    listed = getattr(project, kind)()
    assert to_json(listed) == verb("ls", kind)
    assert len(listed) >= 2


def test_sql(project: hypencli.Project, verb: Json) -> None:
    statement = "SELECT name, value FROM leaderboard WHERE measure = 'P@10' ORDER BY run"
    table = project.sql(statement)
    assert {"title": "", "rows": table.to_dicts()} == verb("report", "--sql", statement)
    assert {"hyper-run", "plain-run"} <= {row["name"] for row in table.to_dicts()}


def test_sql_with_two_columns_of_one_name_loses_neither(
    project: hypencli.Project, verb: Json
) -> None:
    statement = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a"
    table = project.sql(statement)
    assert table.columns == ("a", "a_2", "a_1", "a_3")
    assert table.to_arrow().to_pylist() == table.to_dicts()
    assert verb("report", "--sql", statement)["rows"] == table.to_dicts()


def test_results_of_a_run(project: hypencli.Project) -> None:
    results = project.results("hyper-run")
    table = results.to_arrow()
    assert table.column_names == ["query_id", "doc_id", "rank", "score"]
    assert len(table) == 12 * 20
    assert results.to_dicts()[0] == table.slice(0, 1).to_pylist()[0]


def test_texts_in_memory_from_end_to_end(project: hypencli.Project, tiny_collection: Path) -> None:
    documents = {"r": "the river and the bank", "s": "a star near the moon", "b": "bread, butter"}
    encoded = project.encode(documents, model="hyper")
    run = project.search(
        {"q1": "what is river", "q2": "moon and star"}, model="hyper", embeddings=encoded, k=2
    )
    assert encoded.corpus == run.corpus
    assert encoded.corpus.startswith("memory:")
    table = project.results(run).to_arrow()
    assert table["query_id"].to_pylist() == ["q1", "q1", "q2", "q2"]
    numbered = project.search(
        (text for text in ["what is river", "moon and star"]),
        model="hyper",
        corpus=encoded.corpus,
        k=2,
    )
    again = project.results(numbered).to_arrow()
    assert again["query_id"].to_pylist() == ["1", "1", "2", "2"]
    assert again["doc_id"] == table["doc_id"]
    assert project.encode(documents, model="hyper").existing
    assert project.encode([*documents.values()], model="hyper").corpus != encoded.corpus
    hits = project.query("moon", model="hyper", embeddings=encoded, k=1).hits
    assert hits[0].text in documents.values()


def test_records_stand_for_what_they_made(project: hypencli.Project, tiny_collection: Path) -> None:
    models = {model.name: model for model in project.models()}
    embeddings = {one.name: one for one in project.embeddings()}
    run = project.search(
        tiny_collection / "queries.jsonl",
        model=models["hyper"],
        embeddings=embeddings["hyper-docs"],
        k=20,
        qrels=tiny_collection / "qrels.txt",
    )
    assert run.name == "hyper-run"
    listed = next(one for one in project.runs() if one.name == "plain-run")
    assert project.compare(listed, run) == project.compare("plain-run", "hyper-run")


def test_the_default_model_is_the_newest_at_every_question(
    study: Path, tiny_collection: Path, tiny_recipe_settings: list[str], hype: Hype
) -> None:
    project = hypencli.open_store(study)
    assert project.query("moon").model == "plain"
    settings = [*tiny_recipe_settings, "--set", "training.steps=2", "--name", "newest"]
    assert hype("train", "tiny", *settings, "--store", study).code == 0
    project.encode(tiny_collection / "corpus.jsonl", model="newest")
    assert project.query("moon").model == "newest"


def test_a_store_is_made_where_none_is(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        hypencli.open_store(tmp_path / "new")
    made = hypencli.open_store(tmp_path / "new", create=True)
    assert len(made.runs()) == 0
    assert hypencli.open_store(tmp_path / "new", create=True).store.root == made.store.root


def test_no_store_is_an_error_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreNotFound):
        hypencli.open_store()
    assert not issubclass(StoreError, HypeError)
