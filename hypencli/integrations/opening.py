"""The project store of an adapter, opened once, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypencli.answers import Answer
from hypencli.api import Project, open_store
from hypencli.errors import UsageError


class StoreAnswers:
    """Answers to questions from one project store, with one model and engine.

    The model is loaded with the first question.

    Args:
        store: Folder of the store, or an open project; None searches the current folder and its
            parents.
        model: A model of the store, a folder, or a name on the hub; None selects the default.
        engine: Name of an engine; None selects ``exact``.
        options: Further options of :meth:`hypencli.Project.query`.

    Raises:
        StoreNotFound: There is no store.
    """

    def __init__(
        self,
        store: str | Path | Project | None,
        *,
        model: str | None = None,
        engine: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.project = store if isinstance(store, Project) else open_store(store)
        self._options = {"model": model, "engine": engine, **(options or {})}

    def answers(self, questions: Sequence[str], k: int) -> list[Answer]:
        """Return one answer a question, each with up to ``k`` documents, best first.

        Raises:
            UsageError: No embedding set fits the model, or an option is wrong.
            DataError: A question is empty.
        """
        return self.project.ask_many(questions, k=k, **self._options) if questions else []


def refuse_filters(filters: object, framework: str) -> None:
    """Refuse a filter on metadata: a store keeps ids and texts alone.

    Raises:
        UsageError: There is a filter.
    """
    if filters:
        raise UsageError(
            f"A store has no metadata to filter by; {framework} asked for {filters!r:.200}.",
            hint="Encode the documents of each kind as a corpus of their own.",
        )
