"""A replication: one table of a paper, as models, datasets, searches and measures to make it from.

The paper's figures stand in the same file, each with where it was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from hypencli.recipe.loading import find_recipe, load_section, recipes_folder
from hypencli.recipe.section import Pooling, Section

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$")]

Variation = Literal["misspelling", "word-drop", "ordering", "synonym", "paraphrase"]

EXACT = "exact"
"""The search that is there where a replication names none."""

MS_PER_QUERY = "ms/query"
"""Stands among the measures for the time of a search."""


class ReplicatedModel(Section):
    """A row of the table."""

    source: str = Field(description="a model of the store, a folder, or a name on the hub")
    instead: dict[Name, str] = Field(
        default_factory=dict,
        description="dataset -> the model in its place there, such as a fine-tuned one",
    )
    backbone: str | None = Field(
        None, description="backbone of a checkpoint that does not describe its own"
    )
    pooling: Pooling | None = Field(
        None, description="pooling of a plain encoder that does not record its own"
    )
    searches: tuple[str, ...] | None = Field(
        None, strict=False, description="which searches it is for; none: all of them"
    )
    made_by: dict[str, str] = Field(
        default_factory=dict, description="model -> the command that makes it in the store"
    )


class ReplicatedDataset(Section):
    """A query set with its judgements."""

    queries: str = Field(description="an ir_datasets id, a prepared dataset, or a file")
    corpus: str | None = Field(None, description="what is searched; none: the queries' own")
    qrels: str | None = Field(None, description="judgements; none: the queries' own")
    lists: str | None = Field(
        None, description="a run file: only its documents are ranked, for each query"
    )
    prepare: str | None = Field(None, description="what hype data prepare makes for it")
    made_by: str | None = Field(None, description="the command that makes the query file")
    measures: tuple[str, ...] | None = Field(
        None, min_length=1, strict=False, description="in place of the table's measures"
    )
    query_max_length: int | None = Field(
        None, ge=2, description="tokens a query is cut to, in place of the table's"
    )
    exclude_same_id: bool = Field(False, description="leave out the document with the query's id")
    perturb: Variation | None = Field(
        None, description="the queries are changed first, as hype perturb does"
    )
    loss_against: str | None = Field(
        None, description="show what is lost against this dataset or pool, in percent"
    )
    changed_queries: str | None = Field(
        None, description="the queries with changed instructions: p-MRR is shown too"
    )
    changed_qrels: str | None = Field(None, description="judgements of changed_queries")

    @model_validator(mode="after")
    def _changed_queries_have_judgements(self) -> ReplicatedDataset:
        if self.perturb is not None and self.qrels is None:
            raise ValueError("perturb needs qrels: queries that were changed bring none")
        changed = (self.changed_queries, self.changed_qrels)
        if changed == (None, None):
            return self
        if None in changed or self.qrels is None:
            raise ValueError("p-MRR needs changed_queries, changed_qrels and qrels")
        if self.perturb is not None:
            raise ValueError("perturb and changed_queries exclude each other")
        return self

    def with_changed_instructions(self) -> ReplicatedDataset:
        """The dataset as it is asked for p-MRR a second time."""
        changed = {"queries": self.changed_queries, "qrels": self.changed_qrels}
        gone = {"changed_queries": None, "changed_qrels": None}
        corpus = self.corpus or self.queries
        return self.model_copy(update={**changed, **gone, "corpus": corpus})


class Pool(Section):
    """Several datasets as one: each of their judged queries counts once."""

    datasets: tuple[str, ...] = Field(min_length=2, strict=False, description="which ones")
    loss_against: str | None = Field(
        None, description="show what is lost against this dataset or pool, in percent"
    )


class ReplicatedSearch(Section):
    """A way to search: an engine, and whatever options it has beside it (``hype engines``)."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field("exact", description="how it searches; every other key is its option")

    @property
    def options(self) -> dict[str, str | int | float | bool]:
        """The options of the engine, by name."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _options_are_plain_values(self) -> ReplicatedSearch:
        for name, value in self.options.items():
            if not isinstance(value, str | int | float | bool):
                raise ValueError(f"{name} is no text, number, true or false")
        return self


class EncodingSection(Section):
    """How documents are encoded; the defaults are those of ``hype encode``."""

    max_length: int = Field(512, ge=2, description="tokens a document is cut to")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="arithmetic of the encoder"
    )
    storage_dtype: Literal["float16", "float32"] = Field("float16", description="vectors on disk")
    keep_text: bool = Field(True, description="keep the documents' text, to show results")
    limit: int | None = Field(None, ge=1, description="only the first so many documents: a trial")


class GraphSection(Section):
    """How neighbour graphs are made."""

    k: int = Field(100, ge=1, description="neighbours of a document")
    metric: Literal["l2", "ip", "cos"] = Field("l2", description="what is near")
    builder: Literal["auto", "exact", "nn-descent", "hnsw"] = Field(
        "auto", description="auto takes a graph that is there, and exact up to 100,000 documents"
    )


class PerturbSection(Section):
    """How queries are changed; the defaults are those of ``hype perturb``."""

    seed: int = Field(0, ge=0, description="another one gives other variants")
    changes: int = Field(1, ge=1, description="words that are changed in each query")
    words: str | None = Field(None, description="synonym: a file of words and their synonyms")
    model: str | None = Field(
        None, description="paraphrase: a sequence-to-sequence model, a folder or a name on the hub"
    )
    prefix: str = Field("", description="paraphrase: what the model reads before each query")

    def lacks(self, variation: Variation) -> str | None:
        """What a kind of variation needs and has not been given."""
        if variation == "synonym" and self.words is None:
            return "synonyms come from a word list of yours: --set perturb.words=FILE"
        if variation == "paraphrase" and self.model is None:
            return "paraphrases come from a model of yours: --set perturb.model=FOLDER_OR_HUB_NAME"
        return None


class PublishedFigures(Section):
    """What a paper says of one model on one dataset."""

    model: str = Field(description="a model of the table, or another one of the paper")
    dataset: str = Field(description="a dataset or pool of the table")
    search: str = Field(EXACT, description="a search of the table")
    values: dict[str, float] = Field(min_length=1, description="measure -> figure")
    source: str | None = Field(None, description="where it stands; none: as the others")


class PublishedSection(Section):
    """What a paper says."""

    source: str = Field(min_length=1, description="where the figures stand")
    decimals: int = Field(3, ge=0, description="to how many places they were printed")
    tolerance: float = Field(0.01, ge=0, description="a larger difference is marked")
    figures: tuple[PublishedFigures, ...] = Field(
        min_length=1, strict=False, description="the figures"
    )


class Replication(Section):
    """One table."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="short name; by default the file's"
    )
    description: str = Field("", description="what the table shows, in a line")
    models: dict[Name, ReplicatedModel] = Field(min_length=1, description="rows")
    datasets: dict[Name, ReplicatedDataset] = Field(min_length=1, description="query sets")
    pools: dict[Name, Pool] = Field(
        default_factory=dict, description="several query sets taken as one"
    )
    searches: dict[Name, ReplicatedSearch] = Field(
        default_factory=lambda: {EXACT: ReplicatedSearch()}, description="ways to search"
    )
    encoding: EncodingSection = Field(
        default_factory=lambda: EncodingSection(), description="how documents are encoded"
    )
    graph: GraphSection = Field(
        default_factory=lambda: GraphSection(), description="neighbour graphs, where searched"
    )
    perturb: PerturbSection = Field(
        default_factory=lambda: PerturbSection(), description="changed queries, where there are any"
    )
    measures: tuple[str, ...] = Field(
        min_length=1, strict=False, description="by ir_measures names"
    )
    k: int = Field(1000, ge=1, description="documents a query gets")
    query_max_length: int = Field(64, ge=2, description="tokens a query is cut to")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="arithmetic of scores")
    published: PublishedSection | None = Field(None, description="the paper's figures")

    @model_validator(mode="after")
    def _names_exist(self) -> Replication:
        shown = {**self.datasets, **self.pools}
        if len(shown) < len(self.datasets) + len(self.pools):
            raise ValueError("a pool has the name of a dataset")
        for name, pool in self.pools.items():
            _require(f"pools.{name}.datasets", pool.datasets, self.datasets)
        for name in shown:
            _require(f"{name}.loss_against", [self.base_of(name) or name], shown)
            if self.base_of(name) == name:
                raise ValueError(f"{name}.loss_against names itself")
        for name, model in self.models.items():
            _require(f"models.{name}.searches", model.searches or (), self.searches)
            _require(f"models.{name}.instead", model.instead, self.datasets)
        for figures in () if self.published is None else self.published.figures:
            _require("published.figures: dataset", [figures.dataset], shown)
            _require("published.figures: search", [figures.search], self.searches)
        return self

    def source_of(self, model: str, dataset: str) -> str:
        """The model that stands in a row of the table for a dataset."""
        row = self.models[model]
        return row.instead.get(dataset, row.source)

    def base_of(self, shown: str) -> str | None:
        """What a dataset or pool shows the loss against; None where it shows its own figures."""
        if shown in self.pools:
            return self.pools[shown].loss_against
        return self.datasets[shown].loss_against

    def members_of(self, shown: str) -> tuple[str, ...]:
        """The datasets of a pool; a dataset is its own."""
        return self.pools[shown].datasets if shown in self.pools else (shown,)

    def measures_of(self, dataset: str) -> tuple[str, ...]:
        """What a dataset is measured with."""
        return self.datasets[dataset].measures or self.measures


def _require(where: str, asked: Sequence[str] | dict[str, str], allowed: object) -> None:
    names = set(allowed) if isinstance(allowed, dict) else set()
    for name in asked:
        if name not in names:
            listed = ", ".join(sorted(names))
            raise ValueError(f"{where}: there is no {name!r}; there are {listed}")


@dataclass(frozen=True)
class ReplicationSummary:
    """One shipped replication."""

    name: str
    path: Path
    description: str


def replications_folder() -> Path:
    """The folder of shipped replications, below that of the recipes."""
    return recipes_folder() / "replicate"


def list_replications() -> list[ReplicationSummary]:
    """The shipped replications, by name.

    Raises:
        RecipeError: One of them cannot be read.
    """
    paths = sorted(replications_folder().glob("*.toml"))
    return [
        ReplicationSummary(path.stem, path, load_replication(path).description) for path in paths
    ]


def load_replication(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Replication:
    """Read a replication, join what it extends, apply overrides, and check all of it.

    Args:
        name_or_path: Name of a shipped replication, or the path of a TOML file.
        overrides: ``key.path=value`` each, such as ``models.hypencoder.source=mine``.

    Raises:
        RecipeError: Not found, not TOML, an unknown key, a value out of bounds, or a name that
            stands for nothing; says which file or override it came from.
    """
    folder = replications_folder()
    path = find_recipe(name_or_path, folder=folder)
    return load_section(Replication, path, overrides, folder=folder)
