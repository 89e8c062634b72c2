"""A small table on datasets that ir_datasets knows, and a store with two tiny trained models."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.ops.replicate.run import Replicated, ReplicateOptions, replicate
from hypencli.ops.replicate.selection import TableSelection
from hypencli.ops.replicate.survey import ReplicationStatus, replication_status
from hypencli.ops.replicate.table import Figure
from hypencli.recipe.replication import Replication
from hypestore import Store

_numbers = itertools.count()


@pytest.fixture(scope="module")
def collection(tiny_collection: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``NAME/one`` and ``NAME/two``: halves of the tiny queries on the documents of ``NAME``."""
    import json

    import ir_datasets

    folder = tmp_path_factory.mktemp("registered")
    name = f"replica-{next(_numbers)}"
    documents = map(json.loads, (tiny_collection / "corpus.jsonl").read_text().splitlines())
    lines = [f"{one['id']}\t{one['text']}" for one in documents]
    (folder / "docs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    whole = ir_datasets.create_dataset(docs_tsv=str(folder / "docs.tsv"))
    ir_datasets.registry.register(name, whole)
    queries = list(map(json.loads, (tiny_collection / "queries.jsonl").read_text().splitlines()))
    judged = (tiny_collection / "qrels.txt").read_text().splitlines()
    for part, members in {"one": queries[:5], "two": queries[5:]}.items():
        ids = {one["id"] for one in members}
        asked = "".join(f"{one['id']}\t{one['text']}\n" for one in members)
        (folder / f"{part}.tsv").write_text(asked, encoding="utf-8")
        own = [line for line in judged if line.split()[0] in ids]
        (folder / f"{part}.qrels").write_text("\n".join(own) + "\n", encoding="utf-8")
        handlers = ir_datasets.create_dataset(
            queries_tsv=str(folder / f"{part}.tsv"), qrels_trec=str(folder / f"{part}.qrels")
        )
        dataset = ir_datasets.Dataset(
            whole.docs_handler(), handlers.queries_handler(), handlers.qrels_handler()
        )
        ir_datasets.registry.register(f"{name}/{part}", dataset)
    return name


@pytest.fixture
def table(collection: str) -> dict[str, Any]:
    """Two models on two query sets, which are also pooled, in two ways."""
    return {
        "name": "small",
        "models": {
            "hype": {"source": "hyper"},
            "bi": {"source": "plain", "searches": ("exact",)},
        },
        "datasets": {
            "one": {"queries": f"{collection}/one"},
            "two": {"queries": f"{collection}/two", "query_max_length": 8},
        },
        "pools": {"both": {"datasets": ("one", "two")}},
        "searches": {"exact": {}, "walk": {"engine": "graph", "preset": "efficient-1"}},
        "encoding": {"max_length": 32},
        "graph": {"k": 5},
        "measures": ("nDCG@10", "R(rel=2)@20"),
        "k": 20,
    }


@pytest.fixture
def store(study: Path) -> Store:
    """The finished study without its vectors and runs: only the two models are left."""
    opened = Store.open(study)
    for kind in ("run", "embeddings"):
        for one in opened.artifacts(kind):  # type: ignore[arg-type]
            if opened.has(one.id):
                opened.remove(one.id, force=True)
    return opened


Make = Callable[..., Replicated]


@pytest.fixture
def make(store: Store, table: dict[str, Any]) -> Make:
    def make(**changes: Any) -> Replicated:
        recipe = Replication.model_validate({**table, **changes.pop("table", {})})
        return replicate(store, recipe, ReplicateOptions(device="cpu", **changes))

    return make


def look(store: Store, table: dict[str, Any], **changes: Any) -> ReplicationStatus:
    recipe = Replication.model_validate({**table, **changes})
    return replication_status(store, recipe, TableSelection(), device="cpu")


def figure(done: Replicated, *key: str) -> Figure:
    (actual,) = (
        one for one in done.figures if (one.model, one.dataset, one.search, one.measure) == key
    )
    return actual


def states(actual: ReplicationStatus) -> list[tuple[str, str]]:
    return [(one.state, one.step) for one in actual.steps]


def counts(store: Store) -> dict[str, int]:
    kinds = ("embeddings", "graph", "run", "evaluation")
    return {kind: len(store.artifacts(kind)) for kind in kinds}  # type: ignore[arg-type]
