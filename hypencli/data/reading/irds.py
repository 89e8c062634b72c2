"""Datasets of ir_datasets, which is imported (a third of a second) only when one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from hypencli.data.reading.base import Part, Source
from hypencli.data.reading.file import has_data_suffix
from hypencli.data.reading.judgements import Judgement
from hypencli.data.reading.rows import Fields, TextRow, checked_id, checked_text, joined
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError, UsageError

_PARTS: Mapping[Part, str] = {"documents": "docs", "queries": "queries", "qrels": "qrels"}
"""What ir_datasets calls the parts of a source."""


def dataset_ids() -> list[str]:
    """All ids that ir_datasets has registered."""
    import ir_datasets

    return list(ir_datasets.registry)


def is_registered(name: str) -> bool:
    """Whether ir_datasets has a dataset of this id (also one that only a pattern of ids covers)."""
    import ir_datasets

    try:
        ir_datasets.load(name)
    except KeyError:
        return False
    return True


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what ir_datasets raises when data cannot be had into one error that says what to do."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise DataError(
            f"ir_datasets cannot read {name!r}: {type(error).__name__}: {error}",
            hint="ir_datasets downloads data once, and may say above how to get what it may not "
            "download. Where there is no network, set IR_DATASETS_HOME to a folder that holds the "
            "files already.",
        ) from error


@dataclass(frozen=True)
class IrdsSource(Source):
    """A dataset of ir_datasets, by its id without prefix."""

    dataset_id: str
    prefix: ClassVar[str] = "irds"
    aliases: ClassVar[tuple[str, ...]] = ("ir_datasets",)

    @classmethod
    def recognise(cls, text: str) -> IrdsSource | None:
        """The dataset of an id; ir_datasets is not imported for what is plainly a path."""
        may_be_id = bool(text) and text[0] not in "./~\\" and not has_data_suffix(text)
        return cls(text) if may_be_id and is_registered(text) else None

    @property
    def name(self) -> str:
        """The id, which is unique in ir_datasets."""
        return self.dataset_id

    @property
    def corpus_id(self) -> str | None:
        """The dataset whose documents these are: ``irds:msmarco-passage`` for its query sets."""
        corpus = self._corpus_name
        return None if corpus is None else f"{self.prefix}:{corpus}"

    @property
    def corpus_prefix(self) -> str:
        """The id of the dataset whose documents these are."""
        return self._corpus_name or self.name

    @property
    def queries_source(self) -> str | None:
        """The dataset, where it has queries."""
        return self.id if self._has("queries") else None

    @property
    def qrels_source(self) -> str | None:
        """The dataset, where it has judgements."""
        return self.id if self._has("qrels") else None

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part that the dataset does not have.

        Raises:
            DataError: It has no such part; the hint names datasets below it which have.
            UsageError: A field for the id is named: ir_datasets knows the ids itself.
        """
        if not self._has(part):
            below = [IrdsSource(one) for one in dataset_ids() if one.startswith(f"{self.name}/")]
            having = [one.name for one in below if one._has(part)]
            hint = f"These have: {', '.join(having[:12])}" if having else None
            raise DataError(f"The ir_datasets dataset {self.name!r} has no {part}.", hint=hint)
        if fields.id_key is not None:
            raise UsageError(f"{self.id}: ir_datasets knows the ids; no field of ids can be named.")

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """The documents in the dataset's order; it has no lines that could be malformed."""
        return self._rows("documents", "doc_id", fields)

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """The queries in the dataset's order."""
        return self._rows("queries", "query_id", fields)

    def qrels(self) -> Iterator[Judgement]:
        """The judgements; of two for one document the later one holds, as ir_datasets has it."""
        self.require("qrels", Fields())
        judgements: dict[str, dict[str, int]] = {}
        with reading(self.name):
            for one in self._dataset.qrels_iter():
                judgements.setdefault(one.query_id, {})[one.doc_id] = int(one.relevance)
        for query_id, judged in judgements.items():
            for doc_id, grade in judged.items():
                yield Judgement(self.id, query_id, doc_id, grade)

    def records(
        self, part: Literal["documents", "queries"]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents or queries with all of their fields, each behind a name for messages."""
        for _, where, record in self._records(part):
            yield where, record._asdict()

    def content(self, fields: Fields) -> Mapping[str, str]:
        """The id of the corpus: ir_datasets checks its files against its own list of hashes."""
        return {"ir_datasets": self.corpus_prefix}

    def count(self, fields: Fields) -> int | None:
        """Documents, as ir_datasets states them without reading; None where it does not."""
        with reading(self.name):
            count = self._dataset.docs_count()
        return None if count is None else int(count)

    def stated_count(self, part: Literal["documents", "queries"]) -> int | None:
        """Documents or queries as ir_datasets states them; nothing is read or downloaded."""
        stated = self._dataset.metadata().get(_PARTS[part], {}).get("count")
        return None if stated is None else int(stated)

    def _has(self, part: Part) -> bool:
        return bool(self._dataset.has(_PARTS[part]))

    @property
    def _corpus_name(self) -> str | None:
        import ir_datasets

        if not self._has("documents"):
            return None
        with reading(self.name):
            return str(ir_datasets.docs_parent_id(self.name))

    @cached_property
    def _dataset(self) -> Any:
        import ir_datasets

        return ir_datasets.load(self.name)

    def _rows(
        self, part: Literal["documents", "queries"], id_field: str, fields: Fields
    ) -> Iterator[TextRow]:
        for count, where, record in self._records(part):
            identifier = checked_id(getattr(record, id_field), where)
            yield TextRow(count, identifier, _text(record, fields, where))

    def _records(self, part: Literal["documents", "queries"]) -> Iterator[tuple[int, str, Any]]:
        """Records in their order, counted from 1, each with a name for messages."""
        dataset = self._dataset
        iterate = dataset.docs_iter if part == "documents" else dataset.queries_iter
        with reading(self.name):
            for count, record in enumerate(iterate(), start=1):
                yield count, f"{self.id}, record {count}", record


def _text(record: Any, fields: Fields, where: str) -> str:
    """The field named, else title and text, else the text that ir_datasets suggests."""
    names = record._fields
    key = fields.text_key or "text"
    if key in names:
        title = getattr(record, fields.title_key) if fields.title_key in names else None
        return joined(title, checked_text(getattr(record, key) or "", where))
    if fields.text_key is not None:
        raise DataError(
            f"{where}: no field {key!r}; its fields are {', '.join(map(repr, names))}.",
            hint="Name one of these: `text_key=KEY`",
        )
    return checked_text(record.default_text(), where).strip()
