"""The record of what a long work does at the moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypencli.ops.phase import Phase, RecordedProgress, read_phase
from hypencli.ops.project import ShownWork, listing, show
from hypencli.ops.training.run import train
from hypencli.progress import SILENT
from hypencli.recipe import load_recipe
from hypestore import SCRATCH_NAME, Store


def phase_of(folder: Path) -> tuple[str, int, int | None, str]:
    phase = read_phase(folder)
    assert phase is not None
    return phase.job, phase.done, phase.total, phase.unit


def test_a_job_is_recorded_at_its_begin_and_at_its_end(tmp_path: Path) -> None:
    progress = RecordedProgress(SILENT, tmp_path)
    assert read_phase(tmp_path) is None
    with progress.task("encoding passages", total=5, unit="passages") as task:
        assert phase_of(tmp_path) == ("encoding passages", 0, 5, "passages")
        task.advance(2)
        task.advance(3)
    assert phase_of(tmp_path) == ("encoding passages", 5, 5, "passages")
    with progress.task("training", unit="steps") as task:
        assert phase_of(tmp_path) == ("training", 0, None, "steps")
        task.set_total(7)
        assert phase_of(tmp_path) == ("training", 0, 7, "steps")
    assert str(read_phase(tmp_path)) == "training, 0 of 7 steps"


GOOD = {"job": "training", "done": 1, "total": 2, "unit": "steps", "updated": "2026-01-01"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 4_000,
        json.dumps({**GOOD, "done": "1"}),
        json.dumps({**GOOD, "total": True}),
        json.dumps({**GOOD, "job": ["a"]}),
        json.dumps({**GOOD, "more": 1}),
        json.dumps({**GOOD, "job": "a" * 10_000}),
        json.dumps({key: value for key, value in GOOD.items() if key != "unit"}),
    ],
)
def test_what_is_no_record_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / SCRATCH_NAME).mkdir()
    path = tmp_path / SCRATCH_NAME / "phase.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert read_phase(tmp_path) == Phase(**GOOD)  # type: ignore[arg-type]
    path.write_text(content, encoding="utf-8")
    assert read_phase(tmp_path) is None


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(GOOD), encoding="utf-8")
    one, other = tmp_path / "one", tmp_path / "other"
    (one / SCRATCH_NAME).mkdir(parents=True)
    (one / SCRATCH_NAME / "phase.json").symlink_to(secret)
    assert read_phase(one) is None
    other.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "phase.json").write_text(json.dumps(GOOD), encoding="utf-8")
    (other / SCRATCH_NAME).symlink_to(tmp_path / "elsewhere")
    assert read_phase(other) is None


class Looking:
    """Looks at the unfinished training, as another process would, whenever a job goes on."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.seen: list[tuple[str, str]] = []

    @contextmanager
    def task(self, description: str, **_: Any) -> Iterator[Any]:
        look = self._look

        class Task:
            def advance(self, count: int = 1) -> None:
                look()

            def set_total(self, total: int) -> None: ...

            def note(self, text: str) -> None: ...

        yield Task()

    def message(self, text: str) -> None: ...

    def _look(self) -> None:
        (work,) = listing(Store.open(self._root))
        shown = show(Store.open(self._root), work.id)
        assert isinstance(shown, ShownWork)
        if shown.last_step is None and shown.phase is not None:
            assert f"unfinished at {shown.phase}" in work.about
            seen = (shown.phase.job, shown.phase.unit)
            self.seen += [] if seen in self.seen else [seen]


def test_a_training_tells_its_phase_before_its_first_step(
    tiny_backbone: Path, tiny_collection: Path, tmp_path: Path
) -> None:
    store = Store.create(tmp_path / "store")
    changes = [
        f"model.backbone={tiny_backbone}",
        f"data.train={tiny_collection / 'train.jsonl'}",
        "training.steps=2",
        "model.freeze_encoder=true",
        "training.cache_encoder=true",
    ]
    looking = Looking(store.root)
    trained = train(store, load_recipe("tiny", changes), progress=looking)
    assert trained is not None
    assert looking.seen == [
        ("reading training rows", "rows"),
        ("encoding queries", "queries"),
        ("encoding passages", "passages"),
        ("training", "steps"),
    ]
    assert not (trained.path / SCRATCH_NAME).exists()
