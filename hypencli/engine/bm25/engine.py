"""Search by BM25: an index of the words of all texts, and rankings of documents by it.

The index is built in two steps, so that an interrupted build goes on:

1. the words of each part of the corpus are kept (:class:`~hypencli.engine.bm25.words.PartWords`);
2. bm25s computes the score of every word in every document, ``[n, words]``, sparse, once for each
   ``k1`` and ``b``. A query's scores are sums of its columns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypencli.engine.bm25.options import Bm25Options
from hypencli.engine.bm25.words import CorpusWords, PartWords, library, tokenizer
from hypencli.engine.results import OnScored, SearchResult, counts, refuse_k
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK
from hypencli.errors import ModelError
from hypencli.records import Ranking

if TYPE_CHECKING:
    from hypencli.engine.corpus import DocIds, TextCorpus


class Bm25Engine:
    """Ranks documents by the BM25 scores of their texts.

    A document without a word of the query has the score 0, and is not ranked.

    Args:
        index: The index of bm25s, over ``n`` documents.
        options: Options of the words; those that the index was built with.
        doc_ids: Returns the ids of ordinals in the corpus.
    """

    def __init__(self, index: Any, options: Bm25Options, doc_ids: DocIds) -> None:
        self._index = index
        self._options = options
        self._doc_ids = doc_ids

    @classmethod
    def open(cls, options: Bm25Options, corpus: TextCorpus) -> Bm25Engine:
        """Open the index of a corpus. What is missing of it is built and cached.

        Raises:
            MissingDependencyError: bm25s or PyStemmer is not installed.
            ModelError: A file of the index is damaged.
        """
        words = {
            "stemmer": options.stemmer,
            "stopwords": options.stopwords,
            "pattern": options.pattern,
            "bm25s": library().__version__,
        }

        def parts() -> Iterator[PartWords]:
            for part in range(corpus.n_parts):

                def make(folder: Path, part: int = part) -> None:
                    PartWords.of(corpus.texts(part), options).save(folder)

                yield PartWords.load(corpus.cached("words", make, part=part, **words))

        def build(folder: Path) -> None:
            build_index(list(parts()), options).save(folder, show_progress=False)

        folder = corpus.cached("index", build, k1=options.k1, b=options.b, **words)
        return cls(load_index(folder), options, corpus.ids)

    def search(
        self, texts: Sequence[str], *, k: int, on_scored: OnScored | None = None
    ) -> SearchResult:
        """Return the ``k`` best documents for each text, as far as they have a word of it.

        Raises:
            ModelError: ``k`` is below 1.
        """
        refuse_k(k)
        started = time.perf_counter()
        words = self._words(texts)
        seconds = SearchSeconds(query_encoding=time.perf_counter() - started)
        rankings: list[Ranking] = []
        n_scored: list[int] = []
        for ids in words:
            started = time.perf_counter()
            scores = self._index.get_scores_from_ids(ids)
            scored = time.perf_counter()
            matching = np.flatnonzero(scores > 0)
            top = TopK(k, self._doc_ids)
            top.add_some(scores[matching], matching)
            rankings.append(top.ranking())
            n_scored.append(len(matching))
            seconds = seconds.plus(scoring=scored - started, topk=time.perf_counter() - scored)
            if on_scored is not None:
                on_scored(len(matching))
        return SearchResult(rankings, counts(n_scored), counts([1] * len(texts)), seconds)

    def _words(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of the words of each text. Words that no document has are left out."""
        splitting = tokenizer(self._options)
        vocabulary = self._index.vocab_dict
        splitting.stem_to_sid = vocabulary
        if splitting.stemmer is None:
            splitting.word_to_id = vocabulary
        return list(splitting.streaming_tokenize(texts, update_vocab=False, allow_empty=False))


def build_index(parts: Sequence[PartWords], options: Bm25Options) -> Any:
    """Build the index of bm25s over the texts of all parts, in order."""
    words = CorpusWords(parts)
    bm25s = library()
    index = bm25s.BM25(k1=options.k1, b=options.b, method="lucene")
    # An index without a word has no columns; bm25s needs one, and uses "" for it.
    vocabulary = words.vocabulary or {"": 0}
    tokens = bm25s.tokenization.Tokenized(ids=words, vocab=vocabulary)
    with np.errstate(invalid="ignore"):  # the mean length of texts without words is 0
        index.index(tokens, create_empty_token=False, show_progress=False)
    return index


def load_index(folder: Path) -> Any:
    """Open the index of bm25s in a folder. Its arrays stay on disk.

    Raises:
        ModelError: A file is missing or damaged.
    """
    try:
        index = library().BM25.load(folder, mmap=True, allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The BM25 index in {folder} cannot be read: {error}.") from error
    return index
