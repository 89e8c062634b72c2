"""MTEB: a retrieval task on Cranfield's documents, and a reranking one, with no download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mteb
import pytest

import hypencli
from hypencli.api import Project
from hypencli.data.qrels import read_qrels
from hypencli.errors import UsageError
from hypencli.integrations.mteb import HypeSearch


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def task_of(
    corpus: Path, queries: Path, qrels: Path, top_ranked: dict[str, list[str]] | None = None
) -> Any:
    """A task of MTEB on files at hand."""
    import datasets

    documents = [
        {"id": one["id"], "title": one.get("title", ""), "text": one["text"]}
        for one in read(corpus)
    ]
    asked = [{"id": one["id"], "text": one["text"]} for one in read(queries)]
    judged = read_qrels(str(qrels)).qrels

    class OnFiles(mteb.abstasks.AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="OnFiles",
            description="A collection on disk.",
            reference=None,
            dataset={"path": "files/at-hand", "revision": "1"},
            type="Retrieval" if top_ranked is None else "Reranking",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )

        def load_data(self, **settings: Any) -> None:
            split = {
                "corpus": datasets.Dataset.from_list(documents),
                "queries": datasets.Dataset.from_list(
                    [one for one in asked if one["id"] in judged]
                ),
                "relevant_docs": judged,
                "top_ranked": top_ranked,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return OnFiles()


def score(model: HypeSearch, task: Any) -> float:
    done = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
    return float(done.task_results[0].scores["test"][0]["ndcg_at_10"])


@pytest.mark.parametrize("model", ["hyper", "plain"])
@pytest.mark.parametrize("name", ["tiny", "cranfield"])
def test_the_figure_is_that_of_hype_eval(
    study: Path, repository: Path, tiny_collection: Path, model: str, name: str
) -> None:
    project = hypencli.open_store(study)
    shared = repository.parent / "shared" / "data" / "cranfield"
    folder = {"tiny": tiny_collection, "cranfield": shared}[name]
    if not folder.is_dir():
        pytest.skip("the shared collections are not here")
    corpus, queries, qrels = (
        folder / file for file in ("corpus.jsonl", "queries.jsonl", "qrels.txt")
    )
    arithmetic = {"max_length": 128, "dtype": "float32", "storage_dtype": "float32"}
    encoded = project.encode(corpus, model=model, **arithmetic)
    run = project.search(queries, model=model, embeddings=encoded, qrels=qrels)
    expected = project.evaluate(run, qrels, measures=["nDCG@10"]).aggregates["nDCG@10"]
    place = project.store.get(model, kind="model")
    loaded = hypencli.load(project.store.root / "models" / place.id)
    assert score(
        HypeSearch(loaded, max_length=128), task_of(corpus, queries, qrels)
    ) == pytest.approx(expected, abs=1e-4)


def test_a_reranking_task_ranks_what_is_listed(project: Project, tiny_collection: Path) -> None:
    corpus, queries, qrels = (
        tiny_collection / file for file in ("corpus.jsonl", "queries.jsonl", "qrels.txt")
    )
    ids = [one["id"] for one in read(corpus)]
    listed = {one["id"]: ids[place::7] for place, one in enumerate(read(queries))}
    place = project.store.get("hyper", kind="model")
    model = HypeSearch(project.store.root / "models" / place.id, name="mine/hyper")
    assert model.mteb_model_meta.name == "mine/hyper"
    with pytest.raises(UsageError, match="nothing to search"):
        model.search([], top_k=3)
    score(model, task_of(corpus, queries, qrels, listed))
    ranked = model.search(read(queries), top_k=5, top_ranked=listed)
    everything = model.search(read(queries), top_k=len(ids))
    for query, documents in ranked.items():
        best = [one for one in everything[query] if one in set(listed[query])][:5]
        assert list(documents) == best
        assert all(documents[one] == pytest.approx(everything[query][one]) for one in best)
