"""The view of questions: ranked documents of one model, or of two side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from hypencli.engine.registry.lookup import engine_names
from hypencli.errors import HypeError
from hypencli.ops.documents import read_document
from hypencli.reporting.highlight import highlighted, terms_of
from hypencli.serve.asking import answer, artifact_name, while_wanted
from hypencli.serve.failures import error_record, status_of
from hypencli.serve.page.data import PageData
from hypencli.serve.page.fields import DocumentPage, SearchPage
from hypencli.serve.page.rendering import html
from hypencli.serve.schemas import QuestionBody, SearchReply
from hypestore import StoreError

_PASSAGE = 360
"""Characters of a document in a list."""

_LEAST_SECONDS = 5e-5
"""Stages of less time are not shown."""


@dataclass(frozen=True, slots=True)
class AnsweringSide:
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
    async def search(request: Request, asked: Annotated[SearchPage, Query()]) -> Response:
        first = AnsweringSide(asked.model, asked.embeddings, asked.engine)
        second = AnsweringSide(asked.model_b, asked.embeddings_b, asked.engine_b)
        sides = [first, second] if second.is_given else [first]
        replies: list[SearchReply] = []
        failed: HypeError | StoreError | None = None
        if asked.q.strip():
            questions = [side.question(asked.q, asked.k) for side in sides]
            try:
                replies = await while_wanted(data.server, request, answer(data.server, questions))
            except (HypeError, StoreError) as raised:
                if asked.part:
                    raise
                failed = raised  # the page keeps its form, in which the reader can mend it
        shown = {"answers": replies, "ranks": _ranks(replies)}
        shown |= {"passage": _passages(asked.q), "stages": _stages}
        if asked.part:
            return html("answers.html", **shown)
        choices = await asyncio.to_thread(_choices, data)
        about = {"title": "Search", "view": "search", "asked": asked, "second": second}
        status = 200 if failed is None else status_of(failed)
        error = None if failed is None else error_record(failed)
        return html("search.html", status=status, error=error, **about, **choices, **shown)

    @router.get("/document")
    def document(asked: Annotated[DocumentPage, Query()]) -> Response:
        found = read_document(data.server.store, asked.id, embeddings=asked.embeddings or None)
        return html(
            "document.html",
            title=asked.id,
            view="document",
            store=data.server.store.root.name,
            document=found,
            embeddings=artifact_name(found.embeddings),
            segments=highlighted(found.text, terms_of(asked.q), None),
            q=asked.q,
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


def _choices(data: PageData) -> dict[str, Any]:
    """Return what the fields of the form offer."""
    store, settings = data.server.store, data.server.settings
    return {
        "store": store.root.name,
        "models": [one.name or one.id for one in store.artifacts("model")],
        "sets": [one.name or one.id for one in store.artifacts("embeddings")],
        "engines": engine_names(),
        "settings": settings,
    }
