"""Datasets of ir_datasets, which is imported only when needed: it takes a third of a second."""

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
"""Part of a source -> its name in ir_datasets."""


def dataset_ids() -> list[str]:
    """Return all registered ids of ir_datasets."""
    import ir_datasets

    return list(ir_datasets.registry)


def is_registered(name: str) -> bool:
    """Return whether ir_datasets has a dataset with this id, or a pattern that the id matches."""
    import ir_datasets

    try:
        ir_datasets.load(name)
    except KeyError:
        return False
    return True


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn errors of ir_datasets about missing data into a :class:`DataError` with a hint."""
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
        """Return the dataset with this id. Texts that must be paths do not import ir_datasets."""
        may_be_id = bool(text) and text[0] not in "./~\\" and not has_data_suffix(text)
        return cls(text) if may_be_id and is_registered(text) else None

    @property
    def name(self) -> str:
        """The id, which is unique in ir_datasets."""
        return self.dataset_id

    @property
    def corpus_id(self) -> str | None:
        """Id of the dataset with the documents: ``irds:msmarco-passage`` for its query sets."""
        corpus = self._corpus_name
        return None if corpus is None else f"{self.prefix}:{corpus}"

    @property
    def corpus_prefix(self) -> str:
        """Id of the dataset with the documents, without prefix."""
        return self._corpus_name or self.name

    @property
    def queries_source(self) -> str | None:
        """The dataset, if it has queries."""
        return self.id if self._has("queries") else None

    @property
    def qrels_source(self) -> str | None:
        """The dataset, if it has judgements."""
        return self.id if self._has("qrels") else None

    def require(self, part: Part, fields: Fields) -> None:
        """Refuse to read a part that the dataset does not have.

        Raises:
            DataError: The dataset lacks the part; the hint names subsets that have it.
            UsageError: A field for the id is named; ir_datasets defines the ids.
        """
        if not self._has(part):
            below = [IrdsSource(one) for one in dataset_ids() if one.startswith(f"{self.name}/")]
            having = [one.name for one in below if one._has(part)]
            hint = f"These have: {', '.join(having[:12])}" if having else None
            raise DataError(f"The ir_datasets dataset {self.name!r} has no {part}.", hint=hint)
        if fields.id_key is not None:
            raise UsageError(f"{self.id}: ir_datasets knows the ids; no field of ids can be named.")

    def documents(self, fields: Fields, on_malformed: OnMalformed) -> Iterator[TextRow]:
        """Read the documents in the order of the dataset; ``on_malformed`` is not used."""
        return self._rows("documents", "doc_id", fields)

    def queries(self, fields: Fields) -> Iterator[TextRow]:
        """Read the queries in the order of the dataset."""
        return self._rows("queries", "query_id", fields)

    def qrels(self) -> Iterator[Judgement]:
        """Read the judgements; of two for one document the later counts, as in ir_datasets."""
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
        """Yield documents or queries with all fields, each with its name for messages."""
        for _, where, record in self._records(part):
            yield where, record._asdict()

    def content(self, fields: Fields) -> Mapping[str, str]:
        """Return the id of the corpus; ir_datasets verifies the hashes of its files."""
        return {"ir_datasets": self.corpus_prefix}

    def count(self, fields: Fields) -> int | None:
        """Return the number of documents in the metadata of ir_datasets; None if it is missing."""
        with reading(self.name):
            count = self._dataset.docs_count()
        return None if count is None else int(count)

    def stated_count(self, part: Literal["documents", "queries"]) -> int | None:
        """Return the number of documents or queries in the metadata of ir_datasets.

        Nothing is downloaded.
        """
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
        """Yield records in their order, numbered from 1, each with a name for messages."""
        dataset = self._dataset
        iterate = dataset.docs_iter if part == "documents" else dataset.queries_iter
        with reading(self.name):
            for count, record in enumerate(iterate(), start=1):
                yield count, f"{self.id}, record {count}", record


def _text(record: Any, fields: Fields, where: str) -> str:
    """Return the named field, else title and text, else the text that ir_datasets suggests."""
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
