"""The graph builder of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hypestore
from hypencli.__main__ import main
from hypencli.errors import UsageError
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.graphs.registry import BUILDERS, builder_class, builder_names
from hypestore import Manifest, Store
from tests.docs.installing import Example

N, DIM = 300, 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "study")


@pytest.fixture
def docs(store: Store) -> Manifest:
    vectors = np.random.default_rng(1).normal(size=(N, DIM)).astype(np.float32)
    spec = hypestore.EmbeddingSpec(
        id_prefix="docs",
        inputs={"corpus": "file:docs.jsonl"},
        dim=DIM,
        dtype="float32",
        keep_text=False,
    )
    with store.embedding_work(spec, name="docs") as work:
        work.write_shard(0, [f"d{i}" for i in range(N)], vectors, None)
        return work.finish(N)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("metric", ["l2", "ip", "cos"])
def test_a_graph_is_built_and_its_recall_measured(
    store: Store, docs: Manifest, metric: str
) -> None:
    assert builder_names() == [*BUILDERS, "random-lines"]
    many = {"lines": 40, "beside": 40}
    options = {"k": 5, "metric": metric, "builder": "random-lines"}
    good = build_graph(store, docs, GraphOptions(**options, options=many))
    poor = build_graph(store, docs, GraphOptions(**options, options={"lines": 1, "beside": 3}))
    assert good.recall is not None
    assert poor.recall is not None
    assert good.recall > 0.95 > poor.recall
    assert (good.advice, poor.advice) == (None, "raise lines or beside")
    inputs = store.get(good.graph).inputs
    assert inputs["builder"] == "random-lines"
    assert (inputs["lines"], inputs["beside"], inputs["seed"]) == (40, 40, 0)


@pytest.mark.usefixtures("site", "docs")
def test_as_typed_on_the_page(example: Callable[[str], Example], store: Store) -> None:
    (typed,) = example("A graph builder").commands
    command = [*typed, "--store", str(store.root)]
    assert main(command) == 0
    assert main([*command, "--seed", "3"]) == 0
    first, second = sorted(store.artifacts("graph"), key=lambda graph: graph.input_int("seed"))
    assert (first.inputs["lines"], second.inputs["seed"]) == (32, 3)


@pytest.mark.usefixtures("site")
def test_its_options_are_checked(store: Store, docs: Manifest) -> None:
    for options, word in (({"lines": 0}, "at least 1"), ({"trees": 3}, "beside, lines")):
        with pytest.raises(UsageError) as caught:
            build_graph(store, docs, GraphOptions(builder="random-lines", options=options))
        assert word in str(caught.value)


def test_without_the_package_it_is_unknown() -> None:
    with pytest.raises(UsageError, match="no builder 'random-lines'"):
        builder_class("random-lines")
