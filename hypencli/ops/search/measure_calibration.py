"""What recall an approximate engine reaches at which setting: measured, kept, and looked up."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hypencli.data.queries import QuerySet
from hypencli.errors import DataError
from hypencli.ops.models import (
    ModelSource,
    display_name,
    find_model,
    load_model,
)
from hypencli.ops.search.calibrations import (
    _WALK,
    Calibratable,
    Setting,
    _identity,
    with_setting,
)
from hypencli.ops.search.options import SearchOptions
from hypencli.ops.select import choose_embeddings, own_queries
from hypencli.progress import (
    SILENT,
    Progress,
    Task,
)
from hypencli.records import Ranking
from hypencli.runtime import provenance, resolve_device
from hypestore import (
    CurvePoint,
    EmbeddingSet,
    Manifest,
    Store,
)

if TYPE_CHECKING:
    from hypencli.engine.scorers import Scorer
    from hypencli.models.encoding import QueryStates
    from hypencli.ops.graphs.build import BuiltGraph


DEPTHS = (10, 100, 1000)

GAINS = (0.8, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)
"""Settings of ``guided`` that are measured."""

WALKS = (
    (100, 8, 16),
    (300, 16, 16),
    (1_000, 32, 16),
    (1_000, 64, 16),
    (3_000, 64, 16),
    (10_000, 64, 16),
    (10_000, 328, 20),
    (100_000, 328, 20),
)
"""Settings of ``graph``: entry points, candidates, iterations; the presets of the paper are two."""


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What is measured.

    Attributes:
        engine: ``guided`` or ``graph``.
        n_queries: Queries drawn at random, each searched exactly and at every setting.
        depths: Numbers of documents asked for.
        search: Embeddings, corpus, graph, query length, width, device and dtype of the searches.
        seed: Of the draw.
    """

    engine: Calibratable = "guided"
    n_queries: int = 64
    depths: tuple[int, ...] = DEPTHS
    search: SearchOptions = field(default_factory=SearchOptions)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration that is there now.

    Attributes:
        calibration: Its id.
        curve: The measurements, a setting a depth.
        existing: Whether it was there before, and nothing was done.
    """

    calibration: str
    engine: str
    model: str
    embeddings: str
    corpus: str
    n_queries: int
    curve: list[CurvePoint]
    existing: bool


@dataclass(frozen=True, slots=True)
class BuiltAndCalibrated:
    """A neighbour graph, and what the approximate engines find with it and beside it."""

    graph: BuiltGraph
    calibrations: list[Calibrated]


def calibrate(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: CalibrateOptions | None = None,
    progress: Progress = SILENT,
) -> Calibrated:
    """Measure an engine against exact search, and keep the curve for ``--recall``.

    Args:
        store: The project store.
        queries: Where the queries are drawn from; None takes those of the encoded dataset.
        model: The model that searches.
        options: What is measured.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits; the model has no q-nets; there is no graph.
        DataError: There are no queries.
    """
    from hypencli.ops.search.engines import plan_engine

    options = options or CalibrateOptions()
    asked = replace(options.search, engine=options.engine)
    manifest = find_model(store, model, progress)
    embedding_set = choose_embeddings(
        store,
        manifest,
        named=asked.embeddings,
        corpus=asked.corpus or (None if queries is None else queries.corpus_id),
        progress=progress,
    )
    plan = plan_engine(store, manifest, embedding_set, replace(asked, k=1))
    queries = queries or own_queries(embedding_set)
    asked = replace(asked, graph=None if asked.engine == "guided" else str(plan.inputs["graph"]))
    inputs = {
        **_identity(manifest, embedding_set, asked),
        "corpus": embedding_set.inputs["corpus"],
        "queries": queries.id,
        "queries_fingerprint": queries.fingerprint,
        "sampled": options.n_queries,
        "seed": options.seed,
        "depths": list(options.depths),
        "settings": [dict(each) for each in _settings(options.engine)],
    }
    calibrations = store.find("calibration", inputs)
    existing = bool(calibrations)
    done = calibrations[-1] if calibrations else None
    if done is None:
        opened = store.embeddings(embedding_set.id)
        study = _Study(
            store, manifest, opened, queries, options, asked, progress, trust_code=model.trust_code
        )
        prefix = embedding_set.id.rpartition("-")[0]
        done = store.write_calibration(
            f"{prefix}-{manifest.name or manifest.id}-{options.engine}",
            inputs,
            parents=(manifest.id, embedding_set.id, *plan.parents),
            points=study.curve(),
            stats={"n_queries": study.n_queries, "n_documents": opened.n},
            provenance=provenance(device=str(resolve_device(asked.device)), seed=options.seed),
        )
    return Calibrated(
        calibration=done.id,
        engine=options.engine,
        model=display_name(manifest),
        embeddings=display_name(embedding_set),
        corpus=str(embedding_set.inputs["corpus"]),
        n_queries=done.stat_int("n_queries"),
        curve=store.curve(done.id),
        existing=existing,
    )


def _settings(engine: str) -> list[Setting]:
    if engine == "guided":
        return [{"gain": gain} for gain in GAINS]
    return [dict(zip(_WALK, walk, strict=True)) for walk in WALKS]


class _Study:
    """The measurements of one calibration."""

    def __init__(
        self,
        store: Store,
        model: Manifest,
        embeddings: EmbeddingSet,
        queries: QuerySet,
        options: CalibrateOptions,
        asked: SearchOptions,
        progress: Progress,
        *,
        trust_code: bool,
    ) -> None:
        listed = list(queries)
        if not listed:
            raise DataError(
                f"The query set {queries.id} has no queries; nothing to calibrate with."
            )
        drawn = random.Random(options.seed).sample(listed, min(options.n_queries, len(listed)))
        self._texts = [query.text for query in drawn]
        self._store, self._model, self._embeddings = store, model, embeddings
        self._options, self._asked, self._progress = options, asked, progress
        self._trust_code, self.n_queries = trust_code, len(drawn)

    def curve(self) -> list[CurvePoint]:
        """Every setting at every depth, over all drawn queries."""
        from hypencli.ops.search.scoring import encoded_queries, query_batches

        device = resolve_device(self._asked.device)
        loaded = load_model(self._store, self._model, device=device, trust_code=self._trust_code)
        encoded = encoded_queries(loaded, self._texts, self._asked)
        trials = [(k, each) for k in self._options.depths for each in self._planned()]
        figures: list[list[tuple[float, float, float]]] = [[] for _ in trials]
        total = len(encoded) * (len(trials) + 1)
        with self._progress.task("calibrate", total=total, unit="searches") as task:
            for start, stop in query_batches(encoded, self._asked.batch_queries):
                self._measure(encoded, start, stop, trials, figures, task)
        return [
            _point(k, setting, measured)
            for (k, setting), measured in zip(trials, figures, strict=True)
        ]

    def _planned(self) -> list[Setting]:
        """The settings, without those that differ only in what this corpus does not have."""
        n = self._embeddings.n
        kept: dict[str, Setting] = {}
        for setting in _settings(self._options.engine):
            points = setting.get("entry_points")
            whole = {**setting, "entry_points": min(n, int(str(points)))} if points else setting
            kept.setdefault(json.dumps(whole, sort_keys=True), whole)
        return list(kept.values())

    def _measure(
        self,
        encoded: QueryStates,
        start: int,
        stop: int,
        trials: Sequence[tuple[int, Setting]],
        figures: list[list[tuple[float, float, float]]],
        task: Task,
    ) -> None:
        from hypencli.ops.search.scoring import make_scorer

        scorer = make_scorer(encoded, start, stop, self._embeddings.dim, self._asked.dtype)
        deepest = replace(self._asked, engine="exact", k=max(self._options.depths))
        exact, _, _ = self._search(scorer, deepest)
        task.advance(stop - start)
        for (k, setting), measured in zip(trials, figures, strict=True):
            options = replace(with_setting(self._asked, setting), k=k)
            rankings, evaluations, seconds = self._search(scorer, options)
            each = seconds / len(rankings) * 1e3
            for ranking, wanted, count in zip(rankings, exact, evaluations, strict=True):
                measured.append((_recall(ranking, wanted, k), float(count), each))
            task.advance(stop - start)

    def _search(
        self, scorer: Scorer, options: SearchOptions
    ) -> tuple[list[Ranking], list[int], float]:
        """Rankings, evaluations, and the seconds of the engine for all of them."""
        from hypencli.ops.search.engines import plan_engine

        manifest = self._embeddings.manifest
        plan = plan_engine(self._store, self._model, manifest, options)
        engine = plan.open(self._embeddings, SILENT)([])
        started = time.perf_counter()
        result = engine.search(scorer, k=options.k)
        return result.rankings, result.evaluations.tolist(), time.perf_counter() - started


def _recall(ranking: Ranking, exact: Ranking, k: int) -> float:
    wanted = {doc_id for doc_id, _ in exact[:k]}
    return sum(doc_id in wanted for doc_id, _ in ranking[:k]) / len(wanted) if wanted else 1.0


def _point(k: int, setting: Setting, measured: list[tuple[float, float, float]]) -> CurvePoint:
    figures = np.array(measured)
    recall = figures[:, 0]
    error = recall.std(ddof=1) / len(recall) ** 0.5 if len(recall) > 1 else 0.0
    return CurvePoint(
        k=k,
        setting=json.dumps(dict(setting), sort_keys=True),
        recall=float(recall.mean()),
        recall_error=float(error),
        evaluations=float(figures[:, 1].mean()),
        milliseconds=float(figures[:, 2].mean()),
    )
