"""Every command and every line of Python in the README runs.

What cannot be had here is replaced, and nothing else: the published model by a tiny checkpoint in
the same format, the plain encoder by a tiny one, and the user's own files by the tiny collection.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from hypencli.__main__ import main

PUBLISHED_MODEL = "jfkback/hypencoder.6_layer"
PLAIN_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workplace(
    tmp_path_factory: pytest.TempPathFactory,
    finished_study: Path,
    tiny_collection: Path,
    tiny_recipe_settings: list[str],
) -> Path:
    """A folder with a user's files, among them a recipe that extends a shipped one."""
    import hypestore

    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(tiny_collection / "corpus.jsonl", folder / "docs.jsonl")
    for name in ("queries.jsonl", "qrels.txt", "train.jsonl"):
        shutil.copy(tiny_collection / name, folder / name)
    store = hypestore.Store.open(finished_study)
    shutil.copytree(store.path(store.get("hyper")), folder / "published")
    backbone = tiny_recipe_settings[1].removeprefix("model.backbone=")
    shutil.copytree(backbone, folder / "encoder")
    write_pooling(folder / "encoder")
    (folder / "mine.toml").write_text(
        f'extends = "tiny"\n[model]\nbackbone = "{backbone}"\n[data]\ntrain = "./train.jsonl"\n',
        encoding="utf-8",
    )
    return folder


def write_pooling(encoder: Path) -> None:
    """Add the files in which a Sentence Transformers model says how it pools."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": place, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds.items())
    ]
    (encoder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (encoder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (encoder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


def commands(readme: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_readme_has_commands(readme: str) -> None:
    assert len(commands(readme)) > 12


def test_every_command_runs(
    readme: str,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace)
    for command in commands(readme):
        here = command.replace(PUBLISHED_MODEL, str(workplace / "published"))
        words = shlex.split(here.replace(PLAIN_ENCODER, str(workplace / "encoder")))
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
            continue
        assert words[0] == "hype"
        code = main(words[1:])
        captured = capsys.readouterr()
        assert code == 0, f"{command}\n{captured.err}"
        assert captured.out.strip(), f"{command} printed nothing"


def test_the_python_runs(
    readme: str,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace)
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        code = block.replace(PUBLISHED_MODEL, str(workplace / "published"))
        exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "[[" in out
    assert "1 d" in out


def test_files_named_in_the_readme_exist(readme: str, repository: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (repository / target).exists(), target
