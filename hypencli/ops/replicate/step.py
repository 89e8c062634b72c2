"""Base class of the steps of a replication, and their shared context."""

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
"""Result of a step: an artifact of the store, or a folder or file of a dataset."""


class ReplicationContext:
    """A table, its store, and the results of its steps so far.

    Args:
        store: The project store.
        recipe: The table.
        device: Device of the computation. None selects the best one.
        trust_code: Allow models to run q-net converter code of their own.

    Attributes:
        artifacts: Step -> its result, of the steps that are done.
        rates: Rates for estimates.
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
        """Return whether the step has a result."""
        return step in self.artifacts

    def manifest(self, step: Step) -> Manifest:
        """Return the artifact of a step that is done.

        Raises:
            KeyError: The step is not done.
            TypeError: The result is a file or folder.
        """
        artifact = self.artifacts[step]
        if not isinstance(artifact, Manifest):
            raise TypeError(f"The result of the step {step} is not an artifact of the store.")
        return artifact

    def manifest_if_done(self, step: Step) -> Manifest | None:
        """Return the artifact of a step; None if the step is not done."""
        return self.manifest(step) if self.is_done(step) else None

    def model_of(self, step: Step) -> ModelSource:
        """Return the model of a model step, as an argument of operations."""
        return ModelSource(self.manifest(step).id, trust_code=self.trust_code)

    def place(self, source: str) -> str:
        """Resolve a value of the table: a file of a prepared dataset becomes its path."""
        return dataset_place(self.store.root, source)

    def corpus(self, source: str) -> Corpus:
        """Open a corpus. A file is hashed and counted only once.

        Raises:
            DataError: The corpus does not exist.
        """
        if source not in self._corpora:
            self._corpora[source] = open_corpus(self.place(source))
        return self._corpora[source]


class Step(ABC):
    """One step. Cells of the table share equal steps."""

    __slots__ = ()

    kind: ClassVar[StepKind]
    leaves_files: ClassVar[bool] = False
    """Whether the result is a file or folder, not an artifact of the store."""

    @property
    def needs(self) -> tuple[Step, ...]:
        """Steps that must be done before."""
        return ()

    @abstractmethod
    def __str__(self) -> str:
        """One line of description."""

    @abstractmethod
    def existing(self, context: ReplicationContext) -> Artifact | None:
        """Find the result of the step; None if it must be run. All steps it needs must be done.

        Nothing is downloaded: queries and judgements of ir_datasets are compared by id.

        Raises:
            HypeError: An input is missing or cannot be read.
        """

    def require(self, context: ReplicationContext) -> None:  # noqa: B027 - most need no such input
        """Refuse the step if an input is missing that no other step makes.

        Raises:
            HypeError: Such an input is missing.
        """

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Estimate the costs of the step. They are negligible for most steps."""
        return AT_ONCE

    def note(self, context: ReplicationContext) -> str | None:
        """Describe the finished part if the step was interrupted."""
        return None

    @abstractmethod
    def run(self, context: ReplicationContext, progress: Progress) -> Artifact:
        """Run the step. All steps that it needs must be done.

        Raises:
            HypeError: The step failed.
            StoreError: The step failed in the store.
        """


def short(place: str) -> str:
    """Shorten an absolute path to its last two parts. Other values are returned unchanged."""
    path = PurePosixPath(place)
    return f"…/{'/'.join(path.parts[-2:])}" if path.is_absolute() else place
