"""Files as a data source: documents or queries in JSONL, TSV or CSV, or judgements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar

from hypencli.data.reading.base import Part, Source
from hypencli.data.reading.judgements import Judgement, iterate_judgements
from hypencli.data.reading.lines import (
    FileSummary,
    HashedStream,
    LineStream,
    decode_lines,
    first_line,
    open_bytes,
    read_lines,
    summarise_file,
)
from hypencli.data.reading.rows import (
    Fields,
    TextRow,
    count_csv,
    format_of,
    has_header,
    read_rows,
)
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError
from hypencli.escaping import escape_shell
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

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read documents from a pipe, which gives them only once.

        Raises:
            DataError: The path is a pipe, a socket or a device.
        """
        if part == "documents" and self.path.exists() and not self.path.is_file():
            raise DataError(
                f"{self.path} is a pipe or a device, no file; documents are read more than once.",
                hint=f"Pass them as standard input: hype encode - < {escape_shell(self.path)}",
            )

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Read the documents, one per line or CSV record."""
        with open_bytes(self.path) as stream:
            yield from self._documents(stream, fields, on_malformed)

    def same_documents(
        self,
        fields: Fields,
        on_malformed: OnMalformed,
        content: Mapping[str, str],
        limit: int | None = None,
    ) -> Iterator[TextRow]:
        """Read the documents, and refuse another content: the file is hashed as it is read."""
        with open_bytes(self.path) as stream:
            hashed = HashedStream(stream)
            yield from islice(self._documents(hashed, fields, on_malformed), limit)
            if hashed.sha256_of_all() != content["sha256"]:
                raise self._changed()

    def _documents(
        self, stream: LineStream, fields: Fields, on_malformed: OnMalformed
    ) -> Iterator[TextRow]:
        name = self.place("documents")
        lines = decode_lines(stream, name, on_malformed)
        return read_rows(lines, name, fields, plain=False, on_malformed=on_malformed)

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
        """Count the records of CSV, or the lines that are not blank, without a header."""
        name, first = self.place("documents"), first_line(self.path)
        if first is not None and format_of(name, first) == "csv":
            return count_csv(read_lines(self.path), name)
        return self._summary.rows - (first is not None and has_header(name, first, fields))

    @cached_property
    def _summary(self) -> FileSummary:
        return summarise_file(self.path)
