"""Preparing a dataset as a whole: once, recorded, replaced on request, found by name."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hypencli.data.prepare import PREPARATIONS
from hypencli.data.reading.dataset_record import RECORD_NAME, read_record
from hypencli.data.training import open_training_rows
from hypencli.data.training.positives import PositiveRule
from hypencli.errors import DataError, UsageError
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.datasets.check import CheckOptions, check_data, options_of
from hypencli.ops.datasets.prepare import PrepareOptions, list_datasets, prepare
from hypencli.recipe import load_recipe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a store: nothing of it is read here."""
    return tmp_path / "study"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", PREPARATIONS)
def test_every_dataset_is_prepared_once(name: str, hard_tasks: Path, root: Path) -> None:
    options = PrepareOptions(source=hard_tasks / name)
    done = prepare(name, options, store_root=root)
    assert (done.existing, done.name, done.called) == (False, name, name)
    assert done.path == root / "data" / name
    assert all(part.counts for part in done.parts.values())
    before = {path: path.stat().st_mtime_ns for path in done.path.rglob("*")}
    again = prepare(name, options, store_root=root)
    assert again.existing
    assert (again.parts, again.files, again.next) == (done.parts, done.files, done.next)
    assert {path: path.stat().st_mtime_ns for path in done.path.rglob("*")} == before
    assert all(command.startswith("hype ") for command in done.next)
    assert [one.name for one in root.joinpath("data").iterdir()] == [name]


@pytest.mark.parametrize("name", PREPARATIONS)
def test_the_same_command_elsewhere_gives_the_same_bytes(
    name: str, hard_tasks: Path, tmp_path: Path
) -> None:
    prepared = [
        prepare(name, PrepareOptions(output=tmp_path / place, source=hard_tasks / name))
        for place in ("one", "two")
    ]
    first, second = (contents(one.path) for one in prepared)
    assert first == second
    assert set(prepared[0].files) == set(first) - {RECORD_NAME}


def test_the_record_says_what_was_done(hard_tasks: Path, root: Path) -> None:
    options = PrepareOptions(source=hard_tasks / "followir-train", seed=7)
    done = prepare("followir-train", options, store_root=root)
    record = read_record(done.path)
    assert record is not None
    assert record.settings == {
        "from": str(hard_tasks / "followir-train"),
        "lenient": False,
        "seed": 7,
        "all_queries": False,
    }
    assert record.provenance["seed"] == done.seed == 7
    assert record.sources == ("file:train.jsonl",)
    assert record.parts == done.parts
    other = prepare("tot-train", PrepareOptions(source=hard_tasks / "tot-train"), store_root=root)
    assert other.seed is None


def test_another_seed_asks_before_it_replaces(hard_tasks: Path, root: Path) -> None:
    first = PrepareOptions(source=hard_tasks / "followir-train")
    done = prepare("followir-train", first, store_root=root)
    kept = contents(done.path)
    second = PrepareOptions(source=hard_tasks / "followir-train", seed=3)
    with pytest.raises(UsageError, match=r"other settings: followir-train \(.*seed: 42") as caught:
        prepare("followir-train", second, store_root=root)
    assert "`overwrite=True`" in str(caught.value.hint)
    assert contents(done.path) == kept
    again = PrepareOptions(source=hard_tasks / "followir-train", seed=3, overwrite=True)
    assert not prepare("followir-train", again, store_root=root).existing
    assert contents(done.path) != kept


def test_another_dataset_asks_before_it_replaces(hard_tasks: Path, tmp_path: Path) -> None:
    place = tmp_path / "set"
    prepare("tot-test", PrepareOptions(output=place, source=hard_tasks / "tot-test"))
    with pytest.raises(UsageError, match="other settings: tot-test"):
        prepare("dl-hard-test", PrepareOptions(output=place, source=hard_tasks / "dl-hard-test"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_the_user_is_never_replaced(
    overwrite: bool, hard_tasks: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    options = PrepareOptions(mine, source=hard_tasks / "tot-test", overwrite=overwrite)
    prepare("tot-test", options)
    shutil.rmtree(mine)
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and is not a prepared dataset"):
        prepare("tot-test", options)
    assert contents(mine) == {"thesis.txt": b"precious"}


def test_a_record_that_cannot_be_read_is_replaced_on_request(hard_tasks: Path, root: Path) -> None:
    options = PrepareOptions(source=hard_tasks / "tot-test")
    done = prepare("tot-test", options, store_root=root)
    (done.path / RECORD_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is not the record"):
        prepare("tot-test", options, store_root=root)
    again = PrepareOptions(source=hard_tasks / "tot-test", overwrite=True)
    assert not prepare("tot-test", again, store_root=root).existing


def test_an_error_leaves_nothing_behind(hard_tasks: Path, root: Path, tmp_path: Path) -> None:
    inputs = Path(shutil.copytree(hard_tasks / "tot-test", tmp_path / "given"))
    (inputs / "dev" / "qrel.txt").write_text("152 0 nothing 1\n", encoding="utf-8")
    with pytest.raises(DataError, match="no document 'nothing'"):
        prepare("tot-test", PrepareOptions(source=inputs), store_root=root)
    assert list((root / "data").iterdir()) == []
    done = prepare("tot-test", PrepareOptions(source=inputs, lenient=True), store_root=root)
    assert done.faults["unknown ids"].count == 1
    assert prepare(
        "tot-test", PrepareOptions(source=inputs, lenient=True), store_root=root
    ).faults == (done.faults)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("followir", PrepareOptions(), "No dataset 'followir' to prepare"),
        ("tot-train", PrepareOptions(seed=1), "seed applies only to followir-train"),
        (
            "tot-test",
            PrepareOptions(all_queries=True),
            "all_queries applies only to followir-train",
        ),
        ("tot-test", PrepareOptions(source=Path("nowhere")), "No folder nowhere"),
        ("tot-test", PrepareOptions(), "needs a store or an output folder"),
    ],
)
def test_usage(name: str, options: PrepareOptions, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        prepare(name, options)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("FollowIR_train", "followir-train"),
        ("FollowIR_test", "followir-test"),
        ("TOT_train", "tot-train"),
        ("TOT_test", "tot-test"),
        ("DL_HARD_test", "dl-hard-test"),
    ],
)
def test_the_names_of_the_reproduction(alias: str, name: str, hard_tasks: Path, root: Path) -> None:
    done = prepare(alias, PrepareOptions(source=hard_tasks / name), store_root=root)
    assert (done.name, done.path) == (name, root / "data" / name)


def test_the_list_tells_what_is_here(hard_tasks: Path, root: Path) -> None:
    assert [one.name for one in list_datasets(None).datasets] == list(PREPARATIONS)
    assert not [one for one in list_datasets(root).datasets if one.prepared]
    done = prepare("tot-train", PrepareOptions(source=hard_tasks / "tot-train"), store_root=root)
    expected_names = {one.name: one for one in list_datasets(root).datasets}
    assert expected_names["tot-train"].prepared == done.parts
    assert expected_names["tot-train"].path == done.path
    assert [one.name for one in expected_names.values() if one.prepared] == ["tot-train"]


@pytest.mark.parametrize("name", ["followir", "tot"])
def test_the_recipes_train_on_the_rows(name: str, hard_tasks: Path, root: Path) -> None:
    """Not with the first item as the only positive: a second answer would be a negative."""
    done = prepare(
        f"{name}-train", PrepareOptions(source=hard_tasks / f"{name}-train"), store_root=root
    )
    recipe = load_recipe(name)
    options = options_of(recipe)
    wanted = CheckOptions(
        rule=options.rule,
        negatives=options.negatives,
        too_few_negatives=options.too_few_negatives,
        losses=options.losses,
        recipe=options.recipe,
    )
    assert options.rule == PositiveRule("type", "positive")
    checked = check_data(open_training_rows(done.path), wanted)
    assert checked.ready, checked.verdict
    counts = done.parts["train"].counts
    assert checked.survey.rows == counts["rows"]
    assert checked.survey.types == {
        "negative": counts["negatives"],
        "positive": counts["positives"],
    }
    assert "negative_like_positive" not in checked.survey.findings
    first = check_data(open_training_rows(done.path), CheckOptions())
    taken = counts["rows"] if name == "tot" else counts["positives"] - 1
    assert first.survey.rows == taken == counts["rows"]


def test_prepared_datasets_have_names(
    hard_tasks: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("followir-test", PrepareOptions(source=hard_tasks / "followir-test"), store_root=root)
    monkeypatch.chdir(tmp_path)
    folder = root / "data" / "followir-test"
    assert dataset_place(root, "followir-test") == str(folder)
    file = "followir-test/robust04/queries.og.jsonl"
    assert dataset_place(root, file) == str(folder / "robust04" / "queries.og.jsonl")
    for other in ("followir-test/robust05", "vaswani", "-", "", "../x", "/x", "~", None):
        assert dataset_place(root, other) == other
    assert dataset_place(None, "followir-test") == "followir-test"
    (root / "data" / "mine").mkdir()
    assert dataset_place(root, "mine") == "mine"
    (tmp_path / "followir-test").mkdir()
    assert dataset_place(root, "followir-test") == "followir-test"


PREPARE = """
import os, signal, sys
from pathlib import Path
from hypencli.data.prepare import tot_test
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
tot_test.write_judgements = die
prepare("tot-test", PrepareOptions(Path(sys.argv[1]), source=Path(sys.argv[2])))
"""


def test_a_killed_command_is_done_again(hard_tasks: Path, tmp_path: Path) -> None:
    place = tmp_path / "set"
    source = hard_tasks / "tot-test"
    killed = subprocess.run(
        [sys.executable, "-c", PREPARE, str(place), str(source)],
        env=dict(os.environ),
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not place.exists()
    prepare("tot-test", PrepareOptions(place, source=source))
    expected = prepare("tot-test", PrepareOptions(tmp_path / "other", source=source))
    assert contents(place) == contents(expected.path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other", "set"]


def test_json_of_the_record_is_plain(hard_tasks: Path, root: Path) -> None:
    done = prepare("tot-test", PrepareOptions(source=hard_tasks / "tot-test"), store_root=root)
    values = json.loads((done.path / RECORD_NAME).read_text(encoding="utf-8"))
    assert values["parts"]["dev"]["counts"] == {"documents": 6, "queries": 3, "judgements": 3}
    assert set(values["files"]) == {"corpus.jsonl", "queries.jsonl", "qrels.txt"}
