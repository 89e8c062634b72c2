"""Retriever, scorer and indexer for PyTerrier (``python-terrier`` 1.x); Java is not needed.

from hypencli.integrations.pyterrier import HypeIndexer, HypeRetriever, HypeScorer

HypeIndexer("study", model="hyper").index([{"docno": "d1", "text": "…"}])
retriever = HypeRetriever("study", model="hyper")
pipeline = bm25 % 100 >> pt.text.get_text(index) >> HypeScorer("hyper")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyterrier as pt

from hypencli.api import Model, Project, load, open_store
from hypencli.errors import DataError
from hypencli.integrations.opening import StoreAnswers

_RANKED = ["docno", "score", "rank"]


class HypeRetriever(pt.Transformer):  # type: ignore[misc]
    """Retrieves the best documents of a project store: ``qid, query`` → ``+ docno, score, rank``.

    Ranks begin with 0, as everywhere in PyTerrier.

    Args:
        store: Folder of the project store, or an open project; None searches the current folder and
            its parents.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        engine: Name of an engine; None selects ``exact``.
        num_results: Documents a query.
        text: Whether results have a column ``text``.
        options: Further options of :meth:`hypencli.Project.query`.

    Raises:
        StoreNotFound: There is no store.
    """

    def __init__(
        self,
        store: str | Path | Project | None = None,
        *,
        model: str | None = None,
        engine: str | None = None,
        num_results: int = 1000,
        text: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._arguments = {"model": model, "engine": engine, "options": options}
        self._opened = StoreAnswers(store, model=model, engine=engine, options=options)
        self.num_results = num_results
        self.text = text

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Rank documents for each row of ``qid, query``; further columns are kept."""
        with pt.validate.any(inp) as v:
            v.query_frame(extra_columns=["query"])
        columns = [*_RANKED, *(["text"] if self.text else [])]
        kept = inp.drop(columns=[name for name in columns if name in inp.columns])
        answers = self._opened.answers([str(query) for query in kept["query"]], self.num_results)
        rows = [
            (place, hit.doc_id, hit.score, hit.rank - 1, hit.text)
            for place, answer in enumerate(answers)
            for hit in answer.hits
        ]
        found = pd.DataFrame(rows, columns=["place", *_RANKED, "text"])
        repeated = kept.iloc[found["place"]].reset_index(drop=True)
        return pd.concat([repeated, found[columns]], axis=1)

    def fuse_rank_cutoff(self, k: int) -> HypeRetriever | None:
        """Return a retriever of at most ``k`` results, for ``retriever % k``."""
        if k >= self.num_results:
            return self
        return HypeRetriever(self._opened.project, **self._arguments, num_results=k, text=self.text)


class HypeScorer(pt.Transformer):  # type: ignore[misc]
    """Scores the texts of candidates: ``qid, query, docno, text`` → ``+ score, rank``.

    Args:
        model: A loaded model, a folder, a name on the hub, or the name of a model in the store
            around the current folder.
        max_length: Maximum number of tokens of a text.
        query_max_length: Maximum number of tokens of a query.
    """

    def __init__(
        self, model: str | Path | Model, *, max_length: int = 512, query_max_length: int = 64
    ) -> None:
        super().__init__()
        self._model = model if isinstance(model, Model) else load(model)
        self._max_length = max_length
        self._query_max_length = query_max_length

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Score each row, and rank the rows of each query anew, ties by ``docno``."""
        with pt.validate.any(inp) as v:
            v.result_frame(extra_columns=["query", "text"])
        scored = inp.drop(columns=[name for name in ("score", "rank") if name in inp.columns])
        scored = scored.reset_index(drop=True).assign(score=0.0)
        if len(scored):
            unique = scored["text"].astype(str).unique().tolist()
            places = {text: place for place, text in enumerate(unique)}
            vectors = self._model.encode_passages(unique, max_length=self._max_length)
            for _, rows in scored.groupby("qid", sort=False):
                query = str(rows["query"].iloc[0])
                asked = self._model.encode_queries([query], max_length=self._query_max_length)
                own = [places[str(text)] for text in rows["text"]]
                scored.loc[rows.index, "score"] = asked(vectors[own])[0].astype(float)
        ordered = scored.sort_values(
            ["qid", "score", "docno"], ascending=[True, False, True], kind="stable"
        ).reset_index(drop=True)
        return ordered.assign(rank=ordered.groupby("qid").cumcount())


class HypeIndexer(pt.Indexer):  # type: ignore[misc]
    """Encodes documents into a project store, which is made if it does not exist.

    Args:
        store: Folder of the project store, or an open project.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        name: Name of the embedding set.
        options: Further options of :meth:`hypencli.Project.encode`, such as ``max_length``.
    """

    def __init__(
        self,
        store: str | Path | Project,
        *,
        model: str | None = None,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.project = store if isinstance(store, Project) else open_store(store, create=True)
        self._settings = {"model": model, "name": name, **(options or {})}

    def index(self, iter: Iterable[Mapping[str, Any]]) -> HypeRetriever:
        """Encode documents, each with ``docno`` and ``text``; return a retriever of them.

        Raises:
            DataError: A document lacks its number or text, or two have one number.
        """
        texts: dict[str, str] = {}
        for place, document in enumerate(iter):
            lacking = [name for name in ("docno", "text") if name not in document]
            if lacking:
                raise DataError(f"Document {place} has no {' and no '.join(lacking)}.")
            docno = str(document["docno"])
            if docno in texts:
                raise DataError(f"Two documents have the docno {docno!r:.80}.")
            texts[docno] = str(document["text"])
        encoded = self.project.encode(texts, **self._settings)
        return HypeRetriever(
            self.project,
            model=self._settings["model"],
            options={"embeddings": encoded.embeddings},
        )
