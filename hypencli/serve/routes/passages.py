"""Passages that come with the request: ``/v1/embeddings`` and ``/v1/rerank``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request

from hypencli.api import Model
from hypencli.errors import UsageError
from hypencli.ops.models import display_name, stored_model
from hypencli.ops.search.ask import check_question
from hypencli.runtime import resolve_device
from hypencli.serve.asking import check_text, while_wanted
from hypencli.serve.lane import StillWanted
from hypencli.serve.schemas import (
    EmbeddingReply,
    EmbeddingsBody,
    EmbeddingsReply,
    RerankBody,
    RerankedReply,
    RerankReply,
    TextDocument,
    UsageReply,
)
from hypencli.serve.state import ServerState
from hypestore import Manifest

_AT_ONCE = 32
"""Passages that are encoded between two looks whether somebody still waits."""

Vectors = npt.NDArray[np.float32]


def passage_routes(state: ServerState) -> APIRouter:
    """Return the routes for passages of the request."""
    router = APIRouter(prefix="/v1", tags=["passages"])

    @router.post("/embeddings")
    async def embeddings(request: Request, body: EmbeddingsBody) -> EmbeddingsReply:
        """Encode passages to vectors, in the shape of OpenAI's API."""
        return await while_wanted(state, request, _embed(state, body))

    @router.post("/rerank")
    async def rerank(request: Request, body: RerankBody) -> RerankReply:
        """Rank the documents of the request, in the shape of the APIs of Cohere and Jina."""
        return await while_wanted(state, request, _rerank(state, body))

    return router


async def _embed(state: ServerState, body: EmbeddingsBody) -> EmbeddingsReply:
    texts = [body.input] if isinstance(body.input, str) else list(body.input)
    manifest = await _checked(state, body.model, texts)

    def work(items: Sequence[list[str]], still_wanted: StillWanted) -> list[tuple[Vectors, int]]:
        return [_encode(state, manifest, texts, still_wanted) for texts in items]

    computed = await state.lane.compute(("embeddings", object()), [texts], work)
    vectors, tokens = computed[0].value
    write = _base64 if body.encoding_format == "base64" else Vectors.tolist
    data = [
        EmbeddingReply(index=index, embedding=write(vector)) for index, vector in enumerate(vectors)
    ]
    usage = UsageReply(prompt_tokens=tokens, total_tokens=tokens)
    return EmbeddingsReply(data=data, model=display_name(manifest), usage=usage)


async def _rerank(state: ServerState, body: RerankBody) -> RerankReply:
    texts = [one if isinstance(one, str) else one.text for one in body.documents]
    manifest = await _checked(state, body.model, texts)
    check_text(state, body.query, "The question")
    check_question(body.query)
    work = partial(_score, state, manifest, body.query)
    computed = await state.lane.compute(("rerank", object()), [texts], work)
    scores = computed[0].value
    best = sorted(range(len(texts)), key=lambda index: (-scores[index], index))[: body.top_n]
    results = [
        RerankedReply(
            index=index,
            relevance_score=scores[index],
            document=TextDocument(text=texts[index]) if body.return_documents else None,
        )
        for index in best
    ]
    return RerankReply(model=display_name(manifest), results=results)


async def _checked(state: ServerState, model: str | None, texts: Sequence[str]) -> Manifest:
    """Find the model, and check the passages.

    Raises:
        UsageError: There are too many passages, or one is too long.
    """
    most = state.settings.limits.texts
    if len(texts) > most:
        raise UsageError(
            f"The request has {len(texts):,} passages; the limit is {most:,}.",
            hint="Send them in several requests.",
        )
    for number, text in enumerate(texts, 1):
        check_text(state, text, f"Passage {number}")
    return await asyncio.to_thread(stored_model, state.store, model or state.settings.model)


def _opened(state: ServerState, manifest: Manifest) -> Model:
    loaded = state.pool.model(manifest)
    device = resolve_device(state.settings.device or state.store.defaults.get("device"))
    return Model(loaded.dual, loaded.tokenizer, device)


def _encode(
    state: ServerState, manifest: Manifest, texts: Sequence[str], still_wanted: StillWanted
) -> tuple[Vectors, int]:
    """Return vectors ``[n, d]`` of passages, and the number of their tokens."""
    from hypencli.models.encoding import tokenise

    model, vectors = _opened(state, manifest), []
    for start in range(0, len(texts), _AT_ONCE):
        still_wanted()
        vectors.append(model.encode_passages(texts[start : start + _AT_ONCE]))
    tokens = tokenise(model.tokenizer, texts, max_length=512)
    return np.concatenate(vectors), sum(map(len, tokens))


def _score(
    state: ServerState,
    manifest: Manifest,
    query: str,
    items: Sequence[Sequence[str]],
    still_wanted: StillWanted,
) -> list[list[float]]:
    """Return the scores of passages for a query."""
    encoded = _opened(state, manifest).encode_queries([query])
    results = []
    for texts in items:
        vectors, _ = _encode(state, manifest, texts, still_wanted)
        results.append([float(score) for score in encoded(vectors)[0]])
    return results


def _base64(vector: Vectors) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
