"""Files as a data source: JSONL or TSV with one document or query a line, or judgements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from hypencli.data.reading.base import Part, Source
from hypencli.data.reading.judgements import Judgement, iterate_judgements
from hypencli.data.reading.lines import FileSummary, first_line, read_lines, summarise_file
from hypencli.data.reading.rows import Fields, TextRow, has_header, read_rows
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.paths import exists, is_dir, user_path

# Many collections use these names, so an id also needs the folder.
_COMMON_STEMS = {
    "collection", "corpus", "data", "dev", "docs", "documents", "passages", "qrels", "queries",
    "results", "run", "test", "topics", "train",
}  # fmt: skip

_DATA_SUFFIX = re.compile(
    r"\.(jsonl?|ndjson|tsv|txt|csv|qrels|run|trec|parquet|gz)$", re.IGNORECASE
)


def has_data_suffix(name: str) -> bool:
    """Return whether a name has the ending of a data file."""
    return _DATA_SUFFIX.search(name) is not None


@dataclass(frozen=True)
class FileSource(Source):
    """A file on disk."""

    path: Path
    prefix: ClassVar[str] = "file"
    aliases: ClassVar[tuple[str, ...]] = ("folder",)
    unit: ClassVar[str] = "line"
    skips_lines: ClassVar[bool] = True

    @classmethod
    def recognise(cls, text: str) -> FileSource | None:
        """Return the file at a path; None if there is none."""
        path = user_path(text)
        return cls(path) if text and exists(path) and not is_dir(path) else None

    @property
    def name(self) -> str:
        """The name of the file; the folder is added if the name is a common one."""
        absolute = self.path.resolve()
        if absolute.name.split(".")[0].lower() in _COMMON_STEMS:
            return f"{absolute.parent.name}/{absolute.name}"
        return absolute.name

    @property
    def id_prefix(self) -> str:
        """The name without endings and without generic parts."""
        stem = self.name
        while shorter := _DATA_SUFFIX.search(stem):
            stem = stem[: shorter.start()]
        folder, _, name = stem.rpartition("/")
        return folder if folder and name.lower() in _COMMON_STEMS else stem

    @property
    def corpus_id(self) -> None:
        """None, because a file of queries does not name their corpus."""

    @property
    def queries_source(self) -> None:
        """None, because a file of documents has no queries."""

    @property
    def qrels_source(self) -> None:
        """None, because a file of documents or queries has no judgements."""

    def place(self, part: Part) -> str:
        """Return the path."""
        return str(self.path)

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Read the documents, one per line."""
        lines = read_lines(self.path, on_malformed)
        return read_rows(lines, str(self.path), fields, plain=False, on_malformed=on_malformed)

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """Read the queries, one per line; lines with only a text are numbered from 1."""
        return read_rows(read_lines(self.path), str(self.path), fields, plain=True)

    def qrels(self) -> Iterator[Judgement]:
        """Read the judgements of a file in one of the three formats."""
        return iterate_judgements(self.path)

    def content(self, fields: Fields) -> Mapping[str, str]:
        """Return the hash of the decompressed file."""
        return {"sha256": self._summary.sha256}

    def count(self, fields: Fields) -> int:
        """Count the lines that are not blank, without a header."""
        first = first_line(self.path)
        header = first is not None and has_header(str(self.path), first, fields)
        return self._summary.rows - header

    @cached_property
    def _summary(self) -> FileSummary:
        return summarise_file(self.path)
