"""Calibration of an approximate engine: recall and costs by setting, measured and stored."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hypencli.data.queries import QuerySet
from hypencli.engine.registry.entry import Setting
from hypencli.errors import DataError, UsageError
from hypencli.evaluation.recall import recall_at
from hypencli.ops.models import ModelSource, display_name
from hypencli.ops.search.calibrations import (
    calibration_identity,
    find_calibrations,
    require_calibratable,
)
from hypencli.ops.search.check import DEPTHS
from hypencli.ops.search.engines import EnginePlan, plan_engine, with_preset
from hypencli.ops.search.options import EngineSpec, Scoring, SearchOptions, Target
from hypencli.ops.search.target import SearchTarget
from hypencli.progress import SILENT, Progress, Task
from hypencli.records import Ranking
from hypencli.runtime import provenance, resolve_device, resolve_dtype
from hypestore import CurvePoint, JsonValue, Store

if TYPE_CHECKING:
    from hypencli.engine.scorers import Scorer
    from hypencli.models.encoding import QueryStates
    from hypencli.ops.graphs.build import BuiltGraph

_MOST_ENCODED = 1_024
"""Most queries of a set that are encoded for a sample of it: some seconds, once for all verbs."""


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """Options of a calibration.

    Attributes:
        engine: The engine, with options for all settings.
        n_queries: Number of random queries. Each is searched exactly and with every setting.
        depths: Numbers of documents per query.
        target: Documents to search.
        scoring: How documents are scored.
        seed: Seed of the random queries.
    """

    engine: EngineSpec = field(default_factory=lambda: EngineSpec("guided"))
    n_queries: int = 64
    depths: tuple[int, ...] = DEPTHS
    target: Target = field(default_factory=Target)
    scoring: Scoring = field(default_factory=Scoring)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration of the store.

    Attributes:
        calibration: Id of the calibration.
        engine: Name of the engine.
        model: Name or id of the model.
        embeddings: Name or id of the embedding set.
        corpus: Id of the corpus.
        n_queries: Number of queries.
        curve: One measurement per setting and depth.
        existing: Whether the store had the calibration before this call.
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
    """A neighbour graph, and the calibrations of the approximate engines."""

    graph: BuiltGraph
    calibrations: list[Calibrated]


def calibrate(
    store: Store,
    queries: QuerySet | None,
    model: ModelSource,
    options: CalibrateOptions | None = None,
    progress: Progress = SILENT,
) -> Calibrated:
    """Measure recall and costs of an engine against exact search, and store them.

    A search with a recall in its options uses the result.

    Args:
        store: The project store.
        queries: Query set to sample from. None selects the queries of the encoded dataset.
        model: The model.
        options: Engine, sample and depths.
        progress: Where to report.

    Raises:
        UsageError: No embedding set fits, the engine does not support the model, an option is
            wrong, or there is no graph.
        DataError: The query set is empty.
    """
    options = options or CalibrateOptions()
    entry = require_calibratable(options.engine.name)
    target = SearchTarget.resolve(store, model, options.target, queries, progress)
    plan = plan_engine(target, SearchOptions(k=1, engine=options.engine, scoring=options.scoring))
    _refuse_measured(plan, options.engine)
    queries = target.queries(queries)
    inputs = _inputs(plan, queries, options)
    calibrations = find_calibrations(target, inputs)
    if calibrations:
        done = calibrations[-1]
    else:
        study = _Study(plan, queries, options, progress, trust_code=model.trust_code)
        device = str(resolve_device(options.scoring.device))
        done = store.write_calibration(
            f"{target.id_prefix}-{entry.name}",
            inputs,
            parents=(target.model.id, target.embeddings.id, *plan.parents),
            points=study.curve(),
            stats={"n_queries": study.n_queries, "n_documents": study.n_documents},
            provenance=provenance(device=device, seed=options.seed),
        )
    return Calibrated(
        calibration=done.id,
        engine=entry.name,
        model=display_name(target.model),
        embeddings=display_name(target.embeddings),
        corpus=str(target.embeddings.inputs["corpus"]),
        n_queries=done.stat_int("n_queries"),
        curve=store.curve(done.id),
        existing=bool(calibrations),
    )


def _inputs(plan: EnginePlan, queries: QuerySet, options: CalibrateOptions) -> dict[str, JsonValue]:
    """Return the inputs that determine a calibration."""
    return {
        **calibration_identity(plan, options.scoring),
        "corpus": plan.target.embeddings.inputs["corpus"],
        "queries": queries.id,
        "queries_fingerprint": queries.fingerprint,
        "sampled": options.n_queries,
        "seed": options.seed,
        "depths": list(options.depths),
        "settings": [dict(setting) for setting in plan.entry.settings],
    }


def _refuse_measured(plan: EnginePlan, spec: EngineSpec) -> None:
    """Refuse options that the calibration varies."""
    measured = {*plan.entry.settings[0], *plan.entry.amounts}
    for name in with_preset(plan.entry, spec.options):
        if name in measured:
            raise UsageError(
                f"{name} cannot be set: the calibration of {plan.entry.name} varies it.",
                hint=f"Leave {name} out.",
            )


class _Study:
    """The measurements of one calibration."""

    def __init__(
        self,
        plan: EnginePlan,
        queries: QuerySet,
        options: CalibrateOptions,
        progress: Progress,
        *,
        trust_code: bool,
    ) -> None:
        listed = list(queries)
        if not listed:
            raise DataError(f"The query set {queries.id} has no queries for a calibration.")
        n_drawn = min(options.n_queries, len(listed))
        self._drawn = random.Random(options.seed).sample(range(len(listed)), n_drawn)
        self._texts = [query.text for query in listed]
        self._plan, self._options, self._progress = plan, options, progress
        self._embeddings = plan.target.open()
        self._trust_code = trust_code
        self.n_queries, self.n_documents = n_drawn, self._embeddings.n

    def curve(self) -> list[CurvePoint]:
        """Measure every setting at every depth, over all sampled queries."""
        encoded = self._encoded()
        trials = [(k, each) for k in self._options.depths for each in self._planned()]
        figures: list[list[tuple[float, float, float]]] = [[] for _ in trials]
        total = len(encoded) * (len(trials) + 1)
        with self._progress.task("calibrate", total=total, unit="searches") as task:
            for batch in encoded.batches(self._options.scoring.batch_queries):
                self._measure(encoded, batch, trials, figures, task)
        return [
            _point(k, setting, measured)
            for (k, setting), measured in zip(trials, figures, strict=True)
        ]

    def _encoded(self) -> QueryStates:
        """Encode the sample; of a set that is not large, all queries, as a search has them."""
        from hypencli.ops.search.query_cache import kept_queries

        target, scoring = self._plan.target, self._options.scoring
        loaded = target.load(scoring, trust_code=self._trust_code)
        if len(self._texts) <= _MOST_ENCODED:
            whole = kept_queries(target.store, loaded, self._texts, scoring)
            return whole.states.select(self._drawn)
        texts = [self._texts[place] for place in self._drawn]
        return kept_queries(target.store, loaded, texts, scoring).states

    def _planned(self) -> list[Setting]:
        """Return the settings, without those that are equal for a corpus of this size."""
        kept: dict[str, Setting] = {}
        for setting in self._plan.entry.settings:
            fitted = self._plan.entry.fitted(setting, self._embeddings.n)
            kept.setdefault(json.dumps(dict(fitted), sort_keys=True), fitted)
        return list(kept.values())

    def _measure(
        self,
        encoded: QueryStates,
        batch: range,
        trials: Sequence[tuple[int, Setting]],
        figures: list[list[tuple[float, float, float]]],
        task: Task,
    ) -> None:
        from hypencli.engine.scorers import scorer_of

        dtype = resolve_dtype(self._options.scoring.dtype)
        scorer = scorer_of(encoded, batch, self._embeddings.dim, dtype)
        exact, _, _ = self._search(scorer, EngineSpec(), k=max(self._options.depths))
        task.advance(len(batch))
        spec = self._options.engine
        for (k, setting), measured in zip(trials, figures, strict=True):
            at_setting = EngineSpec(spec.name, {**spec.options, **setting})
            rankings, evaluations, seconds = self._search(scorer, at_setting, k=k)
            each = seconds / len(rankings) * 1e3
            for ranking, wanted, count in zip(rankings, exact, evaluations, strict=True):
                recall = recall_at(ranking, [doc_id for doc_id, _ in wanted], k)
                measured.append((1.0 if recall is None else recall, float(count), each))
            task.advance(len(batch))

    def _search(
        self, scorer: Scorer, spec: EngineSpec, *, k: int
    ) -> tuple[list[Ranking], list[int], float]:
        """Search a batch: rankings, evaluations per query, and seconds of the engine."""
        options = SearchOptions(k=k, engine=spec, scoring=self._options.scoring)
        engine = plan_engine(self._plan.target, options).open(self._embeddings, SILENT)([])
        started = time.perf_counter()
        result = engine.search(scorer, k=k)
        return result.rankings, result.evaluations.tolist(), time.perf_counter() - started


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
