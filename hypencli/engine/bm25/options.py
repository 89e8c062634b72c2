"""Options of BM25. This module imports no library of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class Bm25Options:
    r"""Options of BM25. The defaults are those of Anserini, with which most tables are made.

    Sources: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), for the measure;
    Kamphuis et al., Which BM25 Do You Mean? (ECIR 2020), for the variant of Lucene.
    """

    k1: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="how much each further occurrence of a word in a document adds",
        ),
    ] = 0.9
    b: Annotated[
        float,
        Field(ge=0, le=1, description="how much the length of a document counts; 0 is not at all"),
    ] = 0.4
    stemmer: Annotated[
        str,
        Field(description="the Snowball stemmer, such as porter, english or german; none for none"),
    ] = "porter"
    stopwords: Annotated[
        str,
        Field(description="the language of the words to leave out, such as english; none for none"),
    ] = "english"
    pattern: Annotated[
        str,
        Field(description="the regular expression of a word; texts are in lower case by then"),
    ] = r"\w+"
