"""Datasets of ir_datasets, which is imported (a third of a second) only when one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

from hypencli.data.reading.base import Part, Source
from hypencli.data.reading.file import has_data_suffix
from hypencli.data.reading.judgements import Judgement
from hypencli.data.reading.rows import (
    Fields,
    TextRow,
    checked_id,
    checked_text,
    joined,
)
from hypencli.data.reading.skipped_lines import OnMalformed
from hypencli.errors import DataError, UsageError
from hypencli.records import Qrels

IrdsPart: TypeAlias = Literal["docs", "queries", "qrels"]

_PARTS: Mapping[Part, IrdsPart] = {"documents": "docs", "queries": "queries", "qrels": "qrels"}
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
        """The dataset whose documents these are, as an id of a source."""
        corpus = self._dataset.corpus_name()
        return None if corpus is None else f"{self.prefix}:{corpus}"

    @property
    def corpus_prefix(self) -> str:
        """The id of the dataset whose documents these are."""
        return self._dataset.corpus_name() or self.name

    @property
    def queries_source(self) -> str | None:
        """The dataset, where it has queries."""
        return self.id if self._dataset.has("queries") else None

    @property
    def qrels_source(self) -> str | None:
        """The dataset, where it has judgements."""
        return self.id if self._dataset.has("qrels") else None

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part that the dataset does not have.

        Raises:
            DataError: It has no such part.
            UsageError: A field for the id is named: ir_datasets knows the ids itself.
        """
        self._dataset.require(_PARTS[part])
        if fields.id_key is not None:
            raise UsageError(f"{self.id}: ir_datasets knows the ids; no field of ids can be named.")

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """The documents in the dataset's order; it has no lines that could be malformed."""
        return self._dataset.documents(fields)

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """The queries in the dataset's order."""
        return self._dataset.queries(fields)

    def qrels(self) -> Iterator[Judgement]:
        """The judgements, each document once for a query."""
        self._dataset.require("qrels")
        for query_id, judged in self._dataset.qrels().items():
            for doc_id, grade in judged.items():
                yield Judgement(self.id, query_id, doc_id, grade)

    def content(self, fields: Fields) -> Mapping[str, str]:
        """The id of the corpus: ir_datasets checks its files against its own list of hashes."""
        return {"ir_datasets": self.corpus_prefix}

    def count(self, fields: Fields) -> int | None:
        """Documents, as ir_datasets states."""
        return self._dataset.docs_count()

    @cached_property
    def _dataset(self) -> IrdsDataset:
        return IrdsDataset(self.dataset_id)


class IrdsDataset:
    """One dataset: its documents, queries and judgements as plain rows."""

    def __init__(self, name: str) -> None:
        import ir_datasets

        self.name = name
        self._dataset = ir_datasets.load(name)

    def has(self, part: IrdsPart) -> bool:
        """Whether it has ``docs``, ``queries`` or ``qrels``."""
        return bool(self._dataset.has(part))

    def require(self, part: IrdsPart) -> None:
        """Refuse a dataset without a part.

        Raises:
            DataError: It has none; the hint names datasets below it which have.
        """
        if self.has(part):
            return
        near = [one for one in dataset_ids() if one.startswith(f"{self.name}/")]
        having = [one for one in near if IrdsDataset(one).has(part)]
        hint = f"These have: {', '.join(having[:12])}" if having else None
        raise DataError(f"The ir_datasets dataset {self.name!r} has no {part}.", hint=hint)

    def corpus_name(self) -> str | None:
        """The dataset whose documents these are: ``msmarco-passage`` for all of its query sets."""
        import ir_datasets

        if not self.has("docs"):
            return None
        with reading(self.name):
            return str(ir_datasets.docs_parent_id(self.name))

    def docs_count(self) -> int | None:
        """Documents, as ir_datasets states them without reading; None where it does not."""
        with reading(self.name):
            count = self._dataset.docs_count()
        return None if count is None else int(count)

    def stated_count(self, part: Literal["docs", "queries"]) -> int | None:
        """Documents or queries as ir_datasets states them; nothing is read or downloaded."""
        stated = self._dataset.metadata().get(part, {}).get("count")
        return None if stated is None else int(stated)

    def documents(self, fields: Fields) -> Iterator[TextRow]:
        """Documents in their order; the position counts from 1."""
        return self._rows(self._dataset.docs_iter, "doc_id", fields)

    def records(self, part: Literal["docs", "queries"]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents or queries with all of their fields, each behind a name for messages."""
        iterate = self._dataset.docs_iter if part == "docs" else self._dataset.queries_iter
        with reading(self.name):
            for count, record in enumerate(iterate(), start=1):
                yield f"irds:{self.name}, record {count}", record._asdict()

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """Queries in their order; the position counts from 1."""
        return self._rows(self._dataset.queries_iter, "query_id", fields)

    def qrels(self) -> Qrels:
        """Judgements; of two for one document the later one holds, as ir_datasets has it."""
        judgements: dict[str, dict[str, int]] = {}
        with reading(self.name):
            for one in self._dataset.qrels_iter():
                judgements.setdefault(one.query_id, {})[one.doc_id] = int(one.relevance)
        return judgements

    def _rows(self, iterate: Any, id_field: str, fields: Fields) -> Iterator[TextRow]:
        with reading(self.name):
            for count, record in enumerate(iterate(), start=1):
                where = f"irds:{self.name}, record {count}"
                identifier = checked_id(getattr(record, id_field), where)
                yield TextRow(count, identifier, _text(record, fields, where))


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
