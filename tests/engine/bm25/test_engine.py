"""BM25: its scores against the formula, its order, and an index on disk."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypencli.engine.bm25.engine import Bm25Engine
from hypencli.engine.bm25.options import Bm25Options
from hypencli.engine.bm25.words import refuse_unknown
from hypencli.errors import ModelError, UsageError

PLAIN = Bm25Options(stemmer="none", stopwords="none")
TEXTS = (
    "The river runs past the mill, and the mill grinds",
    "Rivers and rivers of bread",
    "",
    "stars over a mill",
    "?! ...",
    "bread, bread and more bread",
    "stars over a mill",
)


@dataclass
class Texts:
    """A corpus in memory, in parts of two texts; files of the engine lie in a folder."""

    folder: Path
    rows: Sequence[str] = TEXTS
    made: list[str] = field(default_factory=list)

    @property
    def n_parts(self) -> int:
        return -(-len(self.rows) // 2)

    def texts(self, part: int) -> Sequence[str]:
        return self.rows[2 * part : 2 * part + 2]

    def ids(self, ordinals: Any, /) -> Sequence[str]:
        return [f"d{place}" for place in ordinals]

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        folder = self.folder / re.sub(r"\W", "_", f"{name}-{sorted(determined_by.items())}")
        if not folder.exists():
            unfinished = folder.with_suffix(".tmp")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
            self.made.append(name)
        return folder


def bm25(words: list[list[str]], query: list[str], k1: float, b: float) -> dict[str, float]:
    """The formula of Lucene's BM25, for documents that have a word of the query."""
    mean = sum(map(len, words)) / len(words)
    scores: Counter[str] = Counter()
    for word in query:
        having = sum(word in document for document in words)
        idf = math.log(1 + (len(words) - having + 0.5) / (having + 0.5))
        for place, document in enumerate(words):
            count = document.count(word)
            if count:
                norm = k1 * (1 - b + b * len(document) / mean)
                scores[f"d{place}"] += idf * count / (count + norm)
    return dict(scores)


def split(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.0, 0.0), (2.0, 1.0)])
@pytest.mark.parametrize("query", ["the mill", "bread bread of stars", "Rivers over", "a"])
def test_scores_are_those_of_the_formula(tmp_path: Path, query: str, k1: float, b: float) -> None:
    engine = Bm25Engine.open(replace(PLAIN, k1=k1, b=b), Texts(tmp_path))
    (ranking,) = engine.search([query], k=10).rankings
    expected = bm25([split(text) for text in TEXTS], split(query), k1, b)
    assert dict(ranking) == pytest.approx(expected, rel=1e-5)
    assert ranking == sorted(ranking, key=lambda pair: (-pair[1], pair[0]))


def test_a_document_without_a_word_of_the_query_is_not_ranked(tmp_path: Path) -> None:
    engine = Bm25Engine.open(PLAIN, Texts(tmp_path))
    searched = engine.search(["stars", "unheard", "", "?"], k=10)
    assert [len(ranking) for ranking in searched.rankings] == [2, 0, 0, 0]
    assert searched.evaluations.tolist() == [2, 0, 0, 0]


def test_ties_are_ordered_by_document_id_at_the_last_rank_too(tmp_path: Path) -> None:
    engine = Bm25Engine.open(PLAIN, Texts(tmp_path))
    assert [doc_id for doc_id, _ in engine.search(["stars"], k=2).rankings[0]] == ["d3", "d6"]
    assert [doc_id for doc_id, _ in engine.search(["stars"], k=1).rankings[0]] == ["d3"]


def test_a_stemmer_joins_forms_of_a_word_and_stop_words_do_not_count(tmp_path: Path) -> None:
    engine = Bm25Engine.open(Bm25Options(), Texts(tmp_path))
    rankings = engine.search(["river", "the", "GRINDING"], k=10).rankings
    assert [{doc_id for doc_id, _ in ranking} for ranking in rankings] == [
        {"d0", "d1"},
        set(),
        {"d0"},
    ]


@pytest.mark.parametrize("rows", [["", "?"], ["", "", ""]])
def test_a_corpus_without_words_ranks_nothing(tmp_path: Path, rows: list[str]) -> None:
    engine = Bm25Engine.open(Bm25Options(), Texts(tmp_path, rows))
    assert engine.search(["river", ""], k=3).rankings == [[], []]


def test_an_interrupted_build_goes_on_with_the_next_part(tmp_path: Path) -> None:
    texts = Texts(tmp_path)
    whole, broken = texts.rows, [*texts.rows[:4], None, *texts.rows[5:]]
    texts.rows = broken  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        Bm25Engine.open(PLAIN, texts)
    assert texts.made == ["words", "words"]
    again = Texts(tmp_path / "again", whole)
    again.folder.mkdir()
    for folder in tmp_path.glob("words*"):
        if folder.suffix != ".tmp":
            folder.rename(again.folder / folder.name)
    engine = Bm25Engine.open(PLAIN, again)
    assert again.made == ["words", "words", "index"]
    fresh = Texts(tmp_path / "fresh", whole)
    fresh.folder.mkdir()
    expected = Bm25Engine.open(PLAIN, fresh).search(["mill of bread"], k=9).rankings
    assert engine.search(["mill of bread"], k=9).rankings == expected


def test_other_weights_need_no_other_words(tmp_path: Path) -> None:
    texts = Texts(tmp_path)
    Bm25Engine.open(PLAIN, texts)
    texts.made.clear()
    Bm25Engine.open(replace(PLAIN, k1=2.0), texts)
    assert texts.made == ["index"]


def test_the_scores_of_the_index_stay_on_disk(tmp_path: Path) -> None:
    engine = Bm25Engine.open(PLAIN, Texts(tmp_path))
    assert isinstance(engine._index.scores["data"], np.memmap)


def test_a_damaged_index_is_told_with_its_folder(tmp_path: Path) -> None:
    texts = Texts(tmp_path)
    Bm25Engine.open(PLAIN, texts)
    (path,) = tmp_path.glob("index*/data*.npy")
    path.write_bytes(b"not an array")
    with pytest.raises(ModelError, match=re.escape(str(path.parent))):
        Bm25Engine.open(PLAIN, texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Bm25Options(stemmer="englisch"), "no stemmer 'englisch'"),
        (Bm25Options(stopwords="klingon"), "no list of stop words 'klingon'"),
        (Bm25Options(pattern="("), "no regular expression"),
        (Bm25Options(pattern="a{99999999999}"), "no regular expression"),
    ],
)
def test_an_unknown_option_is_refused_before_a_text_is_read(
    options: Bm25Options, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        refuse_unknown(options)


def test_k_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="k is 0"):
        Bm25Engine.open(PLAIN, Texts(tmp_path)).search(["mill"], k=0)
