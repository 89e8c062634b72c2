"""Arguments that are refused: the type of the error, and the value that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypencli
from hypencli.errors import DataError, HypeError, ModelError, RecipeError, UsageError
from hypestore import ArtifactNotFound, CatalogQueryError, Store, StoreError

HYPER = {"model": "hyper", "embeddings": "hyper-docs"}

Call = Callable[[hypencli.Project], object]


@pytest.fixture
def project(bench: Path) -> hypencli.Project:
    return hypencli.open_store(bench)


@pytest.fixture(scope="module")
def model(finished_study: Path) -> hypencli.Model:
    store = Store.open(finished_study)
    return hypencli.load(store.path(store.get("hyper")))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda p: p.query("x", k=0, **HYPER), "k is 0"),
        (lambda p: p.query("x", k=1.5, **HYPER), "1.5"),
        (lambda p: p.query("x", k=True, **HYPER), "True"),
        (lambda p: p.query("x", k="3", **HYPER), "'3'"),
        (lambda p: p.query("x", width=0, **HYPER), "width is 0"),
        (lambda p: p.query("x", kk=3, **HYPER), "'kk'"),
        (lambda p: p.query("x", check=3, **HYPER), "'check'"),
        (lambda p: p.query("x", engine="exakt", **HYPER), "'exakt'"),
        (lambda p: p.query("x", engine=3, **HYPER), "3"),
        (lambda p: p.query("x", budget=5, **HYPER), "budget"),
        (lambda p: p.query("x", engine="guided", gain=2, **HYPER), "gain"),
        (lambda p: p.query("x", engine="guided", gain="a", **HYPER), "gain=a"),
        (lambda p: p.query("x", engine="guided", budget=2, **HYPER), "2 evaluations"),
        (lambda p: p.query("x", engine="graph", preset="slow", **HYPER), "slow"),
        (lambda p: p.query("x", model=3), "3"),
        (lambda p: p.query("x", model="hyper", embeddings=3), "3"),
        (lambda p: p.query("x", trust_code="yes", **HYPER), "'yes'"),
        (lambda p: p.query("x", device=3, **HYPER), "3"),
        (lambda p: p.search(7, **HYPER), "7"),
        (lambda p: p.search(b"river", **HYPER), "b'river'"),
        (lambda p: p.search(["x"], measures="AP", **HYPER), "'AP'"),
        (lambda p: p.search(["x"], measures=[3], **HYPER), "3"),
        (lambda p: p.search(["x"], rerank=5, **HYPER), "5"),
        (lambda p: p.search(["x"], rerank="plain-run", engine="exact", **HYPER), "exact"),
        (lambda p: p.search(["x"], recall=2, **HYPER), "recall is 2"),
        (lambda p: p.search(["x"], qrels={"q": {}}, **HYPER), "{'q': {}}"),
        (lambda p: p.search(["x"], id_key="id", **HYPER), "id_key"),
        (lambda p: p.search(["x"], name=5, **HYPER), "5"),
        (lambda p: p.search(["x"], batch_queries=0, **HYPER), "batch_queries is 0"),
        (lambda p: p.encode(7, model="hyper"), "7"),
        (lambda p: p.encode(["x"], model="hyper", limit=0), "limit is 0"),
        (lambda p: p.encode(["x"], model="hyper", shard_rows=-1), "shard_rows is -1"),
        (lambda p: p.encode(["x"], model="hyper", max_length=1), "max_length is 1"),
        (lambda p: p.encode(["x"], model="hyper", keep_text=1), "keep_text"),
        (lambda p: p.encode(["x"], model="hyper", part="1/2"), "'1/2'"),
        (lambda p: p.encode(["x"], model="hyper", part=(3, 2)), "part 3 of 2"),
        (lambda p: p.encode(["x"], model="hyper", wait_seconds=float("nan")), "nan"),
        (lambda p: p.encode(["x"], model="hyper", on_error="skip"), "on_error"),
        (lambda p: p.encode(["x"], model="hyper", wait_seconds=-1), "wait_seconds is -1"),
        (lambda p: p.encode("x.jsonl", model="hyper", on_error="x"), "'x'"),
        (lambda p: p.encode("x.jsonl", model="hyper", id_key=3), "3"),
        (lambda p: p.encode({"a", "b"}, model="hyper"), "{'"),
        (lambda p: p.search({"a", "b"}, **HYPER), "{'"),
        (lambda p: p.search(["x"], k=-1, **HYPER), "k is -1"),
        (lambda p: p.search(["x"], k=np.float64(3), **HYPER), "3.0"),
        (lambda p: p.graph("hyper-docs", seed=-1), "seed is -1"),
        (lambda p: p.sql("SELECT '\udcff'"), "udcff"),
        (lambda p: p.train("tiny", restart="x"), "'x'"),
        (lambda p: hypencli.open_store("x", create="x"), "'x'"),  # type: ignore[arg-type]
        (lambda p: hypencli.load(3), "3"),  # type: ignore[arg-type]
        (lambda p: hypencli.load("x", trust_code="yes"), "'yes'"),  # type: ignore[arg-type]
        (lambda p: hypencli.load("x", backbone=3), "3"),  # type: ignore[arg-type]
        (lambda p: p.graph("hyper-docs", k=0), "k is 0"),
        (lambda p: p.graph("hyper-docs", metric="near"), "'near'"),
        (lambda p: p.graph("hyper-docs", kk=3), "'kk'"),
        (lambda p: p.graph(3), "3"),
        (lambda p: p.train(3), "3"),
        (lambda p: p.train("tiny", settings="training.steps=3"), "'training.steps=3'"),
        (lambda p: p.train("tiny", name=3), "name"),
        (lambda p: p.evaluate(5), "5"),
        (lambda p: p.evaluate("hyper-run", 5), "5"),
        (lambda p: p.evaluate("hyper-run", measures="AP"), "'AP'"),
        (lambda p: p.evaluate("hyper-run", measures=["nonsense"]), "'nonsense'"),
        (lambda p: p.compare("hyper-run", p.models()[0]), "kind='model'"),
        (lambda p: p.compare("hyper-run", None), "None"),
        (lambda p: p.leaderboard(measures="AP"), "'AP'"),
        (lambda p: p.sql(4), "4"),
        (lambda p: hypencli.open_store(create=True), "Where"),
        (lambda p: hypencli.open_store(3), "3"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument(project: hypencli.Project, call: Call, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(project)
    assert named in caught.value.message
    assert "--" not in caught.value.message


@pytest.mark.parametrize(
    ("call", "kind", "named"),
    [
        (lambda p: p.query(5, **HYPER), DataError, "5"),
        (lambda p: p.query(" ", **HYPER), DataError, "empty"),
        (lambda p: p.query("\ud800", **HYPER), DataError, "d800"),
        (lambda p: p.search([], **HYPER), DataError, "query"),
        (lambda p: p.search([5], **HYPER), DataError, "5"),
        (lambda p: p.search({"a": None}, **HYPER), DataError, "None"),
        (lambda p: p.search("nothing.jsonl", **HYPER), DataError, "'nothing.jsonl'"),
        (lambda p: p.encode([], model="hyper"), DataError, "document"),
        (lambda p: p.encode("nothing.jsonl", model="hyper"), DataError, "'nothing.jsonl'"),
        (lambda p: p.train("tinny"), RecipeError, "'tinny'"),
        (lambda p: p.train("tiny", settings={"training.stepps": 3}), RecipeError, "stepps"),
        (lambda p: p.train("tiny", settings={"training.steps": None}), RecipeError, "null"),
        (lambda p: p.evaluate("nothing"), ArtifactNotFound, "'nothing'"),
        (lambda p: p.results("hyper-docs"), ArtifactNotFound, "'hyper-docs'"),
        (lambda p: p.sql("DROP TABLE runs"), CatalogQueryError, "DROP"),
    ],
)
def test_wrong_data_gives_the_error_of_the_command(
    project: hypencli.Project, call: Call, kind: type[HypeError | StoreError], named: str
) -> None:
    with pytest.raises(kind) as caught:
        call(project)
    assert named in caught.value.message


def test_nothing_that_was_refused_is_left_in_the_store(project: hypencli.Project) -> None:
    before = project.sql("SELECT count(*) AS n FROM artifacts").to_dicts()
    with pytest.raises(DataError):
        project.encode(["fine", 5], model="hyper")  # type: ignore[list-item]
    with pytest.raises(UsageError):
        project.search(["x"], k=0, **HYPER)
    assert project.sql("SELECT count(*) AS n FROM artifacts").to_dicts() == before
    assert not any(one.unfinished for one in project.embeddings())


@pytest.mark.parametrize(
    ("call", "kind", "named"),
    [
        (lambda m: m.encode_passages("one text"), UsageError, "'one text'"),
        (lambda m: m.encode_passages({"a": "text"}), UsageError, "{'a': 'text'}"),
        (lambda m: m.encode_passages(5), UsageError, "5"),
        (lambda m: m.encode_passages([b"x"]), DataError, "b'x'"),
        (lambda m: m.encode_passages(["x", None]), DataError, "Passage 2"),
        (lambda m: m.encode_passages(["x"], max_length=1), UsageError, "max_length is 1"),
        (lambda m: m.encode_passages(["x"], batch_size=0), UsageError, "batch_size is 0"),
        (lambda m: m.encode_passages(["x"], batch_size=1.5), UsageError, "1.5"),
        (lambda m: m.encode_queries("one text"), UsageError, "'one text'"),
        (lambda m: m.encode_queries([]), UsageError, "empty"),
        (lambda m: m.encode_queries(["x", 5]), DataError, "Query 2"),
        (lambda m: m.encode_queries(["x"], max_length=0), UsageError, "max_length is 0"),
        (lambda m: m.encode_queries(["x"])(np.array([["a"]])), UsageError, "U1"),
        (lambda m: m.encode_queries(["x"])(np.ones((1, 32)) + 1j), UsageError, "complex128"),
        (lambda m: m.encode_queries(["x"])(np.ones((1, 32), bool)), UsageError, "bool"),
        (lambda m: m.encode_queries(["x"])(np.ones((1, 32), object)), UsageError, "object"),
        (lambda m: m.encode_queries(["x"])(np.zeros((1, 32), "M8[s]")), UsageError, "datetime64"),
        (lambda m: m.encode_queries(["x"])({1, 2}), UsageError, "object"),
        (lambda m: m.encode_queries(["x"])(np.full((1, 32), 1e300)), ModelError, "finite scores"),
        (lambda m: m.encode_queries(["x"], width="8"), UsageError, "'8'"),
        (lambda m: m.encode_passages({"x", "y"}), UsageError, "{'"),
        (lambda m: m.encode_passages(["x"], dtype=np.float32), UsageError, "float32"),
        (lambda m: m.encode_queries(["x"])([[1, 2], [3]]), UsageError, "vectors"),
        (lambda m: m.encode_queries(["x"])(np.zeros(32)), UsageError, "[32]"),
    ],
)
def test_a_model_refuses_what_is_no_list_of_texts(
    model: hypencli.Model, call: Callable[[Any], object], kind: type[HypeError], named: str
) -> None:
    with pytest.raises(kind) as caught:
        call(model)
    assert named in caught.value.message


def test_a_model_takes_numpy_strings_and_generators(model: hypencli.Model) -> None:
    texts = ["the river", "a star"]
    expected = model.encode_passages(texts)
    assert model.encode_passages([]).shape == (0, 32)
    for same in (np.array(texts), tuple(texts), (text for text in texts)):
        np.testing.assert_array_equal(model.encode_passages(same), expected)
    scores = model.encode_queries(texts)(expected)
    np.testing.assert_array_equal(model.encode_queries(np.array(texts))(expected), scores)


def test_numbers_of_numpy_are_taken(project: hypencli.Project) -> None:
    hits = project.query("moon", k=np.int64(2), **HYPER).hits  # type: ignore[arg-type]
    assert len(hits) == 2


@pytest.mark.parametrize("options", [{"k": 3 * 10**9}, {"k": 10**30}, {"batch_queries": 2**31}])
def test_numbers_that_no_column_holds_are_refused(
    project: hypencli.Project, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="too large: 2,147,483,647"):
        project.search({"q": "a question"}, **HYPER, **options)
