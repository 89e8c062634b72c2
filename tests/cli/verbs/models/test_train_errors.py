"""What is wrong with a training is said before its first step, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypestore import Store

Hype = Callable[..., Any]
USAGE, RECIPE, STORE, DATA, MODEL = 2, 3, 4, 5, 6

NO_BACKBONE = ["model.backbone=none", "model.pooling=none", "model.converter=none"]
VALIDATED = ["validation.rows={train}", "validation.measures=['RR@10']"]
JUDGED = ["validation.queries={queries}", "validation.corpus={corpus}"]

Case = tuple[list[str], int, str, str, str | None]

CASES: dict[str, Case] = {
    "wrong key": (
        ["training.stepz=3"],
        *(RECIPE, "RecipeError"),
        "--set training.stepz=3: unknown key 'training.stepz'.",
        "Did you mean 'steps'",
    ),
    "wrong type": (
        ["training.steps=many"],
        *(RECIPE, "RecipeError"),
        "training.steps: expected a whole number, got 'many'",
        None,
    ),
    "out of bounds": (
        ["training.batch_size=0"],
        *(RECIPE, "RecipeError"),
        "training.batch_size: expected greater than or equal to 1, got 0",
        None,
    ),
    "no such file": (
        ["data.train={folder}/absent.jsonl"],
        *(DATA, "DataError"),
        "No training file {folder}/absent.jsonl",
        "Accepted: a JSONL (.gz too) or Parquet file",
    ),
    "broken JSON": (
        ["data.train={folder}/broken.jsonl"],
        *(DATA, "DataError"),
        "{folder}/broken.jsonl, line 7: not valid JSON",
        "Every line of a JSONL file is one JSON object.",
    ),
    "no rows": (
        ["data.train={folder}/empty.jsonl"],
        *(DATA, "DataError"),
        "{folder}/empty.jsonl: no training rows.",
        None,
    ),
    "item without text": (
        ["data.train={folder}/blank.jsonl"],
        *(DATA, "DataError"),
        "{folder}/blank.jsonl, line 3: items[1]: content: expected text, got ' '.",
        None,
    ),
    "item without a score": (
        ["data.train={folder}/unscored.jsonl"],
        *(DATA, "DataError"),
        "Training row 5 (query 't4'): item 2 has no score; a loss needs a teacher's score",
        "train with cross_entropy alone",
    ),
    "too few negatives": (
        ["data.negatives_per_query=3"],
        *(DATA, "DataError"),
        "Training row 1 (query 't0') has 1 negatives; 3 are to be drawn.",
        "Lower data.negatives_per_query",
    ),
    "no such pool": (
        ["data.random_negatives=3", "data.random_negatives_from={folder}/absent.jsonl"],
        *(DATA, "DataError"),
        "No corpus '{folder}/absent.jsonl'",
        "a JSONL, TSV or CSV file",
    ),
    "initial of another architecture": (
        [*NO_BACKBONE, "model.initial=plain"],
        *(MODEL, "ModelError"),
        "is a bi-encoder; a hypencoder is asked for.",
        "--set model.architecture=bi-encoder",
    ),
    "initial that is no trained model": (
        [*NO_BACKBONE, "model.initial={backbone}"],
        *(MODEL, "ModelError"),
        "is no trained model: its architectures are ['BertModel']",
        "--set model.initial=none --set model.backbone={backbone}",
    ),
    "head of another shape": (
        ["model.hyper_head_from=hyper", "model.converter.layers=3"],
        *(MODEL, "ModelError"),
        "The weights of the hyper-head of {models}/",
        "set model.converter.layers, or choose another backbone",
    ),
    "head of a model without one": (
        ["model.hyper_head_from=plain"],
        *(MODEL, "ModelError"),
        "No hyper-head to take: {models}/",
        "model.hyper_head_from names a trained Hypencoder",
    ),
    "no such backbone": (
        ["model.backbone=hypre"],
        *(STORE, "ArtifactNotFound"),
        "model.backbone: 'hypre' is neither a folder (from ",
        "Did you mean hyper?",
    ),
    "no such backbone on the hub": (
        ["model.backbone=no/such"],
        *(MODEL, "ModelError"),
        "No checkpoint 'no/such': there is no such folder (looked in ",
        "HF_HUB_OFFLINE",
    ),
    "no such model of the store": (
        [*NO_BACKBONE, "model.initial=hypre"],
        *(STORE, "ArtifactNotFound"),
        "model.initial: 'hypre' is neither a folder (from ",
        "Did you mean hyper?",
    ),
    "cache of an encoder that is trained": (
        ["training.cache_encoder=true"],
        *(RECIPE, "RecipeError"),
        "training.cache_encoder needs model.freeze_encoder = true",
        None,
    ),
    "rate of nothing": (
        ["training.learning_rates.'*.gaet'=0.1"],
        *(USAGE, "UsageError"),
        "training.learning_rates: '*.gaet' matches no trainable parameter.",
        "query_encoder.transformer*",
    ),
    "distillation from nothing": (
        ["losses=[{{type = 'self_distillation'}}]"],
        *(MODEL, "ModelError"),
        "it has no embedding_representation",
        "Set embedding_representation",
    ),
    "a step without a loss": (
        ["losses=[{{type = 'cross_entropy', until_step = 1}}]"],
        *(RECIPE, "RecipeError"),
        "no loss counts at step 1: let one go on (until_step)",
        None,
    ),
    "unknown tracker": (
        ["training.report_to=['tensorbord']"],
        *(USAGE, "UsageError"),
        "training.report_to: unknown tracker 'tensorbord'.",
        "Did you mean 'tensorboard'?",
    ),
    "validation without judgements": (
        JUDGED,
        *(USAGE, "UsageError"),
        "come without judgements",
        "--set validation.qrels=FILE_OR_DATASET",
    ),
    "validation of other queries": (
        [*JUDGED, "validation.qrels={folder}/others.txt"],
        *(DATA, "DataError"),
        "No validation query has a judgement on a document of the validation corpus.",
        "Check validation.queries, validation.corpus and validation.qrels.",
    ),
    "no such validation rows": (
        ["validation.rows={folder}/absent.jsonl"],
        *(DATA, "DataError"),
        "No training file {folder}/absent.jsonl",
        "Accepted: a JSONL (.gz too) or Parquet file",
    ),
    "validation rows without a score": (
        [*VALIDATED, "validation.rows={folder}/unscored.jsonl"],
        *(DATA, "DataError"),
        "Validation row 5 (query 't4'): item 2 has no score",
        "train with cross_entropy alone",
    ),
    "unknown measure": (
        [*VALIDATED, "validation.measures=['nDGC@10']", "validation.best='nDGC@10'"],
        *(USAGE, "UsageError"),
        "Not measures: 'nDGC@10'",
        "nDCG@10",
    ),
    "best of what is not measured": (
        [*VALIDATED, "validation.best='nDCG@10'"],
        *(RECIPE, "RecipeError"),
        "validation: best = 'nDCG@10' is neither loss nor among measures.",
        None,
    ),
    "patience for nothing": (
        [*VALIDATED, "validation.patience=2"],
        *(RECIPE, "RecipeError"),
        "validation: patience needs best: the measure that must improve.",
        None,
    ),
}
"""Settings; exit code and type of the error; how its message and its hint go."""


@pytest.fixture(scope="module")
def root(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study, which no case changes."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("errors") / "study"))


@pytest.fixture(scope="module")
def places(
    root: Path,
    tiny_backbone: Path,
    tiny_collection: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, object]:
    """What stands in braces in the cases."""
    folder = tmp_path_factory.mktemp("files")
    lines = (tiny_collection / "train.jsonl").read_text(encoding="utf-8").splitlines()

    def write(name: str, changed: int, line: str) -> None:
        changed_lines = [*lines[: changed - 1], line, *lines[changed:]]
        (folder / name).write_text("\n".join(changed_lines) + "\n", encoding="utf-8")

    write("broken.jsonl", 7, lines[6][:-20])
    blank, unscored = json.loads(lines[2]), json.loads(lines[4])
    blank["items"][1]["content"] = " "
    del unscored["items"][1]["score"]
    write("blank.jsonl", 3, json.dumps(blank))
    write("unscored.jsonl", 5, json.dumps(unscored))
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    (folder / "others.txt").write_text("another 0 d1 1\n", encoding="utf-8")
    files = ("train.jsonl", "queries.jsonl", "corpus.jsonl")
    return {
        "folder": folder,
        "backbone": tiny_backbone,
        "models": root / "models",
        **{name.removesuffix(".jsonl"): tiny_collection / name for name in files},
    }


@pytest.fixture
def train(hype: Hype, root: Path, tiny_backbone: Path, tiny_collection: Path) -> Callable[..., Any]:
    """The recipe ``tiny`` for two steps, or as the settings say."""

    def run(*settings: str, store: Path = root, more: tuple[str, ...] = ()) -> Any:
        whole = [
            f"model.backbone={tiny_backbone}",
            f"data.train={tiny_collection / 'train.jsonl'}",
            "training.steps=2",
            "training.logging_steps=1",
            *settings,
        ]
        changes = [part for one in whole for part in ("--set", one)]
        return hype("train", "tiny", *changes, *more, "--store", store)

    return run


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_before_the_first_step(
    name: str, train: Callable[..., Any], root: Path, places: dict[str, object]
) -> None:
    settings, code, kind, message, hint = CASES[name]
    filled = [setting.format(**places) for setting in settings]
    before = sorted(root.glob("models/*/*"))
    said = train(*filled)
    assert (said.code, said.out) == (code, ""), said.err
    assert said.err.startswith("Error: ")
    assert message.format(**places) in said.err
    assert (hint or "").format(**places) in said.err
    assert "Traceback" not in said.err
    error = train(*filled, more=("--json",)).json["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert said.err == f"Error: {error['message']}\n" + (f"{error['hint']}\n" if hint else "")
    assert sorted(root.glob("models/*/*")) == before
    assert Store.open(root).unfinished() == []


def test_a_tracker_that_is_not_installed(train: Callable[..., Any], root: Path) -> None:
    if importlib.util.find_spec("wandb") is not None:
        pytest.skip("wandb is installed")
    said = train("training.seed=5", "training.report_to=['wandb']", more=("--json",))
    error = said.json["error"]
    assert (said.code, error["type"]) == (USAGE, "MissingDependencyError")
    assert "training.report_to: the tracker 'wandb' cannot be used" in error["message"]
    assert error["hint"] == "Install it: pip install wandb"
    assert Store.open(root).unfinished() == []


def test_a_name_that_is_taken(train: Callable[..., Any], root: Path) -> None:
    said = train("training.seed=5", more=("--name", "hyper"))
    taken = Store.open(root).get("hyper")
    assert said.code == STORE
    assert f"The model {taken.id} is called 'hyper', and was made from other inputs" in said.err
    assert f"hype rm {taken.id}" in said.err
    assert Store.open(root).unfinished() == []


def test_several_mistakes_are_said_at_once(train: Callable[..., Any]) -> None:
    said = train("training.stepz=3", "training.steps=0", "data.negatives_per_query=few")
    assert said.code == RECIPE
    for part in (
        "unknown key 'training.stepz'",
        "training.steps: expected greater than",
        "data.negatives_per_query: expected a whole number",
    ):
        assert part in said.err


def test_a_mistake_that_is_no_part_of_the_model_keeps_the_checkpoint(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    """Trackers and the time are not: the corrected command goes on where the run was stopped."""
    root = Store.create(tmp_path / "store").root
    assert train("training.max_minutes=1e-9", store=root).code == 75
    assert train("training.report_to=['tensorbord']", store=root).code == USAGE
    (work,) = Store.open(root).unfinished()
    done = train(store=root, more=("--json",)).json
    assert (done["model_id"], done["resumed_from"]) == (work.id, 1)


def test_a_run_that_went_astray_keeps_its_curves(train: Callable[..., Any], tmp_path: Path) -> None:
    root = Store.create(tmp_path / "store").root
    astray = ["training.learning_rate=1e30", "training.max_grad_norm=0", "training.steps=20"]
    said = train(*astray, "training.warmup_ratio=0", store=root)
    assert said.code == MODEL
    assert "Error: The loss became " in said.err
    assert "Lower training.learning_rate" in said.err
    (work,) = Store.open(root).unfinished()
    assert '"name": "loss"' in (work.path / "progress.jsonl").read_text(encoding="utf-8")
    assert Store.open(root).artifacts("model") == []
