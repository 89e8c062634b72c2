"""Options of approximate engines, with bounds and help texts. This module imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True)
class GuidedOptions:
    """Options of guided search: how much to score, and how to select the next documents."""

    gain: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="a query's search ends when no more than this share of its last batch has "
            "entered the best k; lower finds more",
        ),
    ] = 0.2
    budget: Annotated[
        int | None,
        Field(
            ge=1,
            description="evaluations a query, exactly (all documents where there are fewer), in "
            "place of gain",
        ),
    ] = None
    recall: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="recall that each query reaches by a bound, in place of gain: a sample of "
            "the documents without a score is scored, and the search goes on until the bound is "
            "this high, by exact search if need be",
        ),
    ] = None
    confidence: Annotated[
        float,
        Field(
            ge=0.5,
            lt=1,
            description="share of the queries of which the bound on the recall should hold",
        ),
    ] = 0.95
    first: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="documents that the slope alone chooses, as a share of k",
        ),
    ] = 0.25
    batch: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="documents of a later batch, as a share of k",
        ),
    ] = 0.2
    pool: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="documents that later batches are chosen from, as a multiple of k",
        ),
    ] = 5.0
    fitted: Annotated[
        int,
        Field(ge=1, description="scored documents that a linear function is fitted to, at most"),
    ] = 1024
    ridge: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="how strongly a fit is held to the function before, as a share of the mean "
            "variance",
        ),
    ] = 0.3
    sample: Annotated[
        int, Field(ge=1, description="documents that the centre of the corpus is taken from")
    ] = 4096
    seed: Annotated[int, Field(ge=0, description="seed of that sample")] = 0
    index: Annotated[
        Literal["auto", "none", "ivf", "hnsw", "flat16"],
        Field(
            description="the index of `hype index` that finds the next documents; auto takes one "
            "where there is one, and without one all vectors are read"
        ),
    ] = "auto"


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """Options of the graph walk, with their names in the paper and its published code.

    Attributes:
        entry_points: ``C``, ``num_entry_points``.
        candidates: ``nCandidates``.
        max_iterations: ``maxIter``.
    """

    graph: Annotated[
        str | None,
        Field(description="the graph, by name or id; else one of the embedding set is taken"),
    ] = None
    entry_points: Annotated[
        int,
        Field(
            ge=1,
            description="random documents that the search begins with; all of them in a smaller "
            "corpus",
        ),
    ] = 10_000
    candidates: Annotated[
        int, Field(ge=1, description="best documents of a step that are expanded")
    ] = 64
    max_iterations: Annotated[int, Field(ge=1, description="steps at most")] = 16
    early_stop: Annotated[
        bool, Field(description="end with the first step that finds nothing better")
    ] = True
    neighbours: Annotated[
        int | None,
        Field(
            ge=1,
            description="neighbours of a document that are followed; all of the graph if not set",
        ),
    ] = None
    seed: Annotated[int, Field(description="seed of the entry points")] = 43
    seeds: Annotated[
        str | None,
        Field(
            description="the run, such as one of bm25, whose best documents a query begins with; "
            "random ones make up the number of entry points"
        ),
    ] = None
