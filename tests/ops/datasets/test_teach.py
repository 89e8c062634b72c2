from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import hypencli
from hypencli.data.training import open_training_rows, read_training_rows, write_training_rows
from hypencli.errors import DataError, UsageError
from hypencli.ops.datasets import teach as teach_module
from hypencli.ops.datasets import teachers
from hypencli.ops.datasets.teach import teach
from hypencli.ops.datasets.teachers import Teacher, TeacherOptions, cross_encoder, dual_encoder
from hypencli.ops.models import ModelSource
from hypencli.records import TrainingRow
from hypestore import Store


def by_length(rows: Sequence[TrainingRow]) -> np.ndarray:
    """A teacher that anyone can check: how much longer the passage is than the query."""
    pairs = [(row.query.text, item.content) for row in rows for item in row.items]
    return np.array([len(passage) - len(query) / 3 for query, passage in pairs], np.float32)


LENGTHS = Teacher("lengths", {"kind": "lengths"}, by_length)


def no_store() -> Store:
    raise AssertionError("A model from outside needs no store.")


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_rows_keep_all_but_their_scores(tiny_collection: Path, tmp_path: Path, ending: str) -> None:
    source = open_training_rows(tiny_collection / "train.jsonl")
    done = teach(source, LENGTHS, tmp_path / f"scored{ending}")
    inputs, scored = list(source), read_training_rows(done.output)
    assert (done.rows, done.items, done.replaced, done.resumed) == (96, 192, 192, 0)
    for before, after in zip(inputs, scored, strict=True):
        assert after.query == before.query
        assert [replace(i, score=None) for i in after.items] == [
            replace(i, score=None) for i in before.items
        ]
        expected = by_length([before]).tolist()
        assert [item.score for item in after.items] == pytest.approx(expected, rel=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [done.output.name]


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interrupted_command_goes_on(
    tiny_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr(teach_module, "WINDOW_PAIRS", 40)
    source = open_training_rows(tiny_collection / "train.jsonl")
    windows: list[int] = []

    def interrupted(rows: Sequence[TrainingRow]) -> np.ndarray:
        if len(windows) == stop_after:
            raise KeyboardInterrupt
        windows.append(len(rows))
        return by_length(rows)

    output = tmp_path / "scored.jsonl"
    with pytest.raises(KeyboardInterrupt):
        teach(source, replace(LENGTHS, score=interrupted), output)
    assert not output.exists()
    seen: list[TrainingRow] = []

    def counting(rows: Sequence[TrainingRow]) -> np.ndarray:
        seen.extend(rows)
        return by_length(rows)

    done = teach(source, replace(LENGTHS, score=counting), output)
    assert done.resumed == 40 * stop_after
    assert seen == list(source)[20 * stop_after :]
    straight = teach(source, LENGTHS, tmp_path / "straight.jsonl")
    assert output.read_bytes() == straight.output.read_bytes()


def test_unfinished_scores_of_another_teacher_are_not_mixed_in(
    tiny_collection: Path, tmp_path: Path
) -> None:
    source = open_training_rows(tiny_collection / "train.jsonl")
    output = tmp_path / "scored.jsonl"

    def interrupted(rows: Sequence[TrainingRow]) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(source, replace(LENGTHS, score=interrupted), output)
    other = replace(LENGTHS, identity={"kind": "other"})
    with pytest.raises(DataError, match="another command"):
        teach(source, other, output)
    assert teach(source, other, output, overwrite=True).rows == 96


def test_a_broken_row_is_met_before_the_first_is_scored(
    tiny_collection: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jsonl"
    rows = (tiny_collection / "train.jsonl").read_text(encoding="utf-8")
    path.write_text(rows + "{broken\n", encoding="utf-8")
    asked: list[int] = []

    def score(rows: Sequence[TrainingRow]) -> np.ndarray:
        asked.append(len(rows))
        return by_length(rows)

    teacher = replace(LENGTHS, score=score)
    with pytest.raises(DataError, match="line 97"):
        teach(open_training_rows(path), teacher, tmp_path / "scored.jsonl")
    assert asked == []


def test_what_stands_in_the_way_is_said(tiny_collection: Path, tmp_path: Path) -> None:
    source = open_training_rows(tiny_collection / "train.jsonl")
    output = tmp_path / "scored.jsonl"
    with pytest.raises(UsageError, match="cannot be told from"):
        teach(source, LENGTHS, tmp_path / "scored.txt")
    with pytest.raises(DataError, match="no folder"):
        teach(source, LENGTHS, tmp_path / "none" / "scored.jsonl")
    with (
        FileLock(tmp_path / ".scored.jsonl.scores.lock"),
        pytest.raises(UsageError, match="Another process is writing"),
    ):
        teach(source, LENGTHS, output)
    output.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="exists"):
        teach(source, LENGTHS, output)
    assert output.read_text(encoding="utf-8") == "precious"


def test_a_cross_encoder_teaches(
    tiny_cross_encoder: Path, tiny_collection: Path, tmp_path: Path
) -> None:
    teacher = cross_encoder(str(tiny_cross_encoder), label=None, options=TeacherOptions())
    assert teacher.identity["max_length"] == 128
    source = open_training_rows(tiny_collection / "train.jsonl")
    done = teach(source, teacher, tmp_path / "scored.jsonl")
    scores = [item.score for row in read_training_rows(done.output) for item in row.items]
    assert scores == pytest.approx(teacher.score(list(source)).tolist(), abs=1e-4)
    assert len(set(scores)) > 50
    with pytest.raises(UsageError, match="exceeds the maximum of the model, 128"):
        cross_encoder(str(tiny_cross_encoder), label=None, options=TeacherOptions(max_length=129))


@pytest.mark.parametrize("name", ["hyper", "plain"])
@pytest.mark.parametrize("place", ["store", "folder"])
def test_a_model_of_ours_teaches_what_it_scores(
    finished_study: Path, tiny_collection: Path, name: str, place: str
) -> None:
    store = Store.open(finished_study)
    folder = store.path(store.get(name))
    opened: Callable[[], Store] = no_store if place == "folder" else lambda: store
    named = ModelSource(name if place == "store" else str(folder))
    teacher = dual_encoder(named, options=TeacherOptions(), store=opened)
    rows = read_training_rows(tiny_collection / "train.jsonl")
    model = hypencli.load(folder)
    vectors = model.encode_passages([item.content for row in rows for item in row.items])
    table = model.encode_queries([row.query.text for row in rows])(vectors)
    expected = [table[i, 2 * i + j] for i in range(len(rows)) for j in range(2)]
    np.testing.assert_allclose(teacher.score(rows), expected, atol=1e-4)


def test_passages_are_read_once_and_forgotten_at_last(
    finished_study: Path, tiny_collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypencli.models import encoding

    read: list[str] = []
    encode = encoding.encode_passages

    def counted(encoder: object, tokenizer: object, texts: list[str], *rest: object) -> np.ndarray:
        read.extend(texts)
        return encode(encoder, tokenizer, texts, *rest)  # type: ignore[arg-type]

    rows = read_training_rows(tiny_collection / "train.jsonl")
    store = Store.open(finished_study)
    named = ModelSource("plain")
    whole = dual_encoder(named, options=TeacherOptions(), store=lambda: store).score(rows)
    monkeypatch.setattr(encoding, "encode_passages", counted)
    distinct = {item.content for row in rows for item in row.items}
    for kept, times in ((1000, 1), (0, 2)):
        monkeypatch.setattr(teachers, "KEPT_VECTORS", kept)
        teacher = dual_encoder(named, options=TeacherOptions(), store=lambda: store)
        read.clear()
        parts = [teacher.score(rows[:1]), teacher.score(rows[1:]), teacher.score(rows[:1])]
        np.testing.assert_allclose(np.concatenate(parts[:2]), whole, atol=1e-4)
        assert read.count(rows[0].items[0].content) >= times
        assert set(read) == distinct
        assert (len(read) == len(distinct)) == (times == 1)


def test_the_same_model_is_the_same_teacher_wherever_it_lies(finished_study: Path) -> None:
    store = Store.open(finished_study)
    teachers = [
        dual_encoder(ModelSource(name), options=TeacherOptions(), store=lambda: store)
        for name in ("hyper", str(store.path(store.get("hyper"))), "plain")
    ]
    assert teachers[0].identity == teachers[1].identity != teachers[2].identity


def test_scores_pass_through_a_file_unchanged(tiny_collection: Path, tmp_path: Path) -> None:
    """A float32 written as its shortest number is the same float32 when it is read."""
    thirds = Teacher("thirds", {}, lambda rows: by_length(rows) / np.float32(3))
    source = open_training_rows(tiny_collection / "train.jsonl")
    done = teach(source, thirds, tmp_path / "scored.jsonl")
    read = [item.score for row in read_training_rows(done.output) for item in row.items]
    np.testing.assert_array_equal(np.array(read, np.float32), thirds.score(list(source)))
    write_training_rows(tmp_path / "again.jsonl", read_training_rows(done.output))
    assert (tmp_path / "again.jsonl").read_bytes() == done.output.read_bytes()
