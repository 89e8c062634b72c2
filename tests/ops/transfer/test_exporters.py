"""Which format a name or a file means. What is written: tests of runs, embeddings and graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.errors import UsageError
from hypencli.ops.transfer.exporters import EXPORTERS, Exporter, ExportKind, find_exporter

SHIPPED = [(kind, one) for kind, formats in EXPORTERS.items() for one in formats]


@pytest.mark.parametrize(("kind", "exporter"), SHIPPED, ids=lambda value: str(value)[:30])
def test_a_format_is_found_by_its_name_and_by_its_endings(
    kind: ExportKind, exporter: Exporter
) -> None:
    assert exporter.kind == kind
    assert find_exporter(kind, exporter.name, None) is exporter
    assert find_exporter(kind, exporter.name, Path("x.other")) is exporter
    for ending in exporter.endings:
        assert find_exporter(kind, None, Path(f"my.best{ending}")) is exporter
    assert exporter.default_path("a.b") == Path(f"a.b{exporter.endings[0]}")


def test_without_name_and_file_it_is_the_first() -> None:
    assert find_exporter("run", None, None).name == "trec"
    assert find_exporter("graph", None, None).name == "jsonl"


@pytest.mark.parametrize("output", ["run", "run.", "run.xyz", "run.trec.gz"])
def test_an_ending_that_means_nothing_is_refused(output: str) -> None:
    with pytest.raises(UsageError, match="is not that of a format") as caught:
        find_exporter("run", None, Path(output))
    assert ".trec, .run, .txt, .jsonl, .parquet" in str(caught.value.hint)


def test_an_unknown_name_lists_the_formats() -> None:
    with pytest.raises(UsageError, match="'jsnl'") as caught:
        find_exporter("graph", "jsnl", Path("x.npy"))
    assert "'jsonl'" in str(caught.value.hint)


def test_no_file_of_several_is_replaced_unasked(tmp_path: Path) -> None:
    (array,) = (one for one in EXPORTERS["embeddings"] if one.beside)
    output, ids = tmp_path / "docs.npy", tmp_path / "docs.ids.txt"
    assert array.files(output, overwrite=False) == (output, ids)
    ids.touch()
    with pytest.raises(UsageError, match=r"docs\.ids\.txt exists"):
        array.files(output, overwrite=False)
    assert array.files(output, overwrite=True) == (output, ids)
