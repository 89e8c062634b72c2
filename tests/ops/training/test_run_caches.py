"""What trainings of one store share, and what a training keeps of its trackers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hypencli.errors import DataError, ModelError
from hypencli.models.load import ModelSpec, build_dual_encoder
from hypencli.ops.training.run import TrainedModel, train
from hypencli.recipe import load_recipe
from hypestore import Store
from tests.progress import Counting

TOKENISED = {"reading training rows"}
ENCODED = {"encoding queries", "encoding passages"}
FROZEN = ("model.freeze_encoder=true", "training.cache_encoder=true")

Train = Callable[..., tuple[TrainedModel, set[str]]]


@pytest.fixture(scope="module")
def train_in(tiny_backbone: Path, tiny_collection: Path) -> Train:
    """Train the recipe ``tiny`` for two steps; gives the model and the jobs that it took."""
    torch.set_num_threads(1)

    def run(store: Store, *overrides: str) -> tuple[TrainedModel, set[str]]:
        listener = Counting()
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


@pytest.fixture(scope="module")
def first(
    train_in: Train, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, TrainedModel, set[str]]:
    """A store with a training on a frozen encoder, and the caches that it made."""
    store = Store.create(tmp_path_factory.mktemp("caches") / "store")
    trained, jobs = train_in(store, *FROZEN)
    assert jobs == TOKENISED | ENCODED
    created = {cache.name for cache in store.caches()}
    assert len(created) == 2
    return store, trained, created


@pytest.mark.parametrize(
    "change", ["training.seed=7", "training.learning_rate=1e-4", "model.converter.layers=1"]
)
def test_another_run_on_the_same_texts_reads_and_encodes_nothing(
    change: str, first: tuple[Store, TrainedModel, set[str]], train_in: Train
) -> None:
    store, trained, created = first
    other, jobs = train_in(Store.open(store.root), *FROZEN, change)
    assert (jobs, other.existing) == (set(), False)
    assert other.model_id != trained.model_id
    assert created <= {cache.name for cache in store.caches()}


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        (("training.cache_encoder=false",), set()),
        (("training.cache_dtype=float16",), ENCODED),
        (("data.query_max_length=5",), TOKENISED | {"encoding queries"}),
        (("training.precision=bfloat16",), ENCODED),
        (
            ("data.random_negatives=3", "data.random_negatives_from={corpus}"),
            TOKENISED | {"encoding passages"},
        ),
    ],
)
def test_what_changes_a_cache_makes_another(
    changes: tuple[str, ...],
    jobs: set[str],
    first: tuple[Store, TrainedModel, set[str]],
    train_in: Train,
    tiny_collection: Path,
) -> None:
    filled = [change.format(corpus=tiny_collection / "corpus.jsonl") for change in changes]
    assert train_in(first[0], *FROZEN, *filled)[1] == jobs


def test_the_training_rows_as_held_out_rows_are_read_once(
    first: tuple[Store, TrainedModel, set[str]], train_in: Train, tiny_collection: Path
) -> None:
    rows = f"validation.rows={tiny_collection / 'train.jsonl'}"
    assert train_in(first[0], *FROZEN, rows)[1] == set()


def test_a_deleted_cache_is_made_again(
    first: tuple[Store, TrainedModel, set[str]], train_in: Train
) -> None:
    store, trained, _ = first
    weights = (trained.path / "model.safetensors").read_bytes()
    store.remove(trained.model_id)
    for cache in store.caches():
        store.remove_cache(cache.name)
    again, jobs = train_in(store, *FROZEN)
    assert (again.model_id, jobs) == (trained.model_id, TOKENISED | ENCODED)
    assert (again.path / "model.safetensors").read_bytes() == weights


class Editing(Counting):
    """Edits a file when a job begins."""

    def __init__(self, job: str, edit: Callable[[], object]) -> None:
        super().__init__()
        self._job, self._edit = job, edit

    @contextmanager
    def task(self, description: str, **options: Any) -> Iterator[Any]:
        if description == self._job:
            self._edit()
        with super().task(description, **options) as task:
            yield task


def test_rows_that_are_edited_before_they_are_read_leave_no_cache(
    tiny_backbone: Path, tiny_collection: Path, tmp_path: Path
) -> None:
    rows = Path(shutil.copy(tiny_collection / "train.jsonl", tmp_path / "train.jsonl"))
    original = rows.read_text(encoding="utf-8")
    changes = [f"model.backbone={tiny_backbone}", f"data.train={rows}", "training.steps=2"]
    recipe = load_recipe("tiny", changes)
    store = Store.create(tmp_path / "store")

    def edit() -> None:
        rows.write_text(original.replace("the", "bread"), encoding="utf-8")

    with pytest.raises(DataError, match="changed while they were read"):
        train(store, recipe, progress=Editing("reading training rows", edit))
    assert store.caches() == []
    assert store.unfinished("model") == []
    rows.write_text(original, encoding="utf-8")
    trained, clean = train(store, recipe), train(Store.create(tmp_path / "clean"), recipe)
    assert trained is not None
    assert clean is not None
    weights = [(one.path / "model.safetensors").read_bytes() for one in (trained, clean)]
    assert weights[0] == weights[1]


def test_a_backbone_that_is_edited_after_its_fingerprint_is_refused(
    tiny_backbone: Path, tiny_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Path(shutil.copytree(tiny_backbone, tmp_path / "backbone"))
    rows = tiny_collection / "train.jsonl"
    changes = [f"model.backbone={backbone}", f"data.train={rows}", "training.steps=2"]

    def edit_then_build(spec: ModelSpec) -> Any:
        with (backbone / "model.safetensors").open("r+b") as weights:
            weights.seek(-64, 2)
            weights.write(bytes(64))
        return build_dual_encoder(spec)

    store, recipe = Store.create(tmp_path / "store"), load_recipe("tiny", changes)
    monkeypatch.setattr("hypencli.models.load.build_dual_encoder", edit_then_build)
    with pytest.raises(ModelError, match="changed while they were read"):
        train(store, recipe)
    assert store.artifacts("model") == []
    assert store.unfinished("model") == []


@pytest.mark.filterwarnings("ignore")
def test_events_of_tensorboard_stay_with_the_model(train_in: Train, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    trained, _ = train_in(store, "training.report_to=['tensorboard']")
    (events,) = trained.path.glob("runs/*/*tfevents*")
    listed = [record.path for record in store.get(trained.model_id).files]
    assert events.relative_to(trained.path).as_posix() in listed
    assert not (trained.path / "unfinished").exists()
