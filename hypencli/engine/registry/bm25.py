"""The engine ``bm25``: ranks documents by the words that they share with a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.engine.bm25.options import Bm25Options
from hypencli.engine.registry.entry import TextEngineEntry

if TYPE_CHECKING:
    from hypencli.engine.corpus import TextCorpus
    from hypencli.engine.results import TextEngine


class _Bm25(TextEngineEntry[Bm25Options]):
    name = "bm25"
    summary = "ranks by the words that a document shares with a query; needs texts, and no model"
    options = Bm25Options
    approximate = False

    def refuse_options(self, options: Bm25Options) -> None:
        from hypencli.engine.bm25.words import refuse_unknown

        refuse_unknown(options)

    def open_texts(self, options: Bm25Options, corpus: TextCorpus) -> TextEngine:
        from hypencli.engine.bm25.engine import Bm25Engine

        return Bm25Engine.open(options, corpus)


BM25 = _Bm25()
