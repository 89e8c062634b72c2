"""Counts and times for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import Scope

from hypencli.answers import Answer

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_QUESTIONS = (1, 2, 4, 8, 16, 32)
_DOCUMENTS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000)
_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)


class Metrics:
    """The metrics of one server.

    Args:
        waiting: Returns the number of questions that wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter(
            "hype_requests", "Requests by address and status.", ("method", "route", "status")
        )
        self._refused = self._counter(
            "hype_refused", "Requests refused before they were read.", ("status",)
        )
        self._latency = self._histogram(
            "hype_request_seconds", "Time of a request.", _SECONDS, ("route",)
        )
        self._stages = self._histogram(
            "hype_stage_seconds", "Time of a stage of an answer.", _SECONDS, ("stage",)
        )
        self._batch = self._histogram(
            "hype_batch_questions", "Questions that shared a pass over the corpus.", _QUESTIONS
        )
        self._evaluations = self._histogram(
            "hype_evaluations", "Documents scored for a question.", _DOCUMENTS, ("engine",)
        )
        self._bounds = self._histogram(
            "hype_recall_bound", "Lower bound on the recall of an answer.", _SHARES, ("engine",)
        )
        gauge = Gauge("hype_waiting_questions", "Questions that wait.", registry=self._registry)
        gauge.set_function(waiting)

    def _counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request."""
        route = getattr(scope.get("route"), "path", "other")
        self._requests.labels(scope["method"], route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was refused before it was read."""
        self._refused.labels(str(status)).inc()

    def answer(self, answer: Answer, stages: Mapping[str, float]) -> None:
        """Count an answer.

        Args:
            answer: The answer.
            stages: Stage -> its seconds.
        """
        for stage, seconds in stages.items():
            self._stages.labels(stage).observe(seconds)
        self._batch.observe(answer.batch)
        self._evaluations.labels(answer.engine).observe(answer.evaluations)
        if answer.recall_bound is not None:
            self._bounds.labels(answer.engine).observe(answer.recall_bound)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
