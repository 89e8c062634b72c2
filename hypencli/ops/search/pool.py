"""Askers that stay open between questions: models loaded once, vectors mapped once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hypencli.answers import Answer
from hypencli.ops.models import LoadedModel, stored_model
from hypencli.ops.search.ask import Asker
from hypencli.ops.search.options import Scoring, SearchOptions
from hypencli.ops.search.target import SearchTarget
from hypencli.ops.select import choose_embeddings
from hypestore import ArtifactNotFound, EmbeddingSet, Manifest, Store, StoreError

if TYPE_CHECKING:
    from hypencli.engine.results import OnScored

_MODELS, _SETS, _ASKERS = 4, 8, 32
"""How many models, embedding sets and askers stay open; the least recently used ones are closed."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """Where and how a question is answered.

    Attributes:
        target: Model and embedding set.
        options: Engine, number of documents, scoring.
    """

    target: SearchTarget
    options: SearchOptions

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for questions that can share a pass over the corpus."""
        return self.target.model.id, self.target.embeddings.id, repr(self.options)


class AskerPool:
    """Open models, embedding sets and engines of a store.

    Artifacts never change, so what is open stays valid until it is removed. New artifacts are found
    at the next question. One thread at a time may call ``ask`` and ``model``; ``plan`` only reads
    manifests and may be called by others meanwhile.

    Args:
        store: The project store.
        device: Device of models and scores. None selects the best one.
        trust_code: Allow models to run q-net converter code of their own.
    """

    def __init__(
        self, store: Store, *, device: str | None = None, trust_code: bool = False
    ) -> None:
        self._store = store
        self._device = device
        self._trust_code = trust_code
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._sets: OrderedDict[str, EmbeddingSet] = OrderedDict()
        self._askers: OrderedDict[tuple[str, str, str], Asker] = OrderedDict()

    def plan(self, model: str | None, options: SearchOptions) -> PlannedQuestion:
        """Find the model and the embedding set of a question. Only manifests are read.

        Args:
            model: Name or id of a model of the store. None selects its default.
            options: Embeddings, engine, number of documents, scoring.

        Raises:
            ArtifactNotFound: The store has no such model or embedding set. A folder or a name on
                the hub is none.
            UsageError: No embedding set or several sets fit.
        """
        manifest = stored_model(self._store, model)
        embeddings = choose_embeddings(self._store, manifest, named=options.target.embeddings)
        return PlannedQuestion(SearchTarget(self._store, manifest, embeddings), options)

    def ask(
        self,
        planned: PlannedQuestion,
        questions: Sequence[str],
        *,
        with_texts: bool = True,
        on_scored: OnScored | None = None,
    ) -> list[Answer]:
        """Answer questions of one plan together; see :meth:`Asker.ask_many`.

        Raises:
            ArtifactNotFound: The model or the embedding set was removed meanwhile.
        """
        target = planned.target
        self._require(target.model, target.embeddings)
        try:
            return self._asker(planned).ask_many(
                questions, on_scored=on_scored, with_texts=with_texts
            )
        except (StoreError, OSError):
            self._require(target.model, target.embeddings)
            raise

    def model(self, manifest: Manifest) -> LoadedModel:
        """Return a loaded model of the store.

        Raises:
            ArtifactNotFound: The model was removed.
        """
        self._require(manifest)
        loaded = _recent(self._models, manifest.id)
        if loaded is None:
            target = SearchTarget(self._store, manifest, manifest)
            loaded = target.load(Scoring(device=self._device), trust_code=self._trust_code)
            for gone in _keep(self._models, manifest.id, loaded, _MODELS):
                self._close_askers(gone)
        return loaded

    def _asker(self, planned: PlannedQuestion) -> Asker:
        asker = _recent(self._askers, planned.key)
        if asker is None:
            target, options = planned.target, planned.options
            loaded, embeddings = self.model(target.model), self._embeddings(target)
            asker = Asker.sharing(target, options, loaded, embeddings)
            _keep(self._askers, planned.key, asker, _ASKERS)
        else:
            _recent(self._models, planned.target.model.id)
            _recent(self._sets, planned.target.embeddings.id)
        return asker

    def _embeddings(self, target: SearchTarget) -> EmbeddingSet:
        opened = _recent(self._sets, target.embeddings.id)
        if opened is None:
            opened = target.open()
            for gone in _keep(self._sets, target.embeddings.id, opened, _SETS):
                self._close_askers(gone)
        return opened

    def _require(self, *manifests: Manifest) -> None:
        """Close what was removed from the store, and refuse questions about it."""
        for one in manifests:
            if not self._store.has(one.id):
                self._models.pop(one.id, None)
                self._sets.pop(one.id, None)
                self._close_askers(one.id)
                raise ArtifactNotFound(
                    f"The {one.kind} {one.name or one.id} was removed from the store.",
                    hint="`hype ls` shows what there is.",
                )

    def _close_askers(self, artifact_id: str) -> None:
        for key in [key for key in self._askers if artifact_id in key[:2]]:
            del self._askers[key]


def _recent(opened: OrderedDict[_Key, _Value], key: _Key) -> _Value | None:
    """Return what is open under a key, and mark it as used."""
    value = opened.get(key)
    if value is not None:
        opened.move_to_end(key)
    return value


def _keep(opened: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> list[_Key]:
    """Keep a value open; close the least recently used ones, and return their keys."""
    opened[key] = value
    closed = []
    while len(opened) > most:
        closed.append(opened.popitem(last=False)[0])
    return closed
