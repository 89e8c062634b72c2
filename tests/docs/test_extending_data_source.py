"""The data source of docs/extending-data-source.md, installed as a package of a user's own."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli import plugins
from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError
from tests.conftest import Hype

NOTES = {
    "river": "The river floods the bank in spring.",
    "star": "A star shines in its galaxy.",
    "bread": "Bread needs flour, water and salt.",
}
QUESTIONS = "q1\twhich river floods\triver\nq2\twhat does a star do\tstar\n"


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "extending-data-source.md").read_text(encoding="utf-8")


@pytest.fixture
def installed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's module and metadata, in a folder that counts as one of the interpreter's."""
    (module,) = re.findall(r"```python\n# notes_source.py\n(.*?)```", page, flags=re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    site = tmp_path / "site"
    home = site / "notes_source-1.0.dist-info"
    home.mkdir(parents=True)
    (site / "notes_source.py").write_text(module, encoding="utf-8")
    metadata = tomllib.loads(project)["project"]
    (home / "METADATA").write_text(f"Name: {metadata['name']}\nVersion: 1.0\n", encoding="utf-8")
    points = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in metadata["entry-points"].items()
    ]
    (home / "entry_points.txt").write_text("\n".join(points) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    folders = plugins._install_folders() | {site.resolve()}
    monkeypatch.setattr(plugins, "_install_folders", lambda: folders)
    yield
    sys.modules.pop("notes_source", None)


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notes, named from the current folder as on the page."""
    folder = tmp_path / "diary"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "questions.tsv").write_text(QUESTIONS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.usefixtures("installed")
def test_all_three_parts_are_read(diary: Path) -> None:
    corpus, queries = open_corpus("notes:diary"), open_queries("notes:diary")
    assert {one.doc_id: one.text for one in corpus} == NOTES
    assert (corpus.id, corpus.corpus_id, corpus.id_prefix) == ("notes:diary",) * 2 + ("diary",)
    assert (corpus.queries, queries.qrels, queries.corpus_id) == ("notes:diary",) * 3
    assert [query.text for query in queries] == ["which river floods", "what does a star do"]
    assert read_qrels("notes:diary").qrels == {"q1": {"river": 1}, "q2": {"star": 1}}


@pytest.mark.usefixtures("installed")
def test_a_changed_note_is_another_corpus(diary: Path) -> None:
    before = open_corpus("notes:diary").fingerprint
    assert open_corpus("notes:diary").fingerprint == before
    (diary / "star.md").write_text("A star is a sun.", encoding="utf-8")
    assert open_corpus("notes:diary").fingerprint != before


@pytest.mark.usefixtures("installed")
def test_a_name_that_is_no_folder_of_notes_is_refused(diary: Path) -> None:
    with pytest.raises(DataError, match="no folder of notes 'log'"):
        open_corpus("notes:log")


def test_a_source_that_is_not_installed_is_unknown(diary: Path) -> None:
    with pytest.raises(DataError, match="No corpus 'notes:diary'"):
        open_corpus("notes:diary")


@pytest.mark.usefixtures("installed")
def test_the_hint_of_an_unknown_dataset_lists_it(diary: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_corpus("nothing")
    assert "notes:NAME" in str(caught.value.hint)


@pytest.mark.usefixtures("installed")
def test_it_is_encoded_searched_and_evaluated_by_the_command(
    page: str, diary: Path, study: Path, hype: Hype
) -> None:
    commands = re.findall(r"^    hype (.*)$", page, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["encode", "search", "eval"]
    for command in commands:
        model = [] if command.startswith("eval") else ["--model", "hyper"]
        done = hype(*command.split(), *model, "--store", study, "--json")
        assert done.code == 0, done.out + done.err
    assert done.json["qrels"] == "notes:diary"
