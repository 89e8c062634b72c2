"""Each step of a replication, done with the operation of its verb."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.data.prepare import find_preparation
from hypencli.data.queries import open_queries
from hypencli.data.reading.dataset_record import read_record
from hypencli.errors import (
    DataError,
    ModelError,
    UsageError,
)
from hypencli.evaluation.p_mrr import P_MRR
from hypencli.ops.dataset_names import DATA_FOLDER, dataset_place
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
from hypencli.ops.encode import encode
from hypencli.ops.evaluation.p_mrr import evaluate_p_mrr
from hypencli.ops.evaluation.run import evaluate
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.find import find_graph
from hypencli.ops.models import ModelSource, find_model
from hypencli.ops.perturb import perturb
from hypencli.ops.replicate.options import (
    dataset_of,
    encode_options,
    evaluate_options,
    graph_options,
    model_source,
    perturb_options,
    perturbed_path,
    query_source,
    search_options,
)
from hypencli.ops.replicate.plan import Plan, TableCell
from hypencli.ops.replicate.steps import (
    BuildGraph,
    Compare,
    Encode,
    Evaluate,
    ImportLists,
    Perturb,
    Prepare,
    SearchStep,
    Step,
    TakeModel,
)
from hypencli.ops.replicate.table import CellKey, Measured
from hypencli.ops.search.run import search
from hypencli.ops.transfer.runs import import_run
from hypencli.progress import Progress
from hypencli.recipe.replication import Replication
from hypestore import (
    ArtifactNotFound,
    Manifest,
    Store,
)


class StepRunner:
    """Does steps, and remembers what each has made or found.

    Attributes:
        made: Step -> id of its artifact; of a prepared dataset its folder, of changed queries
            their file.
        existing: Those that had been there before.
    """

    def __init__(
        self, store: Store, recipe: Replication, device: str | None, *, trust_code: bool
    ) -> None:
        self._store, self._recipe, self._device = store, recipe, device
        self._trust_code = trust_code
        self._before = {manifest.id for manifest in store.artifacts()}
        self.artifact_of_step: dict[Step, str] = {}
        self.existing: set[Step] = set()

    def do(self, step: Step, progress: Progress) -> None:
        """Do one step, all that it needs being done.

        Raises:
            HypeError: It cannot be done.
            StoreError: The same, in the store.
        """
        match step:
            case Prepare():
                artifact = self._prepare(step, progress)
            case TakeModel():
                artifact = take_model(self._store, step, progress, trust_code=self._trust_code).id
            case Perturb():
                artifact = self._perturb(step, progress)
            case ImportLists():
                artifact = self._import_lists(step)
            case Encode():
                artifact = self._encode(step, progress)
            case BuildGraph():
                artifact = self._build_graph(step, progress)
            case SearchStep():
                artifact = self._search(step, progress)
            case Evaluate():
                artifact = self._evaluate(step, progress)
            case Compare():
                artifact = self._compare(step, progress)
        self.artifact_of_step[step] = artifact
        if artifact in self._before:
            self.existing.add(step)

    def _prepare(self, step: Prepare, progress: Progress) -> str:
        """The dataset as it is there, from whatever files; else downloaded."""
        root = self._store.root
        folder = prepared_folder(root, step)
        if folder is not None:
            self.existing.add(step)
            return str(folder)
        done = prepare(step.dataset, PrepareOptions(), store_root=root, progress=progress)
        return str(done.path)

    def _perturb(self, step: Perturb, progress: Progress) -> str:
        path = perturbed_path(self._store.root, self._recipe, step)
        if path.is_file():
            self.existing.add(step)
            return str(path)
        options = perturb_options(self._recipe, step, self._device)
        path.parent.mkdir(parents=True, exist_ok=True)
        queries = open_queries(dataset_place(self._store.root, step.queries))
        done = perturb(queries, options, output=path, progress=progress)
        progress.message(f"{done.n_changed} of {done.n_queries} queries changed: {path.name}")
        return str(path)

    def _import_lists(self, step: ImportLists) -> str:
        path = Path(dataset_place(self._store.root, step.place))
        if not path.is_file():
            raise DataError(f"No lists {step.place} to rank again.")
        return import_run(self._store, path, name=lists_name(step)).run

    def _encode(self, step: Encode, progress: Progress) -> str:
        source = ModelSource(self.artifact_of_step[step.model], trust_code=self._trust_code)
        options = encode_options(self._recipe, self._device)
        return encode(self._store, self._corpus(step), source, options, progress).embeddings

    def _corpus(self, step: Encode) -> Corpus:
        return open_corpus(dataset_place(self._store.root, step.corpus))

    def _build_graph(self, step: BuildGraph, progress: Progress) -> str:
        embeddings = self._store.get(self.artifact_of_step[step.encode], "embeddings")
        existing = existing_graph(self._store, embeddings, self._recipe)
        if existing is not None:
            return existing.id
        options = graph_options(self._recipe, self._device)
        return build_graph(self._store, embeddings, options, progress).graph

    def _search(self, step: SearchStep, progress: Progress) -> str:
        root = self._store.root
        options = search_options(
            self._recipe,
            step,
            embeddings=self.artifact_of_step[step.encode],
            graph=self._artifact_of(step, BuildGraph),
            lists=self._artifact_of(step, ImportLists),
            store_root=root,
            device=self._device,
        )
        query_source(self._recipe, step, root)  # says how to make them, where they lack
        place = self._artifact_of(step, Perturb) or dataset_of(self._recipe, step).queries
        queries = open_queries(dataset_place(root, place))
        source = ModelSource(self.artifact_of_step[step.encode.model], trust_code=self._trust_code)
        return search(self._store, queries, source, options, progress).run

    def _artifact_of(self, step: SearchStep, kind: type[Step]) -> str | None:
        """The artifact of the one step of a kind that a search needs beside its embeddings."""
        return next(
            (self.artifact_of_step[one] for one in step.others if isinstance(one, kind)), None
        )

    def _evaluate(self, step: Evaluate, progress: Progress) -> str:
        options = evaluate_options(self._recipe, step.search, self._store.root)
        return evaluate(
            self._store, self.artifact_of_step[step.search], options, progress
        ).evaluation

    def _compare(self, step: Compare, progress: Progress) -> str:
        root = self._store.root
        before, after = (
            str(evaluate_options(self._recipe, one, root).qrels)
            for one in (step.original, step.changed)
        )
        return evaluate_p_mrr(
            self._store,
            self.artifact_of_step[step.original],
            self.artifact_of_step[step.changed],
            qrels_original=before,
            qrels_changed=after,
            progress=progress,
        ).evaluation


def prepared_folder(store_root: Path, step: Prepare) -> Path | None:
    """Where a prepared dataset lies in the store; None where it is still to be made.

    Raises:
        UsageError: There is no such dataset.
        DataError: Its record cannot be read.
    """
    folder = store_root / DATA_FOLDER / find_preparation(step.dataset).name
    return None if read_record(folder) is None else folder


def lists_name(step: ImportLists) -> str:
    """What the run of the lists is called."""
    return f"lists-{step.dataset}"


def take_model(store: Store, step: TakeModel, progress: Progress, *, trust_code: bool) -> Manifest:
    """The model of a step.

    Raises:
        ModelError: There is none of this name; the hint is the command that makes it.
    """
    try:
        return find_model(store, model_source(step, trust_code=trust_code), progress)
    except ArtifactNotFound as error:
        makes = "" if step.made_by is None else f"Make it: {step.made_by}\n"
        raise ModelError(
            f"No model {step.source!r}: the store has none of this name, and it is no folder.",
            hint=f"{makes}Or take others: --models NAMES, or --set models.NAME.source=MODEL",
        ) from error


def existing_graph(store: Store, embeddings: Manifest, recipe: Replication) -> Manifest | None:
    """A graph that serves; None where one is to be made, also where a builder is asked for."""
    wanted = recipe.graph
    if wanted.builder != "auto":
        return None
    try:
        return find_graph(store, embeddings.id, k=wanted.k, metric=wanted.metric)
    except UsageError:
        return None


def measured_cells(
    store: Store, plan: Plan, artifacts: Mapping[Step, str]
) -> dict[CellKey, Measured]:
    """What was measured, of the cells whose steps are done."""
    measured = {}
    for cell in plan.cells:
        if cell.step in artifacts:
            key = (cell.model, cell.dataset, cell.search)
            measured[key] = _measured(store, cell, artifacts)
    return measured


def _measured(store: Store, cell: TableCell, artifacts: Mapping[Step, str]) -> Measured:
    run = store.get(artifacts[cell.step.search], "run")
    evaluation = store.get(artifacts[cell.step], "evaluation")
    pair = None if cell.pair is None else artifacts.get(cell.pair)
    seconds = run.stats["seconds"]
    parts = seconds if isinstance(seconds, dict) else {}
    whole = float(str(parts.get("total", 0.0))) - float(str(parts.get("writing", 0.0)))
    return Measured(
        aggregates=store.aggregates(evaluation.id),
        judged_queries=evaluation.stat_int("judged_queries"),
        ms_per_query=1000 * whole / run.stat_int("n_queries"),
        evaluation=evaluation.id,
        p_mrr=None if pair is None else store.aggregates(pair)[P_MRR],
    )
