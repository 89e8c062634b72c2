"""A replication: the models, datasets, searches and measures of one table of a paper.

The file also holds the published figures, each with its source.
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
"""Name of the only search of a replication that defines none."""

MS_PER_QUERY = "ms/query"
"""Name of the time of a search among the measures."""


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
        None, strict=False, description="which searches it is for; none: all that need a model"
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
        """Return the dataset with changed queries and judgements, for the second run of p-MRR."""
        changed = {"queries": self.changed_queries, "qrels": self.changed_qrels}
        gone = {"changed_queries": None, "changed_qrels": None}
        corpus = self.corpus or self.queries
        return self.model_copy(update={**changed, **gone, "corpus": corpus})


class Pool(Section):
    """Several datasets as one, in which all judged queries have equal weights."""

    datasets: tuple[str, ...] = Field(min_length=2, strict=False, description="which ones")
    loss_against: str | None = Field(
        None, description="show what is lost against this dataset or pool, in percent"
    )


class ReplicatedSearch(Section):
    """A kind of search: an engine with any of its options (see ``hype engines``)."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field("exact", description="how it searches; every other key is its option")

    @property
    def options(self) -> dict[str, str | int | float | bool]:
        """Options of the engine by name."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _options_are_plain_values(self) -> ReplicatedSearch:
        for name, value in self.options.items():
            if not isinstance(value, str | int | float | bool):
                raise ValueError(f"{name} is no text, number, true or false")
        return self


class EncodingSection(Section):
    """Options for encoding documents; the defaults are those of ``hype encode``.

    But ``dtype`` is float32, since figures are compared with published ones.
    """

    max_length: int = Field(512, ge=2, description="tokens a document is cut to")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="arithmetic of the encoder"
    )
    storage_dtype: Literal["float16", "float32"] = Field("float16", description="vectors on disk")
    keep_text: bool = Field(True, description="keep the documents' text, to show results")
    limit: int | None = Field(None, ge=1, description="only the first so many documents: a trial")


class GraphSection(Section):
    """Options of neighbour graphs."""

    k: int = Field(100, ge=1, description="neighbours of a document")
    metric: Literal["l2", "ip", "cos"] = Field("l2", description="what is near")
    builder: Literal["auto", "exact", "nn-descent", "hnsw"] = Field(
        "auto", description="auto takes a graph that is there, and exact up to 100,000 documents"
    )


class PerturbSection(Section):
    """Options for perturbing queries; the defaults are those of ``hype perturb``."""

    seed: int = Field(0, ge=0, description="another one gives other variants")
    changes: int = Field(1, ge=1, description="words that are changed in each query")
    words: str | None = Field(None, description="synonym: a file of words and their synonyms")
    model: str | None = Field(
        None, description="paraphrase: a sequence-to-sequence model, a folder or a name on the hub"
    )
    prefix: str = Field("", description="paraphrase: what the model reads before each query")

    def lacks(self, variation: Variation) -> str | None:
        """Describe the missing input of a kind of variation; None if nothing is missing."""
        if variation == "synonym" and self.words is None:
            return "synonyms come from a word list of yours: --set perturb.words=FILE"
        if variation == "paraphrase" and self.model is None:
            return "paraphrases come from a model of yours: --set perturb.model=FOLDER_OR_HUB_NAME"
        return None


class PublishedFigures(Section):
    """Published figures of one model on one dataset."""

    model: str = Field(description="a model of the table, or another one of the paper")
    dataset: str = Field(description="a dataset or pool of the table")
    search: str = Field(EXACT, description="a search of the table")
    values: dict[str, float] = Field(min_length=1, description="measure -> figure")
    source: str | None = Field(None, description="where it stands; none: as the others")


class PublishedSection(Section):
    """Figures that a paper published."""

    source: str = Field(min_length=1, description="where the figures stand")
    decimals: int = Field(3, ge=0, description="to how many places they were printed")
    tolerance: float = Field(0.01, ge=0, description="a larger difference is marked")
    figures: tuple[PublishedFigures, ...] = Field(
        min_length=1, strict=False, description="the figures"
    )


class Replication(Section):
    """A replication of one table."""

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
        """Return the model in a row of the table for a dataset."""
        row = self.models[model]
        return row.instead.get(dataset, row.source)

    def base_of(self, shown: str) -> str | None:
        """Return the base of the loss of a dataset or pool; None if it shows no loss."""
        if shown in self.pools:
            return self.pools[shown].loss_against
        return self.datasets[shown].loss_against

    def members_of(self, shown: str) -> tuple[str, ...]:
        """Return the datasets of a pool; for a dataset, the dataset itself."""
        return self.pools[shown].datasets if shown in self.pools else (shown,)

    def measures_of(self, dataset: str) -> tuple[str, ...]:
        """Return the measures of a dataset."""
        return self.datasets[dataset].measures or self.measures


def _require(where: str, asked: Sequence[str] | dict[str, str], allowed: object) -> None:
    names = set(allowed) if isinstance(allowed, dict) else set()
    for name in asked:
        if name not in names:
            listed = ", ".join(sorted(names))
            raise ValueError(f"{where}: there is no {name!r}; there are {listed}")


@dataclass(frozen=True)
class ReplicationSummary:
    """Summary of a shipped replication."""

    name: str
    path: Path
    description: str


def replications_folder() -> Path:
    """Return the folder of shipped replications, below that of the recipes."""
    return recipes_folder() / "replicate"


def list_replications() -> list[ReplicationSummary]:
    """List the shipped replications by name.

    Raises:
        RecipeError: A replication cannot be read.
    """
    paths = sorted(replications_folder().glob("*.toml"))
    return [
        ReplicationSummary(path.stem, path, load_replication(path).description) for path in paths
    ]


def load_replication(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Replication:
    """Load a replication: join what it extends, apply overrides, and validate the result.

    Args:
        name_or_path: Name of a shipped replication, or path of a TOML file.
        overrides: Overrides ``key.path=value``, such as ``models.hypencoder.source=mine``.

    Raises:
        RecipeError: The replication does not exist, is not TOML, has an unknown key, has a value
            out of bounds, or refers to an undefined name. The message names the file or override.
    """
    folder = replications_folder()
    path = find_recipe(name_or_path, folder=folder)
    return load_section(Replication, path, overrides, folder=folder)
