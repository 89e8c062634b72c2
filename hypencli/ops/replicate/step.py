"""What every step of a replication can do, and what the steps of one replication share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, TypeAlias

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.models import ModelSource
from hypencli.ops.replicate.estimate import AT_ONCE, Estimate, Rates
from hypencli.progress import Progress
from hypencli.recipe.replication import Replication
from hypestore import Manifest, Store

StepKind: TypeAlias = Literal[
    "prepare", "model", "perturb", "lists", "encode", "graph", "search", "eval", "p-mrr"
]

Artifact: TypeAlias = Manifest | Path
"""What a step leaves: an artifact of the store, or a dataset's folder or file beside them."""


class ReplicationContext:
    """A table, the store that it is made in, and what its steps have left there so far.

    Args:
        store: The project store.
        recipe: The table.
        device: Where to compute; None takes the best there is.
        trust_code: Whether models may import q-net converter code of their own.

    Attributes:
        artifacts: Step -> what it has left, of the steps that are done.
        rates: How fast such steps were before.
    """

    def __init__(
        self, store: Store, recipe: Replication, device: str | None, *, trust_code: bool = False
    ) -> None:
        self.store, self.recipe, self.device = store, recipe, device
        self.trust_code = trust_code
        self.artifacts: dict[Step, Artifact] = {}
        self.rates = Rates(store, device)
        self._corpora: dict[str, Corpus] = {}

    def is_done(self, step: Step) -> bool:
        """Whether the step has left something."""
        return step in self.artifacts

    def manifest(self, step: Step) -> Manifest:
        """The artifact of a step that is done.

        Raises:
            KeyError: The step is not done.
            TypeError: It leaves files and no artifact.
        """
        artifact = self.artifacts[step]
        if not isinstance(artifact, Manifest):
            raise TypeError(f"The step {step} leaves files, not an artifact of the store.")
        return artifact

    def manifest_if_done(self, step: Step) -> Manifest | None:
        """The artifact of a step; None where the step is not done."""
        return self.manifest(step) if self.is_done(step) else None

    def model_of(self, step: Step) -> ModelSource:
        """The model that a step has taken, for a verb."""
        return ModelSource(self.manifest(step).id, trust_code=self.trust_code)

    def place(self, source: str) -> str:
        """Where something lies that the table names: a file of a prepared dataset by its path."""
        return dataset_place(self.store.root, source)

    def corpus(self, source: str) -> Corpus:
        """A corpus to look at; a file is hashed and counted once for all looks.

        Raises:
            DataError: It is not there.
        """
        if source not in self._corpora:
            self._corpora[source] = open_corpus(self.place(source))
        return self._corpora[source]


class Step(ABC):
    """One step. Cells of the table that need equal steps share one of them."""

    __slots__ = ()

    kind: ClassVar[StepKind]
    leaves_files: ClassVar[bool] = False
    """Whether it leaves files beside the store's artifacts."""

    @property
    def needs(self) -> tuple[Step, ...]:
        """The steps that come before it."""
        return ()

    @abstractmethod
    def __str__(self) -> str:
        """Its line in a list."""

    @abstractmethod
    def existing(self, context: ReplicationContext) -> Artifact | None:
        """What it leaves, if that is there; all steps that it needs are done.

        Nothing is downloaded: queries and judgements of ir_datasets are compared by their id.

        Raises:
            HypeError: What it reads is not there or cannot be read.
        """

    def require(self, context: ReplicationContext) -> None:  # noqa: B027 - most lack nothing
        """Refuse a step to do for want of something that no step makes.

        Raises:
            HypeError: There is such a thing.
        """

    def estimate(self, context: ReplicationContext) -> Estimate:
        """What it takes to do it; for most steps next to nothing."""
        return AT_ONCE

    def note(self, context: ReplicationContext) -> str | None:
        """How much of it is done, if it was begun."""
        return None

    @abstractmethod
    def run(self, context: ReplicationContext, progress: Progress) -> Artifact:
        """Do it with the operation of its verb; all steps that it needs are done.

        Raises:
            HypeError: It cannot be done.
            StoreError: The store refuses it.
        """


def short(place: str) -> str:
    """A name for a line: the end of a path, anything else as it is."""
    path = PurePosixPath(place)
    return f"…/{'/'.join(path.parts[-2:])}" if path.is_absolute() else place
