"""A project store as an object with the verbs of ``hype`` as methods.

Every method calls the function that the verb calls, with the defaults of the verb. It returns the
record that the verb prints with ``--json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hypencli.api.arguments import flag, is_unicode, make_options, name_list, optional_text
from hypencli.api.references import ModelLike, name_of, take_model
from hypencli.api.search_options import search_options
from hypencli.errors import UsageError
from hypencli.ops.dataset_names import dataset_place
from hypencli.tabular import NotebookRecord, Records, Row, Tables, Tabular

if TYPE_CHECKING:
    import pyarrow as pa

    from hypencli.answers import Answer
    from hypencli.data.corpus import Corpus
    from hypencli.data.queries import QuerySet
    from hypencli.ops.encode import Encoded
    from hypencli.ops.evaluation.compare import Comparison
    from hypencli.ops.evaluation.leaderboard import LeaderboardTable
    from hypencli.ops.evaluation.run import Evaluated
    from hypencli.ops.graphs.build import BuiltGraph
    from hypencli.ops.project import Listed
    from hypencli.ops.search.ask import Asker, TextAsker
    from hypencli.ops.search.options import Searched
    from hypencli.ops.training.run import TrainedModel
    from hypencli.recipe import Recipe
    from hypestore import Kind, Store

Texts: TypeAlias = str | Path | Mapping[str, str] | Iterable[str]
"""An ir_datasets id, a prepared dataset, a file or folder; or id -> text; or texts, which get the
ids 1, 2, …."""
Reference: TypeAlias = str | NotebookRecord | Tabular
"""An artifact: its name, its id, the beginning of its id, or the record that created it."""

_READING = ("id_key", "text_key")
_OF_QUERY_SETS = (
    "again",
    "batch_queries",
    "check",
    "exclude_same_id",
    "measures",
    "name",
    "qrels",
    "rerank",
)


@dataclass(frozen=True, slots=True)
class RunResults(Tabular):
    """Rankings of a run.

    Attributes:
        run: Name of the run, else its id.
        table: ``query_id, doc_id, rank, score``, ordered by query and rank.
    """

    run: str
    table: pa.Table

    def to_arrow(self) -> pa.Table:
        """Return the rankings as ``pyarrow.Table``, in the stored form."""
        return self.table

    def _grid(self) -> tuple[Sequence[str], Sequence[Row]]:
        columns = [column.to_pylist() for column in self.table.columns]
        return self.table.column_names, list(zip(*columns, strict=True))

    def _title(self) -> str:
        return self.run


class Project:
    """A project store with the operations of ``hype``.

    Attributes:
        store: The storage layer's object, for everything that is not here.

    Examples:
        The store ``study`` has the models ``hyper`` and ``plain``, and an evaluated run of each.

        >>> import hypencli
        >>> project = hypencli.open_store("study")
        >>> encoded = project.encode("docs.jsonl", model="hyper")
        >>> encoded.n_documents
        120
        >>> searched = {"model": "hyper", "embeddings": encoded}
        >>> run = project.search("queries.jsonl", k=20, qrels="qrels.txt", **searched)
        >>> run.n_queries
        12
        >>> project.compare("plain-run", run, measures=["nDCG@10"]).to_arrow().column_names[:4]
        ['measure', 'mean_a', 'mean_b', 'difference']
        >>> [hit.rank for hit in project.query("what is a river", k=2, **searched).hits]
        [1, 2]
        >>> project.sql("SELECT count(*) AS models FROM models").to_dicts()
        [{'models': 2}]
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._askers: dict[object, Asker | TextAsker] = {}

    def train(
        self,
        recipe: str | Path | Recipe,
        *,
        settings: Mapping[str, object] | None = None,
        name: str | None = None,
        restart: bool = False,
        device: str | None = None,
    ) -> TrainedModel | None:
        """Train a model by a recipe, as ``hype train`` does. Equal inputs are trained only once.

        Args:
            recipe: Name of a shipped recipe, a TOML file, or a loaded recipe.
            settings: Values to change, such as ``{"training.steps": 100}``.
            name: Name of the model, unique in the store.
            restart: Start again instead of continuing an interrupted training from its checkpoint.
            device: ``cpu``, ``cuda``, …; None selects the default of the store, else the best
                available device.

        Returns:
            The trained model; None in all processes of a launcher except the first.

        Raises:
            RecipeError: The recipe cannot be read, or lacks its backbone or data.
            DataError: The data cannot be used for training.
            ModelError: The backbone cannot be used, or training diverged.
            StoreError: The model cannot be written, or the name is taken.
        """
        from hypencli.ops.training.run import train

        return train(
            self.store,
            _recipe(recipe, settings or {}),
            name=optional_text(name, "name"),
            device=self._device(optional_text(device, "device")),
            restart=flag(restart, "restart"),
        )

    def encode(
        self, dataset: Texts, *, model: ModelLike = None, name: str | None = None, **options: Any
    ) -> Encoded:
        """Encode a corpus into the store, as ``hype encode`` does. Existing vectors are kept.

        Args:
            dataset: An ir_datasets id, a prepared dataset, a JSONL, TSV or CSV file, a BEIR folder;
                or a mapping of document ids to texts, or texts, in memory.
            model: A model of the store, a folder, a name on the hub, or the result of ``train``;
                None selects the default of the store, else its newest model.
            name: Name of the embedding set.
            **options: Fields of :class:`hypencli.ops.encode.EncodeOptions`, such as ``max_length``,
                ``dtype`` and ``limit``; for files ``id_key``, ``text_key`` and ``on_error="skip"``;
                for models from outside the store ``backbone``, ``pooling`` and ``trust_code``.

        Raises:
            UsageError: An option does not exist, or has a wrong value.
            DataError: The corpus cannot be read.
            ModelError: The model cannot be loaded.
            StoreError: Another process creates the same set, or the disk is full.
        """
        from hypencli.ops.encode import EncodeOptions, encode

        reading = _reading(options, (*_READING, "on_error"))
        source = take_model(model, options)
        settings = {**options, "name": name, "device": self._device(options.get("device"))}
        wanted = make_options(EncodeOptions, settings, "encode")
        return encode(self.store, self._corpus(dataset, reading), source, wanted)

    def graph(
        self,
        embeddings: Reference | None = None,
        *,
        model: ModelLike = None,
        corpus: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> BuiltGraph:
        """Find the nearest neighbours of every document, as ``hype graph`` does.

        Args:
            embeddings: The embedding set; None selects the only one that fits.
            model: The model of the embedding set; None accepts any model.
            corpus: Corpus id, if the store has several encoded corpora.
            name: Name of the graph.
            **options: Fields of :class:`hypencli.ops.graphs.options.GraphOptions`, such as ``k``,
                ``metric`` and ``builder``.

        Raises:
            UsageError: No embedding set fits, or several do; or an option is wrong.
            MissingDependencyError: The package of the builder is not installed.
        """
        from hypencli.ops.graphs.build import build_graph
        from hypencli.ops.graphs.options import GraphOptions
        from hypencli.ops.select import choose_any_embeddings

        source = None if model is None else take_model(model, options)
        settings = {**options, "name": name, "device": self._device(options.get("device"))}
        wanted = make_options(GraphOptions, settings, "graph")
        named = None if embeddings is None else name_of(embeddings, "embeddings")
        chosen = choose_any_embeddings(self.store, named=named, model=source, corpus=corpus)
        return build_graph(self.store, chosen, wanted)

    def search(
        self,
        queries: Texts | None = None,
        *,
        engine: str | None = None,
        k: int = 1000,
        model: ModelLike = None,
        name: str | None = None,
        qrels: str | Path | None = None,
        **options: Any,
    ) -> Searched:
        """Search a query set and store the run, as ``hype search`` does.

        Args:
            queries: An ir_datasets id, a prepared dataset, a JSONL, TSV or CSV file; or a mapping
                of query ids to texts, or texts, in memory. None selects the default of the store,
                else the queries of the encoded dataset.
            engine: Name of an engine; None selects ``rerank`` or ``guided`` if the option
                ``rerank`` or ``recall`` is set, else ``exact``.
            k: Number of documents per query.
            model: The model that encodes the queries; see :meth:`encode`.
            name: Name of the run.
            qrels: Judgements for an evaluation; None selects those of the query set, if any.
            **options: ``embeddings``, ``corpus``, ``graph``, ``rerank``, ``check``, ``again``,
                ``recall``, ``measures``, ``width``, ``dtype``, ``device``; options of the engine,
                such as ``budget`` or ``entry_points``; and the options of :meth:`encode` for files
                and models.

        Raises:
            UsageError: No embedding set fits, or several do; the engine does not support the model;
                or an option is wrong.
            DataError: The queries cannot be read.
            ModelError: The model cannot be loaded, or has no q-nets of this width.
        """
        from hypencli.ops.search.run import search

        reading = _reading(options, _READING)
        source = take_model(model, options)
        settings = {**options, "k": k, "name": name, "device": self._device(options.get("device"))}
        settings["qrels"] = None if qrels is None else self._place(qrels, "qrels")
        wanted = search_options(self.store, engine, settings)
        return search(
            self.store, self._queries(queries, reading, judged_by=settings["qrels"]), source, wanted
        )

    def query(
        self,
        text: str,
        *,
        k: int = 10,
        engine: str | None = None,
        model: ModelLike = None,
        **options: Any,
    ) -> Answer:
        """Return the ``k`` best documents for a question, with their texts if they are stored.

        The first call loads the model. Later questions with the same options use the loaded model.

        Args:
            text: The question.
            k: Number of documents.
            engine: Name of an engine; None selects ``exact``.
            model: The model that encodes the question; see :meth:`encode`.
            **options: The options of :meth:`search`, except those for query sets.

        Raises:
            UsageError: No embedding set fits the model, or several do; or an option is wrong.
            DataError: The question is empty.
            ModelError: The model has no q-nets of this width.
        """
        return self.ask_many([text], k=k, engine=engine, model=model, **options)[0]

    def ask_many(
        self,
        texts: Sequence[str],
        *,
        k: int = 10,
        engine: str | None = None,
        model: ModelLike = None,
        **options: Any,
    ) -> list[Answer]:
        """Answer several questions at once. Nothing is stored.

        The questions share a pass over the corpus. Each gets the answer that :meth:`query` gives.

        Args:
            texts: The questions; at least one.
            k: Number of documents for each question.
            engine: Name of an engine; None selects ``exact``.
            model: The model that encodes the questions; see :meth:`encode`.
            **options: Those of :meth:`query`.

        Raises:
            UsageError: There is no question, no embedding set fits the model, or several do; or an
                option is wrong.
            DataError: A question is empty.
            ModelError: The model has no q-nets of this width.
        """
        from hypencli.ops.models import find_model
        from hypencli.ops.search.ask import open_asker
        from hypencli.ops.search.text_search import is_text_engine

        if not isinstance(texts, list | tuple) or not texts:
            raise UsageError(
                f"A list of questions was expected, not {texts!r:.80}.", hint="For one: query(text)"
            )
        for name in _OF_QUERY_SETS:
            if name in options:
                raise UsageError(f"query has no option {name!r}: it is for query sets.")
        source = take_model(model, options)
        settings = {**options, "k": k, "device": self._device(options.get("device"))}
        wanted = search_options(self.store, engine, settings)
        # Without a name, the newest model is used, which a training changes.
        newest = None
        if source.name is None and not is_text_engine(wanted.engine):
            newest = find_model(self.store, source).id
        any_k = replace(wanted, k=1) if wanted.engine.name == "exact" else wanted
        key = (source, newest, repr(any_k))
        if key not in self._askers:
            self._askers[key] = open_asker(self.store, source, wanted)
        return self._askers[key].ask_many(texts, k=wanted.k)

    def evaluate(
        self,
        run: Reference,
        qrels: str | Path | None = None,
        *,
        measures: Sequence[str] | None = None,
    ) -> Evaluated:
        """Evaluate a run against judgements, as ``hype eval`` does.

        Args:
            run: The run.
            qrels: An ir_datasets id, a prepared dataset, or a file of judgements; None selects
                those of the run's query set.
            measures: Names of ir_measures; None selects the default set of the publication.

        Raises:
            UsageError: No judgements are named and the run's query set has none, or a measure is
                unknown.
            DataError: The judgements cannot be read.
        """
        from hypencli.ops.evaluation.run import EvaluateOptions, evaluate

        options = EvaluateOptions(
            qrels=None if qrels is None else self._place(qrels, "qrels"),
            measures=None if measures is None else name_list(measures, "measures"),
        )
        return evaluate(self.store, name_of(run, "run"), options)

    def compare(
        self,
        a: Reference,
        b: Reference,
        *,
        measures: Sequence[str] = (),
        qrels: str | None = None,
    ) -> Comparison:
        """Compare two runs by paired tests, one row per measure, as ``hype compare`` does.

        Args:
            a: The first run.
            b: The second run. Differences are ``b`` minus ``a``.
            measures: Measures to compare; empty selects all that both runs have.
            qrels: Id of the judgements, if both runs were evaluated with several.

        Raises:
            UsageError: The runs were not evaluated with the same judgements.
        """
        from hypencli.ops.evaluation.compare import compare

        return compare(
            self.store,
            name_of(a, "run"),
            name_of(b, "run"),
            measures=name_list(measures, "measures"),
            qrels=qrels,
        )

    def leaderboard(self, *, measures: Sequence[str] = ()) -> Tables[LeaderboardTable]:
        """Return one table per set of judgements, with one row per run, best first.

        ``hype report`` shows these tables.

        Args:
            measures: Measures to show, of which the first one determines the order; empty shows
                all.
        """
        from hypencli.ops.evaluation.leaderboard import leaderboard

        return Tables(leaderboard(self.store, measures=name_list(measures, "measures")))

    def sql(self, statement: str) -> LeaderboardTable:
        """Return the result of a read-only query of the catalog, as ``hype report --sql`` does.

        Repeated column names get numbers: ``name``, ``name_1``.

        Raises:
            CatalogQueryError: The query is not valid, changes the catalog, reads anything else, or
                has a too large result.
        """
        from hypencli.ops.evaluation.leaderboard import sql

        if not isinstance(statement, str):
            raise UsageError(f"A query in SQL was expected, not {statement!r:.80}.")
        if not is_unicode(statement):
            raise UsageError(f"The query is not Unicode text: {statement!r:.80}.")
        return sql(self.store, statement)

    def results(self, run: Reference) -> RunResults:
        """Read the rankings of a run: query, document, rank and score.

        Raises:
            ArtifactNotFound: The run does not exist.
            DamagedArtifact: The content of its file has changed.
        """
        stored = self.store.run(name_of(run, "run"))
        return RunResults(stored.manifest.name or stored.manifest.id, stored.table())

    def runs(self) -> Records[Listed]:
        """List the runs, oldest first, as ``hype ls runs`` does."""
        return self._listing("run")

    def models(self) -> Records[Listed]:
        """List the models, oldest first, then those in training, as ``hype ls models`` does."""
        return self._listing("model")

    def embeddings(self) -> Records[Listed]:
        """List the embedding sets, oldest first, as ``hype ls embeddings`` does."""
        return self._listing("embeddings")

    def _listing(self, kind: Kind) -> Records[Listed]:
        from hypencli.ops.project import listing

        return Records(listing(self.store, kind))

    def _repr_html_(self) -> str:
        """Return a list of all artifacts of the store as HTML."""
        from hypencli.ops.project import listing

        return Records(listing(self.store))._repr_html_()

    def __repr__(self) -> str:
        return f"Project({str(self.store.root)!r})"

    def _device(self, device: str | None) -> str | None:
        return device or self.store.defaults.get("device")

    def _place(self, source: object, what: str) -> str:
        """Resolve the name of a dataset; a prepared dataset of the store becomes its path."""
        if not isinstance(source, str | Path):
            raise UsageError(f"{what}: a file or the name of a dataset, not {source!r:.80}.")
        return dataset_place(self.store.root, str(source))

    def _corpus(self, dataset: Texts, reading: Mapping[str, Any]) -> Corpus:
        from hypencli.data.corpus import open_corpus
        from hypencli.data.in_memory import memory_corpus

        if isinstance(dataset, str | Path):
            return open_corpus(self._place(dataset, "dataset"), **reading)
        _refuse_reading(reading, "the dataset")
        return memory_corpus(_texts(dataset, "dataset"))

    def _queries(
        self,
        queries: Texts | None,
        reading: Mapping[str, Any],
        *,
        judged_by: str | Path | None = None,
    ) -> QuerySet | None:
        from hypencli.data.in_memory import memory_queries
        from hypencli.data.queries import open_queries
        from hypencli.ops.recorded_places import default_queries

        source = default_queries(self.store) if queries is None else queries
        if source is None:
            return None
        if isinstance(source, str | Path):
            return open_queries(self._place(source, "queries"), judged_by=judged_by, **reading)
        _refuse_reading(reading, "the query set")
        return memory_queries(_texts(source, "queries"))


def _reading(options: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Remove the options for reading files, check them, and return them.

    Raises:
        UsageError: A value is not a text, or not one of the values of ``on_error``.
    """
    reading = {name: options.pop(name) for name in names if name in options}
    for name, value in reading.items():
        text = optional_text(value, name)
        if name == "on_error" and text not in ("stop", "skip"):
            raise UsageError(f"on_error must be 'stop' or 'skip', not {value!r:.80}.")
    return reading


def _refuse_reading(reading: Mapping[str, Any], what: str) -> None:
    if reading:
        raise UsageError(f"{next(iter(reading))} is for files; {what} is in memory.")


def _texts(
    source: Mapping[str, str] | Iterable[str], what: str
) -> Mapping[str, str] | Iterable[str]:
    if isinstance(source, Mapping) or (
        isinstance(source, Iterable) and not isinstance(source, bytes | Set)
    ):
        return source
    raise UsageError(
        f"{what}: a name, a file, a dictionary or a list of texts, not {source!r:.80}."
    )


def _recipe(recipe: str | Path | Recipe, settings: Mapping[str, object]) -> Recipe:
    from hypencli.recipe import Recipe as LoadedRecipe
    from hypencli.recipe import load_recipe
    from hypencli.recipe.rendering import toml_value

    if not isinstance(settings, Mapping):
        raise UsageError(
            f"settings: a dictionary was expected, not {settings!r:.80}.",
            hint='settings={"training.steps": 100}',
        )
    if isinstance(recipe, LoadedRecipe):
        if settings:
            raise UsageError("settings are for recipes by name or file; this one is loaded.")
        return recipe
    if not isinstance(recipe, str | Path):
        raise UsageError(f"recipe: a name, a TOML file or a recipe, not {recipe!r:.80}.")
    values = {key: str(item) if isinstance(item, Path) else item for key, item in settings.items()}
    return load_recipe(recipe, [f"{key}={toml_value(item)}" for key, item in values.items()])


def open_store(path: str | Path | None = None, *, create: bool = False) -> Project:
    """Open a project store.

    Args:
        path: Folder of the store; None searches the current folder and its parents, as git does.
        create: Create the store if ``path`` has none.

    Raises:
        StoreNotFound: There is no store; the message lists the searched folders.
        UsageError: ``create`` is set without a path.
    """
    from hypestore import Store, StoreNotFound, find_store

    flag(create, "create")
    if path is None:
        if create:
            raise UsageError(
                "Where is the store to be made?", hint='open_store("study", create=True)'
            )
        return Project(Store.open(find_store()))
    if not isinstance(path, str | Path):
        raise UsageError(f"path: a folder was expected, not {path!r:.80}.")
    try:
        return Project(Store.open(Path(path)))
    except StoreNotFound:
        if not create:
            raise
        return Project(Store.create(Path(path)))
