"""Questions: ``/v1/search``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from hypencli.errors import UsageError
from hypencli.serve.asking import answer, while_wanted
from hypencli.serve.schemas import QuestionBody, SearchBody, SearchListReply, SearchReply
from hypencli.serve.state import ServerState


def search_routes(state: ServerState) -> APIRouter:
    """Return the routes of questions."""
    router = APIRouter(prefix="/v1", tags=["search"])

    @router.get("/search")
    async def search(
        request: Request,
        q: Annotated[str, Query(description="The question.")],
        k: Annotated[int | None, Query(ge=1, description="Number of documents.")] = None,
        model: str | None = None,
        embeddings: str | None = None,
        engine: str | None = None,
        budget: Annotated[int | None, Query(ge=1)] = None,
        recall: Annotated[float | None, Query(gt=0, le=1)] = None,
    ) -> SearchReply:
        """Rank documents for one question."""
        body = QuestionBody(
            query=q,
            k=k,
            model=model,
            embeddings=embeddings,
            engine=engine,
            budget=budget,
            recall=recall,
        )
        return (await while_wanted(state, request, answer(state, [body])))[0]

    @router.post("/search")
    async def search_many(request: Request, body: SearchBody) -> SearchListReply:
        """Rank documents for several questions, which share passes over the corpus."""
        questions = _questions(body, state.settings.limits.queries)
        return SearchListReply(answers=await while_wanted(state, request, answer(state, questions)))

    return router


def _questions(body: SearchBody, most: int) -> list[QuestionBody]:
    """Return the questions of a body; options of a question take precedence.

    Raises:
        UsageError: There are more questions than the limit.
    """
    if len(body.queries) > most:
        raise UsageError(
            f"The request has {len(body.queries):,} queries; the limit is {most:,}.",
            hint="Send them in several requests.",
        )
    shared = body.model_dump(exclude={"queries"}, exclude_none=True)
    return [
        QuestionBody(**{**shared, "query": one})
        if isinstance(one, str)
        else QuestionBody(**{**shared, **one.model_dump(exclude_none=True)})
        for one in body.queries
    ]
