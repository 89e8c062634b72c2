"""From the fields of a request to answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import Request

from hypencli.answers import Answer
from hypencli.errors import HypeError, UsageError
from hypencli.ops.search.ask import check_question
from hypencli.ops.search.options import EngineSpec, Scoring, SearchOptions, Target
from hypencli.ops.search.pool import PlannedQuestion
from hypencli.serve.failures import Refused, TooSlow
from hypencli.serve.lane import Computed, StillWanted
from hypencli.serve.schemas import (
    ArtifactName,
    HitReply,
    QuestionBody,
    SearchFields,
    SearchReply,
    SecondsReply,
)
from hypencli.serve.state import ServerState
from hypestore import Manifest, StoreError

Result = TypeVar("Result")

DEFAULT_K = 10

_LOG = logging.getLogger("hypencli.serve")


async def answer(state: ServerState, questions: Sequence[QuestionBody]) -> list[SearchReply]:
    """Answer questions, each with options of its own.

    Args:
        state: What the server answers from.
        questions: The questions.

    Raises:
        UsageError: An option is wrong or beyond a limit.
        DataError: A question is empty.
        ArtifactNotFound: The store has no such model or embedding set.
        Overloaded: Too many questions wait.
    """
    planned = await asyncio.to_thread(lambda: [_planned(state, one) for one in questions])
    replies = await asyncio.gather(
        *(
            state.lane.compute(
                ("search", plan.key, one.with_texts),
                [one.query],
                partial(_ask, state, plan, one.with_texts is not False),
            )
            for plan, one in zip(planned, questions, strict=True)
        )
    )
    return [_reply(state, plan, one[0]) for plan, one in zip(planned, replies, strict=True)]


@asynccontextmanager
async def opened_lane(state: ServerState) -> AsyncIterator[None]:
    """Compute while the block runs; the model of questions that name none is loaded first."""
    state.lane.start()
    warming = asyncio.create_task(_warm_up(state))
    try:
        yield
    finally:
        await state.lane.close()
        await warming


async def _warm_up(state: ServerState) -> None:
    """Load what questions that name nothing need, with a question whose answer nobody reads."""
    question = QuestionBody(query="is the model loaded", k=1)
    try:
        if state.settings.warm:
            await answer(state, [question])
    except (HypeError, StoreError) as error:
        _LOG.info("nothing is loaded before the first question: %s", error.args[0])
    finally:
        state.warmed.set()


def _planned(state: ServerState, asked: QuestionBody) -> PlannedQuestion:
    check_text(state, asked.query, "The question")
    check_question(asked.query)
    model = asked.model or state.settings.model
    return state.pool.plan(model, search_options(state, asked))


def search_options(state: ServerState, asked: SearchFields) -> SearchOptions:
    """Return the options of a search: those of a request, else those of the server.

    Raises:
        UsageError: ``k`` is beyond the limit, or an option is set twice.
    """
    settings = state.settings
    k = asked.k or DEFAULT_K
    if k > settings.limits.k:
        raise UsageError(f"k is {k:,}; the limit of this server is {settings.limits.k:,}.")
    options: dict[str, object] = dict(asked.options or {})
    if asked.budget is not None:
        if "budget" in options:
            raise UsageError("The option budget is set twice.")
        options["budget"] = asked.budget
    by_recall = asked.recall is not None and asked.engine is None
    engine = asked.engine or ("guided" if by_recall else settings.engine)
    return SearchOptions(
        k=k,
        target=Target(asked.embeddings or settings.embeddings),
        engine=EngineSpec(engine, options, asked.recall),
        scoring=Scoring(
            query_max_length=asked.query_max_length or Scoring().query_max_length,
            width=asked.width,
            device=settings.device or state.store.defaults.get("device"),
        ),
    )


def check_text(state: ServerState, text: str, what: str) -> None:
    """Refuse a text that is too long.

    Raises:
        Refused: The text has more characters than the limit.
    """
    most = state.settings.limits.text_characters
    if len(text) > most:
        raise Refused(413, f"{what} has {len(text):,} characters; the limit is {most:,}.")


def _ask(
    state: ServerState,
    plan: PlannedQuestion,
    with_texts: bool,
    questions: Sequence[str],
    still_wanted: StillWanted,
) -> list[Answer]:
    def on_scored(count: int) -> None:
        still_wanted()

    return state.pool.ask(plan, questions, with_texts=with_texts, on_scored=on_scored)


def _reply(state: ServerState, plan: PlannedQuestion, computed: Computed[Answer]) -> SearchReply:
    found, target = computed.value, plan.target
    state.metrics.answer(found, {"waiting": computed.waited, **found.stages})
    return SearchReply(
        query=found.question,
        model=artifact_name(target.model),
        embeddings=artifact_name(target.embeddings),
        corpus=corpus_of(target.embeddings),
        engine=found.engine,
        k=found.k,
        n_documents=found.n_documents,
        query_max_length=found.query_max_length,
        is_cut=found.is_cut,
        evaluations=found.evaluations,
        recall_bound=found.recall_bound,
        batch=found.batch,
        seconds=SecondsReply(
            waiting=computed.waited, total=computed.waited + found.seconds, **found.stages
        ),
        hits=[
            HitReply(rank=hit.rank, doc_id=hit.doc_id, score=hit.score, text=hit.text)
            for hit in found.hits
        ],
    )


def artifact_name(manifest: Manifest) -> ArtifactName:
    """Return id and name of an artifact."""
    return ArtifactName(id=manifest.id, name=manifest.name)


def corpus_of(embeddings: Manifest) -> str | None:
    """Return the id of the corpus of an embedding set, without folders of the machine."""
    from hypencli.private_paths import PathShortener

    corpus = embeddings.inputs.get("corpus")
    return None if corpus is None else PathShortener().text(str(corpus))


async def while_wanted(state: ServerState, request: Request, work: Awaitable[Result]) -> Result:
    """Await work as long as the client waits for it, and no longer than a request may take.

    Raises:
        TooSlow: The work took longer than the limit.
        Refused: The client has left; nobody reads this.
    """
    seconds = state.settings.limits.request_seconds
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise Refused(499, "The client has left.")
        raise TooSlow(
            f"The answer was not ready after {seconds:g} seconds.",
            hint="Ask fewer questions at once, or for fewer documents.",
        )
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    message: Any = None
    while message is None or message["type"] != "http.disconnect":
        message = await request.receive()
