"""Replications: what is shipped, what the papers say in it, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypencli.errors import RecipeError
from hypencli.recipe.replication import (
    Replication,
    list_replications,
    load_replication,
    replications_folder,
)

NAMES = ["efficient", "encoders", "hard", "in-domain", "out-of-domain", "robustness"]

TABLES: dict[str, list[tuple[str, str, str, str, float]]] = {
    "in-domain": [
        ("hypencoder", "dl", "exact", "nDCG@10", 0.736),
        ("hypencoder", "dl", "exact", "RR(rel=2)", 0.885),
        ("hypencoder", "dl", "exact", "R(rel=2)@1000", 0.871),
        ("hypencoder", "dev", "exact", "RR@10", 0.386),
        ("hypencoder", "dev", "exact", "R@1000", 0.981),
        ("be-base", "dl", "exact", "nDCG@10", 0.713),
        ("be-base", "dev", "exact", "RR@10", 0.359),
        ("RepLLaMA 7B", "dev", "exact", "R@1000", 0.994),
    ],
    "out-of-domain": [
        ("hypencoder", "trec-covid", "exact", "nDCG@10", 0.688),
        ("hypencoder", "fiqa", "exact", "nDCG@10", 0.314),
        ("be-base", "nfcorpus", "exact", "nDCG@10", 0.327),
        ("hypencoder", "dbpedia", "exact", "nDCG@10", 0.419),
        ("BM25", "touche", "exact", "nDCG@10", 0.367),
    ],
    "hard": [
        ("hypencoder", "dl-hard", "exact", "nDCG@10", 0.630),
        ("be-base", "dl-hard", "exact", "R(rel=2)@1000", 0.805),
        ("hypencoder", "tot", "exact", "nDCG@1000", 0.182),
        ("hypencoder", "robust04", "exact", "AP", 0.212),
        ("hypencoder", "news21", "exact", "nDCG@5", 0.272),
        ("hypencoder", "core17", "exact", "AP", 0.193),
        ("hypencoder", "news21", "exact", "p-MRR", 0.020),
        ("be-base", "core17", "exact", "p-MRR", -0.077),
        ("BM25", "robust04", "exact", "p-MRR", -0.031),
    ],
    "encoders": [
        ("tasb-plain", "dl", "exact", "nDCG@10", 0.700),
        ("tasb-plain", "dev", "exact", "RR@10", 0.344),
    ],
    "efficient": [
        ("hypencoder", "dl-2019", "exact", "ms/query", 1769.8),
        ("hypencoder", "dl-2019", "efficient-1", "nDCG@10", 0.702),
        ("hypencoder", "dl-2020", "efficient-1", "ms/query", 59.6),
        ("hypencoder", "dl-2020", "efficient-2", "nDCG@10", 0.731),
    ],
    "robustness": [
        ("hypencoder", "dl-misspelling", "exact", "nDCG@10", 32.4),
        ("be-base", "dl-synonym", "exact", "nDCG@10", 16.0),
        ("hypencoder", "dev-ordering", "exact", "RR@10", 2.1),
        ("be-base", "dev-word-drop", "exact", "RR@10", 34.8),
    ],
}
"""Figures read off the papers' tables, again and by hand."""

SMALL = """
measures = ["nDCG@10"]
[models.mine]
source = "mine"
[datasets.first]
queries = "./first.jsonl"
corpus = "docs.jsonl"
"""


def figures(recipe: Replication) -> dict[tuple[str, str, str, str], float]:
    assert recipe.published is not None
    return {
        (one.model, one.dataset, one.search, measure): value
        for one in recipe.published.figures
        for measure, value in one.values.items()
    }


@pytest.fixture
def write(tmp_path: Path) -> object:
    def write(text: str) -> Path:
        path = tmp_path / "table.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_what_is_shipped() -> None:
    summaries = list_replications()
    assert [one.name for one in summaries] == NAMES
    assert all(10 <= len(one.description) <= 80 for one in summaries)
    assert {path.stem for path in replications_folder().iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", TABLES)
def test_figures_are_those_of_the_papers(name: str) -> None:
    actual = figures(load_replication(name))
    for *key, value in TABLES[name]:
        assert actual[tuple(key)] == value, key  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_no_figure_is_given_twice(name: str) -> None:
    recipe = load_replication(name)
    assert recipe.published is not None
    inputs = [
        (one.model, one.dataset, one.search, measure)
        for one in recipe.published.figures
        for measure in one.values
    ]
    assert len(inputs) == len(set(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_a_row_is_one_that_is_measured(name: str) -> None:
    recipe = load_replication(name)
    for model, shown, _, measure in figures(recipe):
        if model not in recipe.models or measure == "ms/query":
            continue
        if measure == "p-MRR":
            assert recipe.datasets[shown].changed_queries is not None, (model, shown)
            continue
        for member in recipe.members_of(shown):
            assert measure in recipe.measures_of(member), (model, shown, measure)


def test_long_queries_and_prepared_data_where_the_paper_has_them() -> None:
    assert load_replication("out-of-domain").query_max_length == 512
    hard = load_replication("hard")
    assert {one.prepare for one in hard.datasets.values()} == {
        "dl-hard-test",
        "tot-test",
        "followir-test",
    }
    assert hard.source_of("hypencoder", "dl-hard") == "jfkback/hypencoder.6_layer"
    assert hard.source_of("hypencoder", "tot") == "hypencoder-tot"


def test_perturbed_queries_are_lost_against_those_they_are_made_of() -> None:
    recipe = load_replication("robustness")
    perturbed = {name: one for name, one in recipe.datasets.items() if one.perturb is not None}
    assert len(perturbed) == 15
    for name, one in perturbed.items():
        assert one.loss_against is not None
        base = recipe.datasets[one.loss_against]
        assert (one.queries, one.qrels) == (base.queries, base.queries), name
        assert name == f"{one.loss_against}-{one.perturb}"
    assert recipe.perturb.lacks("misspelling") is None


def test_word_lists_and_changed_queries_are_meant_from_the_recipe(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    table = SMALL + "qrels = 'q'\nchanged_queries = './c.jsonl'\nchanged_qrels = './c.txt'\n"
    recipe = load_replication(write(table + "[perturb]\nwords = './words.tsv'\nmodel = 't5'\n"))
    changed = recipe.datasets["first"].with_changed_instructions()
    assert (changed.queries, changed.qrels) == (
        str(tmp_path / "c.jsonl"),
        str(tmp_path / "c.txt"),
    )
    assert (changed.corpus, changed.changed_queries) == ("docs.jsonl", None)
    assert (recipe.perturb.words, recipe.perturb.model) == (str(tmp_path / "words.tsv"), "t5")


def test_the_table_of_the_readme_is_complete(repository: Path) -> None:
    readme = (repository / "recipes" / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| table | what |") :].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == NAMES


def test_places_are_meant_from_the_recipe_and_overrides_win(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipe = load_replication(write(SMALL), ["models.mine.source=other", "encoding.limit=7"])
    assert recipe.name == "table"
    assert recipe.datasets["first"].queries == str(tmp_path / "first.jsonl")
    assert recipe.datasets["first"].corpus == "docs.jsonl"
    assert (recipe.models["mine"].source, recipe.encoding.limit) == ("other", 7)


def test_one_may_extend_a_shipped_one(write) -> None:  # type: ignore[no-untyped-def]
    recipe = load_replication(write('extends = "in-domain"\n[models.mine]\nsource = "mine"\n'))
    assert list(recipe.models) == ["BM25", "hypencoder", "be-base", "mine"]
    assert recipe.published == load_replication("in-domain").published


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[models.mine]\nsuorce = 1", ["unknown key 'models.mine.suorce'", "'source'"]),
        ("[datasets.second]\ncorpus = 'x'", ["datasets.second.queries is missing"]),
        ("[pools.both]\ndatasets = ['first', 'third']", ["pools.both.datasets", "'third'"]),
        ("[models.mine]\nsearches = ['fast']", ["models.mine.searches", "'fast'"]),
        ("[models.mine]\ninstead = {x = 'y'}", ["models.mine.instead", "'x'"]),
        ("[datasets.first]\nloss_against = 'x'", ["first.loss_against", "'x'"]),
        ("[datasets.first]\nloss_against = 'first'", ["first.loss_against names itself"]),
        ("[datasets.first]\nperturb = 'ordering'", ["datasets.first", "perturb needs qrels"]),
        ("[datasets.first]\nperturb = 'odering'", ["datasets.first.perturb", "'ordering'"]),
        ("[datasets.first]\nchanged_queries = 'x'", ["datasets.first", "p-MRR needs"]),
        (
            "[datasets.first]\nqrels = 'q'\nperturb = 'ordering'\nchanged_queries = 'x'\n"
            "changed_qrels = 'y'",
            ["datasets.first", "exclude each other"],
        ),
        ("[perturb]\nchanges = 0", ["perturb.changes", "greater than or equal to 1"]),
        ("[searches.s]\nengine = 3", ["searches.s.engine"]),
        ("[searches.s]\nengine = 'graph'\ncandidates = [1]", ["searches.s", "candidates is no"]),
        ("[encoding]\nlimit = 0", ["encoding.limit", "greater than or equal to 1"]),
        (
            "[published]\nsource='p'\n[[published.figures]]\nmodel='m'\ndataset='x'\n"
            "values={'nDCG@10'=0.5}",
            ["published.figures: dataset", "'x'"],
        ),
        (
            "[pools.first]\ndatasets = ['first', 'first']",
            ["a pool has the name of a dataset"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write, more: str, said: list[str]) -> None:  # type: ignore[no-untyped-def]
    table = SMALL
    section = more.splitlines()[0]
    if section in table:  # TOML takes a table once
        table = table.replace(section, more)
    else:
        table += more
    with pytest.raises(RecipeError) as refused:
        load_replication(write(table))
    assert all(part in str(refused.value) for part in said), str(refused.value)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match="No recipe 'in-domian'") as refused:
        load_replication("in-domian")
    assert "Did you mean 'in-domain'" in str(refused.value)
