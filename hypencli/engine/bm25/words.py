"""Words of texts: what BM25 counts, and how a part of a corpus keeps them on disk."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hypencli.engine.bm25.options import Bm25Options
from hypencli.errors import ModelError, UsageError, did_you_mean
from hypencli.packages import require_packages

NONE = "none"
"""The value of an option that turns a step off."""

_WORDS, _IDS, _LENGTHS = "words.json", "ids.npy", "lengths.npy"


def library(module: str = "bm25s") -> Any:
    """Import bm25s or ``Stemmer``, its stemmers.

    Raises:
        MissingDependencyError: One of them is not installed; the hint installs both.
    """
    require_packages(("bm25s", "Stemmer"), "BM25")
    return importlib.import_module(module)


def refuse_unknown(options: Bm25Options) -> None:
    """Refuse options that the libraries do not know, before a text is read.

    Raises:
        UsageError: The pattern is no regular expression, or there is no such stemmer or list of
            stop words.
        MissingDependencyError: bm25s or PyStemmer is not installed.
    """
    try:
        re.compile(options.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"pattern={options.pattern!r:.80} is no regular expression: {error}.",
            hint=r"Example: -o pattern='\w+'",
        ) from error
    if options.stemmer != NONE:
        known = library("Stemmer").algorithms()
        if options.stemmer not in known:
            raise UsageError(
                f"There is no stemmer {options.stemmer!r:.80}.",
                hint=did_you_mean(options.stemmer, [*known, NONE]),
            )
    if options.stopwords != NONE:
        try:
            library().tokenization.Tokenizer(stopwords=options.stopwords)
        except ValueError as error:
            raise UsageError(
                f"There is no list of stop words {options.stopwords!r:.80}.",
                hint="Name a language, such as english, german or french, or none.",
            ) from error


def tokenizer(options: Bm25Options) -> Any:
    """Return an empty tokenizer of bm25s with these options."""
    stemmer = None
    if options.stemmer != NONE:
        stemmer = library("Stemmer").Stemmer(options.stemmer)
    return library().tokenization.Tokenizer(
        splitter=options.pattern,
        stopwords=None if options.stopwords == NONE else options.stopwords,
        stemmer=stemmer,
    )


@dataclass(frozen=True, slots=True)
class PartWords:
    """The words of the texts of one part of a corpus.

    Attributes:
        words: The different words after stemming; the id of a word is its place.
        ids: Ids of the words of all texts, text after text, ``[n_words]``.
        lengths: Number of words of each text, ``[n]``.
    """

    words: list[str]
    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[str], options: Bm25Options) -> PartWords:
        """Split texts into words."""
        splitting = tokenizer(options)
        rows = list(splitting.streaming_tokenize(texts, update_vocab=True, allow_empty=False))
        vocabulary = splitting.get_vocab_dict()
        return cls(
            words=sorted(vocabulary, key=vocabulary.__getitem__),
            ids=np.fromiter((word for row in rows for word in row), dtype=np.int32),
            lengths=np.fromiter((len(row) for row in rows), dtype=np.int32),
        )

    def save(self, folder: Path) -> None:
        """Write the words into an empty folder."""
        (folder / _WORDS).write_text(json.dumps(self.words, ensure_ascii=False), encoding="utf-8")
        np.save(folder / _IDS, self.ids)
        np.save(folder / _LENGTHS, self.lengths)

    @classmethod
    def load(cls, folder: Path) -> PartWords:
        """Read the words of a folder. The ids stay on disk.

        Raises:
            ModelError: A file is missing or damaged.
        """
        try:
            words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            ids = np.load(folder / _IDS, mmap_mode="r", allow_pickle=False)
            lengths = np.load(folder / _LENGTHS, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"The words of BM25 in {folder} cannot be read: {error}.") from error
        return cls(words, ids, lengths)


class CorpusWords:
    """The words of all texts of a corpus, as ids in one vocabulary.

    bm25s goes over the texts several times. Each time, one text is in memory.

    Args:
        parts: The words of each part, in order.

    Attributes:
        vocabulary: Word -> id.
    """

    def __init__(self, parts: Sequence[PartWords]) -> None:
        self.vocabulary: dict[str, int] = {}
        self._parts = [(part, self._ids_of(part.words)) for part in parts]
        self._n = sum(len(part.lengths) for part in parts)

    def _ids_of(self, words: Sequence[str]) -> npt.NDArray[np.int32]:
        ids = [self.vocabulary.setdefault(word, len(self.vocabulary)) for word in words]
        return np.asarray(ids, dtype=np.int32)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[list[int]]:
        for part, ids in self._parts:
            start = 0
            for length in part.lengths.tolist():
                yield ids[part.ids[start : start + length]].tolist()
                start += length
