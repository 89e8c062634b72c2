"""Looks at the steps of a replication: which are done, what is missing, what the others take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from hypencli.data.corpus import Corpus, open_corpus
from hypencli.data.irds import IrdsDataset
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import QuerySet, open_queries
from hypencli.data.source import IrdsSource, resolve
from hypencli.errors import DataError, HypeError
from hypencli.measures import parse_measures
from hypencli.ops.datasets import dataset_place
from hypencli.ops.encode import plan as plan_encode
from hypencli.ops.engines import plan_engine
from hypencli.ops.graph_builders import (
    AUTO_EXACT_DOCUMENTS,
    installed_builder,
    recorded_builder,
)
from hypencli.ops.models import ModelSource, comes_from_outside, known_model
from hypencli.ops.replicate_estimate import Estimate, Rates
from hypencli.ops.replicate_options import (
    dataset_of,
    encode_options,
    evaluate_options,
    model_source,
    query_source,
    search_options,
)
from hypencli.ops.replicate_perturb import perturbed_path
from hypencli.ops.replicate_steps import (
    BuildGraph,
    Compare,
    Encode,
    Evaluate,
    ImportLists,
    Perturb,
    Prepare,
    Search,
    Step,
    TakeModel,
)
from hypencli.ops.replicate_work import graph_there, lists_name, prepared_folder
from hypencli.ops.search import run_inputs
from hypencli.p_mrr import P_MRR
from hypencli.recipe.replication import Replication
from hypestore import JsonValue, Manifest, Store

State: TypeAlias = Literal["done", "to do", "missing", "waiting"]
Look: TypeAlias = tuple[State, str | None, Estimate]
"""State, what is to be said of it, and what a step to do takes."""

_NOTHING = Estimate()
_AT_ONCE = Estimate(seconds=0.0, bytes=0)
_NO_BUILDER = (
    "no package that finds neighbours of so many documents is installed: "
    "pip install 'hypencli[nn-descent]', or take the time: --set graph.builder=exact"
)


@dataclass(frozen=True, slots=True)
class SurveyedStep:
    """One step of a replication.

    Attributes:
        state: ``missing`` where something is that no step makes, a model or a file; ``waiting``
            where the step needs such.
        note: What is missing, or how much of it is done.
        estimate: What a step to do takes.
    """

    step: str
    kind: str
    state: State
    note: str | None
    estimate: Estimate


class Surveyor:
    """Looks at steps in their order, and remembers the artifacts of those that are done."""

    def __init__(self, store: Store, recipe: Replication, device: str | None) -> None:
        self._store, self._recipe, self._device = store, recipe, device
        self._rates = Rates(store, device)
        self._found: dict[Step, Manifest] = {}
        self._perturbed: dict[Step, Path] = {}
        self._blocked: set[Step] = set()
        self._documents: dict[Encode, int | None] = {}

    def look(self, step: Step) -> SurveyedStep:
        """The state of one step."""
        blocked = next((one for one in step.needs if one in self._blocked), None)
        try:
            state, note, estimate = self._look(step)
        except HypeError as error:
            state, note, estimate = "missing", str(error), _NOTHING
        if state == "to do" and blocked is not None:
            state, note = "waiting", f"needs: {blocked}"
        if state in ("missing", "waiting"):
            self._blocked.add(step)
        kept = estimate if state == "to do" else _NOTHING
        return SurveyedStep(str(step), step.kind, state, note, kept)

    def _look(self, step: Step) -> Look:
        match step:
            case Prepare():
                there = prepared_folder(self._store.root, step) is not None
                return "done" if there else "to do", None, _NOTHING
            case TakeModel():
                return self._model(step)
            case Perturb():
                return self._perturb(step)
            case ImportLists():
                return self._lists(step)
            case Encode():
                return self._encode(step)
            case BuildGraph():
                return self._graph(step)
            case Search():
                return self._search(step)
            case Evaluate():
                return self._evaluate(step), None, _AT_ONCE
            case Compare():
                return self._compare(step), None, _AT_ONCE

    def _keep(self, step: Step, found: list[Manifest]) -> State:
        if not found:
            return "to do"
        self._found[step] = found[-1]
        return "done"

    def _model(self, step: TakeModel) -> Look:
        found = known_model(self._store, model_source(step))
        if found is None and not comes_from_outside(step.source):
            made_by = f"; make it: {step.made_by}" if step.made_by else ""
            return "missing", f"the store has no model {step.source!r}{made_by}", _NOTHING
        return self._keep(step, [found] if found else []), None, _AT_ONCE

    def _perturb(self, step: Perturb) -> Look:
        estimate = Estimate(bytes=0) if step.variation == "paraphrase" else _AT_ONCE
        try:
            path = perturbed_path(self._store.root, self._recipe, step)
        except DataError:
            if step.needs:  # what is to be changed is still to be prepared
                return "to do", None, estimate
            raise
        if not path.is_file():
            return "to do", None, estimate
        self._perturbed[step] = path
        return "done", None, _NOTHING

    def _lists(self, step: ImportLists) -> Look:
        named = [one for one in self._store.artifacts("run") if one.name == lists_name(step)]
        path = Path(dataset_place(self._store.root, step.place))
        if not named and not step.needs and not path.is_file():
            return "missing", f"no file {step.place}", _NOTHING
        return self._keep(step, named), None, _AT_ONCE

    def _encode(self, step: Encode) -> Look:
        corpus = self._corpus(step)
        self._documents[step] = None if corpus is None else corpus.count
        limit = self._recipe.encoding.limit
        if limit is not None:
            self._documents[step] = min(limit, self._documents[step] or limit)
        count = self._documents[step]
        model = self._found.get(step.model)
        options = encode_options(self._recipe, self._device)
        if model is None or corpus is None:
            estimate = self._rates.encoding(model, count, count, storage=options.storage_dtype)
            return "to do", None, estimate
        plan = plan_encode(self._store, corpus, ModelSource(model.id), options)
        if plan.finished:
            return self._keep(step, [self._store.get(plan.embeddings)]), None, _NOTHING
        left = None if count is None else max(0, count - plan.shards_done * options.shard_rows)
        begun = f"{plan.shards_done} of {plan.n_shards} shards are there"
        estimate = self._rates.encoding(model, left, count, bytes_in_all=plan.bytes_on_disk)
        return "to do", begun if plan.shards_done else None, estimate

    def _corpus(self, step: Encode) -> Corpus | None:
        """The documents; None where they are still to be prepared."""
        try:
            return open_corpus(dataset_place(self._store.root, step.corpus))
        except DataError:
            if step.prepared:
                return None
            raise

    def _graph(self, step: BuildGraph) -> Look:
        embeddings = self._found.get(step.encode)
        graph, count = self._recipe.graph, self._documents.get(step.encode)
        there = None if embeddings is None else self._graph_of(embeddings)
        if there is not None:
            return self._keep(step, [there]), None, _NOTHING
        is_large = count is not None and count > AUTO_EXACT_DOCUMENTS
        if graph.builder == "auto" and is_large and installed_builder() is None:
            return "missing", _NO_BUILDER, _NOTHING
        return "to do", None, self._rates.graph(graph.k, count)

    def _graph_of(self, embeddings: Manifest) -> Manifest | None:
        graph = self._recipe.graph
        if graph.builder == "auto":
            return graph_there(self._store, embeddings, self._recipe)
        builder = recorded_builder(graph.builder)
        wanted = {"embeddings": embeddings.id, **graph.model_dump(), "builder": builder}
        return next(iter(self._store.find("graph", wanted)), None)

    def _search(self, step: Search) -> Look:
        queries = self._queries(step)
        model, embeddings = (self._found.get(one) for one in (step.encode.model, step.encode))
        estimate = self._rates.search(
            model,
            self._recipe.searches[step.search],
            n_queries=None if queries is None else queries.count,
            n_documents=self._documents.get(step.encode),
            k=self._recipe.k,
            plain=step.encode.model.pooling is not None,
        )
        known = {**self._found, **self._perturbed}
        ready = all(one in known for one in step.others if not isinstance(one, Prepare))
        if model is None or embeddings is None or queries is None or not ready:
            return "to do", None, estimate
        return self._keep(step, self._runs(step, model, embeddings, queries)), None, estimate

    def _queries(self, step: Search) -> _Queries | None:
        """What is known of a query set; None where it is still to be prepared.

        Where it is still to be changed, that is what is known of the queries as they are.
        """
        root = self._store.root
        source = query_source(self._recipe, step, root)
        if source is None:
            return None
        changed = next((path for one, path in self._perturbed.items() if one in step.others), None)
        if changed is None and isinstance(
            source, IrdsSource
        ):  # reading it could mean to download it
            return _Queries(source.id, None, IrdsDataset(source.name).stated_count("queries"))
        place = changed or dataset_place(root, dataset_of(self._recipe, step).queries)
        read = open_queries(place)
        return _Queries(read.id, read.fingerprint, len(read))

    def _runs(
        self, step: Search, model: Manifest, embeddings: Manifest, queries: _Queries
    ) -> list[Manifest]:
        """The runs that this search would make."""
        others = {type(one): self._found[one].id for one in step.others if one in self._found}
        options = search_options(
            self._recipe,
            step,
            embeddings=embeddings.id,
            graph=others.get(BuildGraph),
            lists=others.get(ImportLists),
            store_root=self._store.root,
            device=self._device,
        )
        asked = QuerySet(queries.id, (), queries.fingerprint or "")
        engine = plan_engine(self._store, model, embeddings, options)
        inputs = run_inputs(model, embeddings, asked, options, engine)
        keys = set(inputs)
        if queries.fingerprint is None:
            del inputs["queries_fingerprint"]
        return [run for run in self._store.find("run", inputs) if set(run.inputs) == keys]

    def _evaluate(self, step: Evaluate) -> State:
        run = self._found.get(step.search)
        if run is None:
            return "to do"
        options = evaluate_options(self._recipe, step.search, self._store.root)
        chosen = parse_measures(options.measures or ())
        wanted: dict[str, JsonValue] = {
            "qrels": _qrels_id(options.qrels or str(run.stats["qrels"])),
            "measures": [*sorted(str(measure) for measure in chosen)],
        }
        return self._keep(step, self._evaluations(run, wanted))

    def _compare(self, step: Compare) -> State:
        before, after = (self._found.get(one) for one in step.needs)
        if before is None or after is None:
            return "to do"
        sources = (
            _qrels_id(str(evaluate_options(self._recipe, one, self._store.root).qrels))
            for one in (step.original, step.changed)
        )
        wanted: dict[str, JsonValue] = {
            "original_run": before.id,
            "qrels": " -> ".join(sources),
            "measures": [P_MRR],
        }
        return self._keep(step, self._evaluations(after, wanted))

    def _evaluations(self, run: Manifest, wanted: Mapping[str, JsonValue]) -> list[Manifest]:
        """The evaluations of a run that were made of certain inputs."""
        there = self._store.evaluations(run.id)
        return [one for one in there if all(one.inputs.get(key) == wanted[key] for key in wanted)]


@dataclass(frozen=True, slots=True)
class _Queries:
    """A query set, of ir_datasets without having read it: then without a fingerprint."""

    id: str
    fingerprint: str | None
    count: int | None


def _qrels_id(qrels: str) -> str:
    source = resolve(qrels, what="qrels")
    return source.id if isinstance(source, IrdsSource) else read_qrels(qrels).id
