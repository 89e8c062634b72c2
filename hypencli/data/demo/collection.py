"""A retrieval collection of docstrings: two corpora, training pairs, and two test sets.

A *pair* is a symbol whose docstring has a first paragraph and more: the first paragraph is the
query, the rest is the relevant passage. An answer must not contain its question, so pairs have a
corpus of their own:

* ``documents``: every symbol with its whole docstring. The questions are searched here.
* ``passages``: the symbols of all pairs *without* their first paragraph: signature and rest.
  Training and the held-out summaries use this corpus. All its passages have the same form, so a
  model cannot recognise the held-out ones.

Training has two directions: from the first paragraph to the rest, and from the first sentence of
the rest to the signature with the first paragraph. Each row also holds the other half of its symbol
as a second item, so that this is never drawn as a negative.

A pair is left out if its first paragraph occurs in any of the ``passages``, or is the first
paragraph of two symbols. A hash of its name assigns a pair to training, validation or test, so
another module in the library does not move existing pairs.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.data.demo.docstrings import Symbol, read_symbols
from hypencli.data.demo.files import DemoFiles, write_files
from hypencli.data.demo.questions import read_questions
from hypencli.records import Document, Qrels, Query, TrainingItem, TrainingRow

Part: TypeAlias = Literal["training", "validation", "heldout"]

SPLIT_SEED = 2025
HELDOUT_PERCENT = 20
VALIDATION_PERCENT = 10

MIN_QUERY_WORDS = 4
MAX_QUERY_CHARS = 300
MIN_REST_CHARS = 40

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """A test set: queries and their judgements."""

    queries: tuple[Query, ...]
    qrels: Qrels

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True, slots=True)
class DemoCollection:
    """The data for training and testing in the demo.

    Attributes:
        documents: Every symbol with its whole docstring; the corpus of ``questions``.
        passages: Symbols of all pairs without their first paragraph; the corpus of ``validation``
            and ``heldout``.
        training: Rows in both directions; each holds the positive, then the other half of the
            symbol.
        validation: Pairs for choosing settings.
        heldout: Pairs for reporting results; training does not use them.
        questions: Questions in a user's words, with graded judgements (2 the answer, 1 helps).
        notes: Questions and judgements that this Python lacks, in words.
    """

    documents: tuple[Document, ...]
    passages: tuple[Document, ...]
    training: tuple[TrainingRow, ...]
    validation: JudgedQueries
    heldout: JudgedQueries
    questions: JudgedQueries
    notes: tuple[str, ...]


def build_docstring_collection(root: Path | None = None) -> DemoCollection:
    """Build the collection from the standard library of this machine; the result is deterministic.

    Args:
        root: Folder with the sources of the library; None takes that of this interpreter.

    Raises:
        DataError: The folder has no sources.
    """
    symbols = read_symbols(root)
    pairs = select_pairs(symbols)
    parts: dict[Part, list[Symbol]] = {"training": [], "validation": [], "heldout": []}
    for pair in pairs:
        parts[part_of(pair.name)].append(pair)
    questions, judged, notes = read_questions({symbol.name for symbol in symbols})
    return DemoCollection(
        documents=tuple(Document(symbol.name, symbol.text) for symbol in symbols),
        passages=tuple(Document(pair.name, pair.body) for pair in pairs),
        training=tuple(row for pair in parts["training"] for row in _training_rows(pair)),
        validation=_known_items(parts["validation"]),
        heldout=_known_items(parts["heldout"]),
        questions=JudgedQueries(questions, judged),
        notes=notes,
    )


def write_docstring_collection(collection: DemoCollection, folder: Path) -> DemoFiles:
    """Write the collection as JSONL corpora and queries, TREC qrels and a JSONL training file.

    Returns:
        The paths of the files.
    """
    return write_files(
        folder,
        corpora={"documents": collection.documents, "passages": collection.passages},
        training=collection.training,
        query_sets={
            name: (judged.queries, judged.qrels)
            for name, judged in (
                ("validation", collection.validation),
                ("heldout", collection.heldout),
                ("questions", collection.questions),
            )
        },
    )


def select_pairs(symbols: Sequence[Symbol]) -> list[Symbol]:
    """The symbols whose first paragraph can be a query for the rest; see the module docstring."""
    able = [symbol for symbol in symbols if _is_askable(symbol)]
    counts = Counter(_plain(symbol.summary) for symbol in able)
    unique = [symbol for symbol in able if counts[_plain(symbol.summary)] == 1]
    everything = "\n".join(_plain(symbol.body) for symbol in unique)
    return [symbol for symbol in unique if _plain(symbol.summary) not in everything]


def part_of(name: str) -> Part:
    """``training``, ``validation`` or ``heldout``, by a hash of the symbol's name."""
    digest = hashlib.sha256(f"{SPLIT_SEED}:{name}".encode()).digest()
    percent = int.from_bytes(digest[:8], "big") % 100
    if percent < HELDOUT_PERCENT:
        return "heldout"
    return "validation" if percent < HELDOUT_PERCENT + VALIDATION_PERCENT else "training"


def _is_askable(symbol: Symbol) -> bool:
    rest = sum(len(paragraph) for paragraph in symbol.paragraphs[1:])
    return _is_query(symbol.summary) and rest >= MIN_REST_CHARS


def _is_query(text: str) -> bool:
    return len(text.split()) >= MIN_QUERY_WORDS and len(text) <= MAX_QUERY_CHARS


def _plain(text: str) -> str:
    """A paragraph in lower case, without its final stop, for comparison."""
    return " ".join(text.lower().split()).rstrip(".")


def _training_rows(pair: Symbol) -> Iterator[TrainingRow]:
    rest = TrainingItem(id=pair.name, content=pair.body)
    head = TrainingItem(id=f"{pair.name}#summary", content=f"{pair.signature}\n\n{pair.summary}")
    yield _row(_query(pair), rest, head)
    detail = _SENTENCE_END.split(pair.paragraphs[1])[0]
    if _is_query(detail):
        yield _row(Query(f"detail:{pair.name}", detail), head, rest)


def _row(query: Query, positive: TrainingItem, other_half: TrainingItem) -> TrainingRow:
    return TrainingRow(
        query, (replace(positive, type="positive"), replace(other_half, type="other-half"))
    )


def _known_items(pairs: Iterable[Symbol]) -> JudgedQueries:
    kept = tuple(pairs)
    queries = tuple(_query(pair) for pair in kept)
    return JudgedQueries(queries, {_query(pair).query_id: {pair.name: 1} for pair in kept})


def _query(pair: Symbol) -> Query:
    # With the plain name as id, --exclude-same-id would drop the answer.
    return Query(f"summary:{pair.name}", pair.summary)
