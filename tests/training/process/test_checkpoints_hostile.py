"""A stopped training in a store of somebody else's: to go on from it runs and follows nothing."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hypestore as hs
from hypencli.training.process.checkpoints import MARKER_FILE, mark_complete, newest_checkpoint
from tests.hostile import Payload

Train = Callable[..., Any]


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, tiny_collection: Path
) -> tuple[Path, list[str]]:
    """A store with a training whose time was up after a step, and the command that goes on."""
    from hypencli.__main__ import main

    root = hs.Store.create(tmp_path_factory.mktemp("stopped") / "store").root
    command = [
        *("train", "tiny", "--json", "--set", f"model.backbone={tiny_backbone}"),
        *("--set", f"data.train={tiny_collection / 'train.jsonl'}", "--set", "training.steps=3"),
    ]
    limit = ("--set", "training.max_minutes=1e-9")
    assert main([*command, *limit, "--store", str(root)]) == 75
    return root, command


@pytest.fixture
def store(stopped: tuple[Path, list[str]], tmp_path: Path) -> hs.Store:
    return hs.Store.open(shutil.copytree(stopped[0], tmp_path / "store"))


@pytest.fixture
def checkpoint(store: hs.Store) -> Path:
    (work,) = store.unfinished()
    return work.path / "unfinished" / "checkpoint-1"


@pytest.fixture
def train(hype: Callable[..., Any], store: hs.Store, stopped: tuple[Path, list[str]]) -> Train:
    """The same command again, perhaps with options more."""
    return lambda *more: hype(*stopped[1], *more, "--store", store.root)


def marked(checkpoint: Path) -> None:
    """As whole, with what is in it now."""
    (checkpoint / MARKER_FILE).unlink()
    mark_complete(checkpoint)


def goes_on(train: Train, *more: str) -> int:
    """Train to the end; the step that it went on from."""
    done = train(*more)
    assert done.code == 0, done.err
    return int(done.json["resumed_from"])


READ = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("packed", [False, True], ids=["a pickle", "an archive of torch"])
def test_state_that_names_code_is_refused(
    train: Train, checkpoint: Path, canary: Path, name: str, packed: bool
) -> None:
    assert (checkpoint / name).is_file()
    if packed:
        torch.save({"state": Payload(canary)}, checkpoint / name)
    else:
        (checkpoint / name).write_bytes(pickle.dumps(Payload(canary), protocol=2))
    marked(checkpoint)
    refused = train()
    assert refused.code == 6
    problem = refused.json["error"]
    assert str(checkpoint) in problem["message"]
    assert name.split(".")[0] in problem["message"]
    assert "reading that could run code" in problem["message"]
    assert "--restart" in problem["hint"]


def test_arguments_of_the_trainer_are_not_read(
    train: Train, checkpoint: Path, canary: Path
) -> None:
    (checkpoint / "training_args.bin").write_bytes(pickle.dumps(Payload(canary), protocol=2))
    marked(checkpoint)
    assert goes_on(train) == 1


def test_an_index_leads_to_no_weights(train: Train, checkpoint: Path, outside: Path) -> None:
    index = {"metadata": {}, "weight_map": {"x": "../../../../../outside/secret.txt"}}
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        (checkpoint / name).write_text(json.dumps(index), encoding="utf-8")
    marked(checkpoint)
    assert goes_on(train) == 1


@pytest.mark.parametrize(
    "marker",
    ["[1]", "7", '{"../../../../../outside/secret.txt": 10}', '{"model.safetensors": null}', "{"],
)
def test_a_marker_of_another_kind_marks_nothing(
    checkpoint: Path, outside: Path, marker: str
) -> None:
    assert newest_checkpoint(checkpoint.parent) == checkpoint
    (checkpoint / MARKER_FILE).write_text(marker, encoding="utf-8")
    assert newest_checkpoint(checkpoint.parent) is None


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def another(path: Path) -> None:
    """Valid, and not what it should be."""
    if path.suffix == ".json":
        path.write_text('{"global_step": "x", "log_history": [{"loss": []}]}', encoding="utf-8")
    else:
        torch.save([1, 2], path)


@pytest.mark.parametrize("name", [*READ, "trainer_state.json", "model.safetensors"])
@pytest.mark.parametrize("damage", [emptied, cut, another], ids=lambda one: one.__name__)
def test_a_checkpoint_that_cannot_be_read_says_so(
    train: Train, checkpoint: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(checkpoint / name)
    marked(checkpoint)
    refused = train()
    assert refused.code == 6, refused.err
    assert f"{checkpoint} cannot be resumed" in refused.json["error"]["message"]
    assert "--restart" in refused.json["error"]["hint"]


def test_what_cannot_be_gone_on_from_is_begun_anew(train: Train, checkpoint: Path) -> None:
    emptied(checkpoint / "optimizer.pt")
    marked(checkpoint)
    assert train().code == 6
    assert goes_on(train, "--restart") == 0


LINKS = {
    "a file of the checkpoint": "unfinished/checkpoint-1/optimizer.pt",
    "the checkpoint": "unfinished/checkpoint-1",
    "another checkpoint": "unfinished/checkpoint-7",
    "where the best weights go": "unfinished/best-1",
    "all checkpoints": "unfinished",
    "events of a tracker": "unfinished/runs",
    "the card": "README.md",
    "weights of the model": "model.safetensors",
    "the curves": "progress.jsonl",
}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_in_unfinished_work_is_not_followed(
    train: Train, store: hs.Store, checkpoint: Path, outside: Path, case: str
) -> None:
    (work,) = store.unfinished()
    link = work.path / LINKS[case]
    target = outside if not link.suffix else outside / "secret.txt"
    if link.is_dir():
        shutil.rmtree(link)
    else:
        link.unlink(missing_ok=True)
    link.symlink_to(target)
    refused = train()
    assert refused.code == 4, refused.err
    problem = refused.json["error"]
    assert problem["message"].startswith(f"{link} is a link")
    assert f"hype rm {work.id}" in problem["hint"]
    assert store.remove(work.id) == [work.id]
    assert not work.path.exists()
