"""What trainings of one store share, and what a training keeps of its trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli.ops.train import TrainedModel, train
from hypencli.recipe import load_recipe
from hypestore import Store

TOKENISED = {"reading training rows"}
ENCODED = {"encoding queries", "encoding passages"}
FROZEN = ("model.freeze_encoder=true", "training.cache_encoder=true")

Train = Callable[..., tuple[TrainedModel, set[str]]]


class Listener:
    """Hears which long jobs were done, and how much of each."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    @contextmanager
    def task(self, description: str, **_: Any) -> Iterator[Any]:
        outer = self
        self.done.setdefault(description, 0)

        class Task:
            def advance(self, count: int = 1) -> None:
                outer.done[description] += count

            def set_total(self, total: int) -> None: ...

            def note(self, text: str) -> None: ...

        yield Task()

    def message(self, text: str) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Store:
    torch.set_num_threads(1)
    return Store.create(tmp_path / "store")


@pytest.fixture
def train_tiny(store: Store, tiny_backbone: Path, tiny_collection: Path) -> Train:
    """Train the recipe ``tiny`` for two steps; gives the model and the jobs that it took."""

    def run(*overrides: str) -> tuple[TrainedModel, set[str]]:
        listener = Listener()
        places = [
            f"model.backbone={tiny_backbone}",
            f"data.train={tiny_collection / 'train.jsonl'}",
        ]
        recipe = load_recipe("tiny", [*places, "training.steps=2", *overrides])
        trained = train(store, recipe, progress=listener)
        assert trained is not None
        assert all(count > 0 for count in listener.done.values())
        return trained, set(listener.done) - {"training"}

    return run


def test_another_seed_reads_and_encodes_nothing_anew(store: Store, train_tiny: Train) -> None:
    first, jobs = train_tiny(*FROZEN)
    assert jobs == TOKENISED | ENCODED
    made = {cache.name for cache in store.caches()}
    assert len(made) == 2
    others = ("training.seed=7", "training.learning_rate=1e-4", "model.converter.layers=1")
    for change in others:
        other, jobs = train_tiny(*FROZEN, change)
        assert (jobs, other.existing) == (set(), False), change
        assert other.model_id != first.model_id
    assert {cache.name for cache in store.caches()} == made


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        (("training.cache_encoder=false",), set()),
        (("training.cache_dtype=float16",), ENCODED),
        (("data.query_max_length=5",), TOKENISED | ENCODED),
        (("training.precision=bfloat16",), ENCODED),
        (("data.random_negatives=3", "data.random_negatives_from={corpus}"), TOKENISED | ENCODED),
    ],
)
def test_what_changes_a_cache_makes_another(
    changes: tuple[str, ...], jobs: set[str], train_tiny: Train, tiny_collection: Path
) -> None:
    train_tiny(*FROZEN)
    filled = [change.format(corpus=tiny_collection / "corpus.jsonl") for change in changes]
    assert train_tiny(*FROZEN, *filled)[1] == jobs


def test_held_out_rows_are_a_cache_of_their_own(
    store: Store, train_tiny: Train, tiny_collection: Path
) -> None:
    """The training rows as validation rows are the same texts: nothing is read or encoded twice."""
    rows = f"validation.rows={tiny_collection / 'train.jsonl'}"
    assert train_tiny(*FROZEN, rows)[1] == TOKENISED | ENCODED
    assert len(store.caches()) == 2


def test_a_cache_that_was_deleted_is_made_again(store: Store, train_tiny: Train) -> None:
    first, _ = train_tiny(*FROZEN)
    weights = (first.path / "model.safetensors").read_bytes()
    again = Store.open(store.root)
    again.remove(first.model_id)
    for cache in store.caches():
        store.remove_cache(cache.name)
    second, jobs = train_tiny(*FROZEN)
    assert jobs == TOKENISED | ENCODED
    assert (second.path / "model.safetensors").read_bytes() == weights


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, ("tensorboard", "tensorboardX"))),
    reason="tensorboard is not installed",
)
@pytest.mark.filterwarnings("ignore")
def test_events_of_tensorboard_stay_with_the_model(store: Store, train_tiny: Train) -> None:
    trained, _ = train_tiny("training.report_to=['tensorboard']")
    (events,) = trained.path.glob("runs/*/*tfevents*")
    listed = [record.path for record in store.get(trained.model_id).files]
    assert events.relative_to(trained.path).as_posix() in listed
    assert not (trained.path / "unfinished").exists()
