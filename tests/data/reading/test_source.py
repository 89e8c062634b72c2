"""What a DATASET argument names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli.data.reading import source as registry
from hypencli.data.reading.source import (
    SOURCES,
    Fields,
    FileSource,
    FolderSource,
    IrdsSource,
    OnMalformed,
    Source,
    TextRow,
    resolve,
)
from hypencli.errors import DataError


@pytest.mark.parametrize("given", ["vaswani", "irds:vaswani", "ir_datasets:vaswani"])
def test_an_ir_datasets_id_with_and_without_prefix(given: str) -> None:
    assert resolve(given) == IrdsSource("vaswani")
    assert resolve(given).id == "irds:vaswani"


def test_a_path_that_exists_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    file.touch()
    assert resolve(str(file)) == resolve(file) == FileSource(file)
    assert resolve(tmp_path) == FolderSource(tmp_path)


def test_a_name_that_is_both_must_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vaswani").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="both an ir_datasets id and a path") as caught:
        resolve("vaswani")
    assert caught.value.hint == "Say which: irds:vaswani, or ./vaswani"
    assert resolve("irds:vaswani") == IrdsSource("vaswani")
    assert resolve("./vaswani") == FolderSource(Path("vaswani"))
    assert resolve(Path("vaswani")) == FolderSource(Path("vaswani"))


@pytest.mark.parametrize(
    ("path", "identifier", "id_prefix"),
    [
        ("notes.jsonl", "file:notes.jsonl", "notes"),
        ("notes.v2.tsv.gz", "file:notes.v2.tsv.gz", "notes.v2"),
        ("wiki/corpus.jsonl", "file:wiki/corpus.jsonl", "wiki"),
        ("wiki/queries.dev.tsv", "file:wiki/queries.dev.tsv", "wiki/queries.dev"),
    ],
)
def test_files_are_named_so_that_collections_differ(
    tmp_path: Path, path: str, identifier: str, id_prefix: str
) -> None:
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    source = FileSource(file)
    assert source.id == identifier
    assert source.id_prefix == id_prefix


def test_a_folder_is_named_by_itself_also_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scifact"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert resolve(".").id == FolderSource(folder).id == "folder:scifact"


@pytest.mark.parametrize(
    ("given", "offered"),
    [("vaswanni", "'vaswani'"), ("beir/scifct", "'beir/scifact'"), ("irds:vaswan", "'vaswani'")],
)
def test_an_unknown_id_offers_near_ones_and_what_is_accepted(given: str, offered: str) -> None:
    with pytest.raises(DataError, match="No corpus") as caught:
        resolve(given, what="corpus")
    assert "Did you mean" in str(caught.value.hint)
    assert offered in str(caught.value.hint)
    assert "a JSONL, TSV or CSV file" in str(caught.value.hint)
    assert "BEIR folder" in str(caught.value.hint)


def test_a_mistyped_path_offers_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl").touch()
    with pytest.raises(DataError, match="looked in") as caught:
        resolve(tmp_path / "document.jsonl")
    assert str(tmp_path / "documents.jsonl") in str(caught.value.hint)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(DataError, match="No dataset ''"):
        resolve("")


def test_a_prefix_decides_between_a_path_and_an_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vaswani").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("folder:vaswani") == resolve("file:vaswani") == FolderSource(Path("vaswani"))
    assert resolve("irds:vaswani") == IrdsSource("vaswani")


def test_prefixes_are_distinct_and_ids_begin_with_them(tmp_path: Path) -> None:
    assert len({kind.prefix for kind in SOURCES}) == len(SOURCES)
    for one in (FileSource(tmp_path / "x.tsv"), FolderSource(tmp_path), IrdsSource("vaswani")):
        assert one.id == f"{one.prefix}:{one.name}"


class DocumentsOnly(Source):
    """A source without queries and judgements."""

    prefix = "only"

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        yield TextRow(1, "a", "a river")


def test_parts_that_a_source_does_not_define_are_refused_by_name() -> None:
    one = DocumentsOnly("x")
    one.require("documents", Fields())
    assert (one.queries_source, one.qrels_source, one.count(Fields())) == (None, None, None)
    with pytest.raises(DataError, match="only:x has no queries; it has documents"):
        one.require("queries", Fields())
    with pytest.raises(DataError, match="only:x has no qrels"):
        next(one.qrels())


@pytest.mark.parametrize("offer", [None, "text", dict, FileSource])
def test_only_a_subclass_with_its_prefix_is_taken_as_installed(
    offer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``hypencli.plugins`` gives is not trusted to be a source."""
    monkeypatch.setattr(registry, "offered", lambda group, name: offer)
    expected = "No corpus" if offer is None else "package that offers the source 'only' is broken"
    with pytest.raises(DataError, match=expected):
        resolve("only:x", what="corpus")
    monkeypatch.setattr(registry, "offered", lambda group, name: DocumentsOnly)
    assert resolve("only:x").id == "only:x"
