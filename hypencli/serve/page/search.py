"""The view of questions: ranked documents of one model, or of two side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from hypencli.engine.registry.lookup import engine_names
from hypencli.ops.documents import read_document
from hypencli.reporting.highlight import highlighted, terms_of
from hypencli.serve.asking import DEFAULT_K, answer, artifact_name, while_wanted
from hypencli.serve.page.data import PageData
from hypencli.serve.page.rendering import html
from hypencli.serve.schemas import QuestionBody, SearchReply

_PASSAGE = 360
"""Characters of a document in a list."""

_LEAST_SECONDS = 5e-5
"""Stages of less time are not shown."""

Text = Annotated[str, Query(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Side:
    """How one side answers; an empty field takes the setting of the server."""

    model: str
    embeddings: str
    engine: str

    @property
    def is_given(self) -> bool:
        """Whether a field is set."""
        return bool(self.model or self.embeddings or self.engine)

    def question(self, text: str, k: int) -> QuestionBody:
        """Return the question for this side."""
        return QuestionBody(
            query=text,
            k=k,
            model=self.model or None,
            embeddings=self.embeddings or None,
            engine=self.engine or None,
        )


def search_routes(router: APIRouter, data: PageData) -> None:
    """Add the routes of questions and documents."""

    @router.get("/")
    async def search(
        request: Request,
        q: Text = "",
        k: Annotated[int, Query(ge=1)] = DEFAULT_K,
        model: str = "",
        embeddings: str = "",
        engine: str = "",
        model_b: str = "",
        embeddings_b: str = "",
        engine_b: str = "",
        part: bool = False,
    ) -> Response:
        sides = [Side(model, embeddings, engine)]
        second = Side(model_b, embeddings_b, engine_b)
        if second.is_given:
            sides.append(second)
        values = {"q": q, "k": k, "sides": sides, "second": second}
        replies: list[SearchReply] = []
        if q.strip():
            # Both sides are asked by one call each: an error names the side that has it.
            asked = [answer(data.server, [side.question(q, k)]) for side in sides]
            both = asyncio.gather(*asked)
            replies = [one[0] for one in await while_wanted(data.server, request, both)]
        shown = {**values, "answers": replies, "ranks": _ranks(replies)}
        shown |= {"passage": _passages(q), "stages": _stages}
        if part:
            return html("answers.html", **shown)
        page = await asyncio.to_thread(_choices, data)
        return html("search.html", title="Search", view="search", **page, **shown)

    @router.get("/document")
    def document(
        id: Annotated[str, Query(max_length=10_000)],
        embeddings: str = "",
        q: Text = "",
    ) -> Response:
        found = read_document(data.server.store, id, embeddings=embeddings or None)
        return html(
            "document.html",
            title=id,
            view="document",
            store=data.server.store.root.name,
            document=found,
            embeddings=artifact_name(found.embeddings),
            segments=highlighted(found.text, terms_of(q), None),
            q=q,
        )


def _passages(question: str) -> object:
    """Return a function that divides the telling passage of a text at the terms of a question."""
    terms = terms_of(question)
    return lambda text: highlighted(text or "", terms, _PASSAGE)


def _ranks(answers: list[SearchReply]) -> list[dict[str, int]]:
    """Return the rank of each document on each side."""
    return [{hit.doc_id: hit.rank for hit in one.hits} for one in answers]


def _stages(reply: SearchReply) -> list[tuple[str, float]]:
    """Return the stages of an answer that took time, with their seconds."""
    seconds = reply.seconds
    stages = {
        "waiting": seconds.waiting,
        "question": seconds.query_encoding,
        "selection": seconds.selection,
        "scores": seconds.scoring,
        "ranking": seconds.topk,
        "texts": seconds.texts,
    }
    return [(name, value) for name, value in stages.items() if value >= _LEAST_SECONDS]


def _choices(data: PageData) -> dict[str, object]:
    """Return what the fields of the form offer."""
    store, settings = data.server.store, data.server.settings
    return {
        "store": store.root.name,
        "models": [one.name or one.id for one in store.artifacts("model")],
        "sets": [one.name or one.id for one in store.artifacts("embeddings")],
        "engines": engine_names(),
        "settings": settings,
    }
