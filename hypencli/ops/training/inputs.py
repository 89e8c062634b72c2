"""Inputs of a training: the models and data of a recipe, with their fingerprints."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.errors import DataError, ModelError, RecipeError, UsageError
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.model_files import files_fingerprint
from hypencli.ops.models import model_folder
from hypencli.paths import is_dir, user_path
from hypencli.recipe import Recipe
from hypestore import ArtifactNotFound, JsonValue, Store

if TYPE_CHECKING:
    from hypencli.data.corpus import Corpus
    from hypencli.data.training import TrainingSource
    from hypencli.training import HeldOutRows, JudgedCorpus, TrainingData


@dataclass(frozen=True, slots=True)
class Start:
    """A model that initialises a training, or a part of it.

    Attributes:
        source: Folder or hub name.
        label: Hub name, name of the folder, or id of a model of the store.
        fingerprint: SHA-256 of the weights, the tokenizer, and the sentence-transformers settings.
        parents: Id of the model, if it is one of the store.
    """

    source: str
    label: str
    fingerprint: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of a training.

    Attributes:
        recipe: The recipe.
        start: The backbone, or the trained model to continue from.
        hyper_head: Model whose hyper-head initialises the new one, if any.
        rows: The training rows.
        pool: Corpus of random negatives; None draws them from the passages of the rows.
        validation: Data of the validation, if any.
    """

    recipe: Recipe
    start: Start
    hyper_head: Start | None
    rows: TrainingSource
    pool: Corpus | None
    validation: HeldOutRows | JudgedCorpus | None

    def refuse_changed_models(self) -> None:
        """Refuse models whose files changed since their fingerprints were taken.

        Call it after the models were loaded: what was read is then what the fingerprints say.

        Raises:
            ModelError: A file has changed.
        """
        for start in (self.start, self.hyper_head):
            if start is not None and start_fingerprint(start.source) != start.fingerprint:
                raise ModelError(
                    f"The files of the model {start.source} changed while they were read.",
                    hint="Run the same command again when nothing writes to them.",
                )

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the store's models among the inputs."""
        return self.start.parents + (self.hyper_head.parents if self.hyper_head else ())

    def identity(self) -> dict[str, JsonValue]:
        """Inputs that determine the id of the model: fingerprints and readable names."""
        recipe, start = self.recipe, self.start
        role = "backbone" if recipe.model.initial is None else "initial"
        inputs: dict[str, JsonValue] = {
            "architecture": recipe.model.architecture,
            "recipe": recipe.name,
            "recipe_hash": recipe.hash,
            "data": self.rows.name,
            "data_fingerprint": self.rows.fingerprint,
            role: start.label,
            f"{role}_fingerprint": start.fingerprint,
            "seed": recipe.training.seed,
        }
        if self.hyper_head is not None:
            inputs["hyper_head"] = self.hyper_head.label
            inputs["hyper_head_fingerprint"] = self.hyper_head.fingerprint
        if self.pool is not None:
            inputs["random_negatives"] = self.pool.corpus_id
            inputs["random_negatives_fingerprint"] = self.pool.fingerprint
        if self.validation is not None:
            inputs["validation_fingerprint"] = self.validation.key
        return inputs

    def training_data(self) -> TrainingData:
        """The data as :mod:`hypencli.training` expects it."""
        from hypencli.training import TrainingData

        pool = self.pool
        return TrainingData(
            rows=self.rows,
            key=self.rows.fingerprint + ("" if pool is None else f"+{pool.fingerprint}"),
            pool=None if pool is None else (document.text for document in pool),
            validation=self.validation,
        )


def find_inputs(store: Store, recipe: Recipe) -> Inputs:
    """Find the models and data that a recipe names.

    Raises:
        RecipeError: The recipe names no backbone or no training data.
        DataError: Data is missing or cannot be read.
        ModelError: A model is missing.
    """
    head = recipe.model.hyper_head_from
    return Inputs(
        recipe=recipe,
        start=_start(store, recipe),
        hyper_head=None if head is None else _read_start(store, head, "hyper_head_from"),
        rows=_rows(store, recipe),
        pool=_pool(store, recipe),
        validation=_validation(store, recipe),
    )


def _start(store: Store, recipe: Recipe) -> Start:
    key = "backbone" if recipe.model.initial is None else "initial"
    named = recipe.model.initial or recipe.model.backbone
    if named is None:
        raise RecipeError(
            f"Recipe {recipe.name!r} names no backbone.",
            hint="Set a backbone: `model.backbone=FOLDER_OR_HUB_NAME`; or a trained model as "
            "model.initial.",
        )
    return _read_start(store, named, key)


def _read_start(store: Store, named: str, key: str) -> Start:
    source, label, parents = _place(store, named, key)
    return Start(source, label, start_fingerprint(source), parents)


def start_fingerprint(source: str) -> str:
    """Hash the weights, the tokenizer, and the sentence-transformers settings of a model.

    Raises:
        ModelError: A file cannot be read.
    """
    from hypencli.models.checkpoints.sentence import sentence_encoder_facts
    from hypencli.models.checkpoints.weights import locate
    from hypencli.models.load import load_tokenizer, tokenizer_fingerprint

    digest = hashlib.sha256()
    for part in (
        files_fingerprint(locate(source)),
        tokenizer_fingerprint(load_tokenizer(source)),
        str(asdict(sentence_encoder_facts(source))),
    ):
        digest.update(part.encode())
    return digest.hexdigest()


def _place(store: Store, named: str, key: str) -> tuple[str, str, tuple[str, ...]]:
    """Source, label and parents of a model: a folder, a model of the store, or a hub name."""
    folder = user_path(named)
    if is_dir(folder):
        whole = folder.resolve()
        return str(folder), whole.parent.name if whole.name == "model" else whole.name, ()
    try:
        manifest = store.get(named, kind="model")
    except ArtifactNotFound as error:
        if "/" not in named:
            raise ArtifactNotFound(
                f"model.{key}: {named!r} is neither a folder (from {Path.cwd()}) nor a model of "
                "the store. A name on the hub includes the owner: google-bert/bert-base-uncased.",
                hint=error.hint,
            ) from error
        return named, named, ()
    return str(model_folder(store, manifest)), manifest.id, (manifest.id,)


def _rows(store: Store, recipe: Recipe) -> TrainingSource:
    from hypencli.data.training import open_training_rows

    if recipe.data.train is None:
        raise RecipeError(
            f"Recipe {recipe.name!r} names no training data.",
            hint="Name it: `data.train=FILE.jsonl`",
        )
    place = dataset_place(store.root, recipe.data.train)
    return open_training_rows(place, split=recipe.data.split)


def _pool(store: Store, recipe: Recipe) -> Corpus | None:
    from hypencli.data.corpus import open_corpus

    named = recipe.data.random_negatives_from if recipe.data.random_negatives else None
    return None if named is None else open_corpus(dataset_place(store.root, named))


def _validation(store: Store, recipe: Recipe) -> HeldOutRows | JudgedCorpus | None:
    from hypencli.data.training import open_training_rows
    from hypencli.training import HeldOutRows

    section = recipe.validation
    if section is None:
        return None
    if section.rows is None:
        return _judged_corpus(
            dataset_place(store.root, str(section.queries)),
            dataset_place(store.root, str(section.corpus)),
            dataset_place(store.root, section.qrels),
        )
    rows = open_training_rows(dataset_place(store.root, section.rows), split=section.split)
    return HeldOutRows(key=rows.fingerprint, rows=rows)


def _judged_corpus(queries: str, corpus: str, qrels: str | None) -> JudgedCorpus:
    from hypencli.data.corpus import open_corpus
    from hypencli.data.qrels import read_qrels
    from hypencli.data.queries import open_queries
    from hypencli.training import JudgedCorpus

    asked = open_queries(queries, judged_by=qrels)
    judged = qrels or asked.qrels
    if judged is None:
        raise UsageError(
            f"The validation queries {asked.id} come without judgements.",
            hint="Name them: `validation.qrels=FILE_OR_DATASET`",
        )
    documents, judgements = open_corpus(corpus), read_qrels(judged)
    listed = list(asked)
    if not listed:
        raise DataError(f"The validation queries {asked.id} are empty.")
    key = "+".join((asked.fingerprint, documents.fingerprint, judgements.fingerprint))
    return JudgedCorpus(key=key, queries=listed, documents=documents, qrels=judgements.qrels)
