"""Steps for the inputs of a table: models, datasets, perturbed queries, ranked lists."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hypencli.data.prepare import find_preparation
from hypencli.data.queries import open_queries
from hypencli.data.reading.dataset_record import read_record
from hypencli.data.reading.source import IrdsSource, resolve
from hypencli.data.variations import VariationKind, read_synonyms
from hypencli.errors import DataError, ModelError
from hypencli.ops.dataset_names import DATA_FOLDER
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
from hypencli.ops.models import ModelSource, comes_from_outside, find_model, registered_model
from hypencli.ops.perturb import PerturbOptions, perturb
from hypencli.ops.replicate.estimate import AT_ONCE, UNKNOWN, Estimate
from hypencli.ops.replicate.step import ReplicationContext, Step, StepKind, short
from hypencli.ops.transfer.runs import import_run
from hypencli.paths import is_file, user_path
from hypencli.progress import Progress
from hypestore import ArtifactNotFound, Manifest

PERTURBED_FOLDER = "perturbed"
"""Folder of perturbed queries below the prepared datasets. It may be deleted."""


@dataclass(frozen=True, slots=True)
class ModelStep(Step):
    """Finds a model of the store, or registers a model from outside.

    Attributes:
        source: A model of the store, a folder, or a name on the hub.
        backbone: Backbone of a checkpoint that does not record it.
        pooling: Pooling of a plain encoder that does not record it.
        made_by: Command that makes the model, if there is one.
    """

    kind: ClassVar[StepKind] = "model"

    source: str
    backbone: str | None
    pooling: str | None
    made_by: str | None

    def __str__(self) -> str:
        return f"model {short(self.source)}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the model if it is in the store."""
        return registered_model(context.store, self._named(context))

    def require(self, context: ReplicationContext) -> None:
        """Refuse a model that is neither in the store, a folder, nor on the hub."""
        if not comes_from_outside(self.source):
            made_by = f"; make it: {self.made_by}" if self.made_by else ""
            raise ModelError(f"the store has no model {self.source!r}{made_by}")

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Find the model. A model from outside is registered."""
        try:
            return find_model(context.store, self._named(context), progress)
        except ArtifactNotFound as error:
            makes = "" if self.made_by is None else f"Make it: {self.made_by}\nOr "
            raise ModelError(
                f"No model {self.source!r}: it is neither in the store nor a folder.",
                hint=f"{makes}select others: `models=NAMES`, or set models.NAME.source",
            ) from error

    def _named(self, context: ReplicationContext) -> ModelSource:
        return ModelSource(
            self.source,
            backbone=self.backbone,
            pooling=self.pooling,
            trust_code=context.trust_code,
        )


@dataclass(frozen=True, slots=True)
class PrepareStep(Step):
    """Prepares a dataset of the hard tasks."""

    kind: ClassVar[StepKind] = "prepare"
    leaves_files: ClassVar[bool] = True

    dataset: str

    def __str__(self) -> str:
        return f"prepare {self.dataset}"

    def existing(self, context: ReplicationContext) -> Path | None:
        """Return the folder of the prepared dataset in the store."""
        name = find_preparation(self.dataset).name
        folder = context.store.root / DATA_FOLDER / name
        return None if read_record(folder) is None else folder

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Return an estimate without a time, because download times are unknown."""
        return UNKNOWN

    def run(self, context: ReplicationContext, progress: Progress) -> Path:
        """Download and prepare the dataset."""
        root = context.store.root
        return prepare(self.dataset, PrepareOptions(), store_root=root, progress=progress).path


@dataclass(frozen=True, slots=True)
class PerturbStep(Step):
    """Perturbs queries, as ``hype perturb`` does."""

    kind: ClassVar[StepKind] = "perturb"
    leaves_files: ClassVar[bool] = True

    queries: str
    variation: VariationKind
    prepared: tuple[PrepareStep, ...]

    @property
    def needs(self) -> tuple[Step, ...]:
        """The preparation of the queries, if any."""
        return self.prepared

    def __str__(self) -> str:
        return f"perturb {short(self.queries)} ({self.variation})"

    def existing(self, context: ReplicationContext) -> Path | None:
        """Return the file of perturbed queries if it exists."""
        path = self.path(context)
        return path if path.is_file() else None

    def estimate(self, context: ReplicationContext) -> Estimate:
        """Return negligible costs; the time of a paraphrasing model is unknown."""
        return Estimate(bytes=0) if self.variation == "paraphrase" else AT_ONCE

    def run(self, context: ReplicationContext, progress: Progress) -> Path:
        """Write the perturbed queries."""
        path = self.path(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        queries = open_queries(context.place(self.queries))
        done = perturb(queries, self._options(context), output=path, progress=progress)
        progress.message(f"{done.n_changed} of {done.n_queries} queries changed: {path.name}")
        return path

    def path(self, context: ReplicationContext) -> Path:
        """Return the path of the perturbed queries, existing or not.

        The name has a hash of the queries, of the entries of the word list, and of the other
        options, with a paraphrasing model by its name. ``hype robustness`` reads the kind from it.
        Queries of ir_datasets are hashed by their id, so that nothing is downloaded.

        Raises:
            DataError: The queries or the word list cannot be read.
        """
        options = self._options(context)
        place = context.place(self.queries)
        source = resolve(place, what="query set")
        is_irds = isinstance(source, IrdsSource)
        made_of = [
            source.id if is_irds else open_queries(place).fingerprint,
            options.changes,
            None if options.words is None else read_synonyms(options.words),
            options.model,
            options.prefix,
        ]
        key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{source.id_prefix.replace('/', '-')}-{key}.{options.kind}-{options.seed}.jsonl"
        return context.store.root / DATA_FOLDER / PERTURBED_FOLDER / name

    def _options(self, context: ReplicationContext) -> PerturbOptions:
        """Return the options of the recipe that apply to this kind of variation."""
        settings, variation = context.recipe.perturb, self.variation
        rewrites = variation == "paraphrase"
        return PerturbOptions(
            kind=variation,
            seed=settings.seed,
            changes=1 if rewrites else settings.changes,
            words=user_path(settings.words) if variation == "synonym" and settings.words else None,
            model=settings.model if rewrites else None,
            prefix=settings.prefix if rewrites else "",
            device=context.device,
        )


@dataclass(frozen=True, slots=True)
class ListsStep(Step):
    """Imports the ranked lists of a dataset, which are to be reranked, as a run."""

    kind: ClassVar[StepKind] = "lists"

    dataset: str
    lists: str
    prepared: tuple[PrepareStep, ...]

    @property
    def needs(self) -> tuple[Step, ...]:
        """The preparation of the lists, if any."""
        return self.prepared

    def __str__(self) -> str:
        return f"lists {short(self.lists)}"

    def existing(self, context: ReplicationContext) -> Manifest | None:
        """Return the newest run with the name of the lists."""
        runs = [one for one in context.store.artifacts("run") if one.name == self._name]
        return runs[-1] if runs else None

    def require(self, context: ReplicationContext) -> None:
        """Refuse missing lists that no step prepares."""
        if not self.prepared and not is_file(context.place(self.lists)):
            raise DataError(f"no file {self.lists}")

    def run(self, context: ReplicationContext, progress: Progress) -> Manifest:
        """Import the lists as a run."""
        path = Path(context.place(self.lists))
        if not is_file(path):
            raise DataError(f"The ranked lists {self.lists} do not exist.")
        return context.store.get(import_run(context.store, path, name=self._name).run, "run")

    @property
    def _name(self) -> str:
        """Return the name of the run."""
        return f"lists-{self.dataset}"
