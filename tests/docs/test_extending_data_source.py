"""The data source of docs/extending.md, installed as a package of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError
from tests.conftest import Hype
from tests.docs.installing import Example

NOTES = {
    "river": "The river floods the bank in spring.",
    "star": "A star shines in its galaxy.",
    "bread": "Bread needs flour, water and salt.",
}
QUESTIONS = "q1\twhich river floods\triver\nq2\twhat does a star do\tstar\n"


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


@pytest.mark.usefixtures("site")
def test_all_three_parts_are_read(diary: Path) -> None:
    corpus, queries = open_corpus("notes:diary"), open_queries("notes:diary")
    assert {one.doc_id: one.text for one in corpus} == NOTES
    assert (corpus.id, corpus.corpus_id, corpus.id_prefix) == ("notes:diary",) * 2 + ("diary",)
    assert (corpus.queries, queries.qrels, queries.corpus_id) == ("notes:diary",) * 3
    assert [query.text for query in queries] == ["which river floods", "what does a star do"]
    assert read_qrels("notes:diary").qrels == {"q1": {"river": 1}, "q2": {"star": 1}}


@pytest.mark.usefixtures("site")
def test_a_changed_note_is_another_corpus(diary: Path) -> None:
    before = open_corpus("notes:diary").fingerprint
    assert open_corpus("notes:diary").fingerprint == before
    (diary / "star.md").write_text("A star is a sun.", encoding="utf-8")
    assert open_corpus("notes:diary").fingerprint != before


@pytest.mark.usefixtures("site")
def test_a_name_that_is_no_folder_of_notes_is_refused(diary: Path) -> None:
    with pytest.raises(DataError, match="no folder of notes 'log'"):
        open_corpus("notes:log")


def test_a_source_that_is_not_installed_is_unknown(diary: Path) -> None:
    with pytest.raises(DataError, match="No corpus 'notes:diary'"):
        open_corpus("notes:diary")


@pytest.mark.usefixtures("site")
def test_the_hint_of_an_unknown_dataset_lists_it(diary: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_corpus("nothing")
    assert "notes:NAME" in str(caught.value.hint)


@pytest.mark.usefixtures("site")
def test_it_is_encoded_searched_and_evaluated_by_the_command(
    example: Callable[[str], Example], diary: Path, study: Path, hype: Hype
) -> None:
    commands = example("A data source").commands
    assert [command[0] for command in commands] == ["encode", "search", "eval"]
    for command in commands:
        model = [] if command[0] == "eval" else ["--model", "hyper"]
        done = hype(*command, *model, "--store", study, "--json")
        assert done.code == 0, done.out + done.err
    assert done.json["qrels"] == "notes:diary"
