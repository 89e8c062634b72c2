"""A study of approximate search from nothing: texts of this machine, an encoder, three Hypencoders.

The texts are the docstrings of the standard library and of the installed packages: first paragraphs
ask for the rest, as in the demo, and docstrings of one paragraph are documents that answer nothing.
How many there are depends on what is installed; a study holds on to those that it was made of.
"""

from __future__ import annotations

import ast
import json
import random
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypencli.data.corpus import open_corpus
from hypencli.data.demo.docstrings import read_symbols
from hypencli.ops.demo import encoder_folder
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.training.run import train
from hypencli.recipe import load_recipe
from hypestore import Store

MAX_LENGTH = 64
MAX_CHARS = 3_000
LEAST_CHARS, LEAST_QUERY_CHARS = 20, 30
FEWEST = 40_000
SHARD_ROWS = 4_096
SEED = 0


@dataclass(frozen=True)
class Docstring:
    """A documented name and the paragraphs of its docstring."""

    name: str
    paragraphs: tuple[str, ...]

    @property
    def is_pair(self) -> bool:
        """Whether its first paragraph can ask for the rest."""
        return len(self.paragraphs) > 1 and len(self.paragraphs[0]) >= LEAST_QUERY_CHARS

    @property
    def text(self) -> str:
        """The document: without the paragraph that asks for it, where there is more."""
        kept = self.paragraphs[1:] if self.is_pair else self.paragraphs
        return "\n\n".join((self.name, *kept))[:MAX_CHARS]


@dataclass(frozen=True)
class Sizes:
    """How large the study is, and how long its models are trained."""

    documents: int = 48_000
    rows: int = 16_000
    held_out: int = 600
    steps: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def quick(cls) -> Sizes:
        """One that is made in minutes, to see that it runs."""
        steps = {"near-linear": 6, "six-layer": 4, "six-noise": 4}
        return cls(documents=300, rows=128, held_out=30, steps=steps)


@dataclass(frozen=True)
class Trained:
    """A Hypencoder of the study: a recipe, its steps, and what is changed.

    Attributes:
        in_halves: Whether the first of its two losses counts for the first half of the steps, and
            the second for the rest.
    """

    recipe: str
    steps: int
    settings: tuple[str, ...]
    in_halves: bool = False

    def overrides(self, steps: int) -> list[str]:
        """What is changed in the recipe, for so many steps."""
        turn = steps // 2
        halves = (f"losses.0.until_step={turn}", f"losses.1.from_step={turn}")
        return [f"training.steps={steps}", *self.settings, *(halves if self.in_halves else ())]


SIX_LAYERS = "model.converter.layers=6"
MODELS: Mapping[str, Trained] = {
    "near-linear": Trained(
        "warm-start", 400, ("training.learning_rate=1e-3", "data.random_negatives=300")
    ),
    "six-layer": Trained(
        "warm-start-distilled",
        600,
        (SIX_LAYERS, "training.learning_rate=5e-4", "data.random_negatives=64"),
        in_halves=True,
    ),
    "six-noise": Trained(
        "warm-start-distilled",
        250,
        (
            SIX_LAYERS,
            'losses=[{type="cross_entropy"}]',
            "training.learning_rate=3e-4",
            "data.random_negatives=0",
        ),
    ),
}
"""Almost a bi-encoder; the published q-net taught by one first; the same from noise alone."""


@dataclass(frozen=True)
class Files:
    """What was made: a project store, held-out queries, and the models' names."""

    store: Path
    queries: Path
    models: tuple[str, ...] = tuple(MODELS)


def prepare(folder: Path, sizes: Sizes) -> Files:
    """Make the study; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "queries.jsonl").is_file():
        write_collection(folder, sizes)
    home = folder / "store"
    store = Store.open(home) if (home / "hype.toml").is_file() else Store.create(home)
    encoder = str(encoder_folder())
    options = EncodeOptions(
        max_length=MAX_LENGTH, dtype="bfloat16", shard_rows=SHARD_ROWS, name="documents"
    )
    encode(store, open_corpus(folder / "corpus.jsonl"), ModelSource(encoder), options)
    build_graph(store, store.get("documents"), GraphOptions(k=100, metric="l2"))
    for name, model in MODELS.items():
        settings = [
            f"model.backbone={encoder}",
            f"data.train={folder / 'train.jsonl'}",
            f"data.passage_max_length={MAX_LENGTH}",
            "data.negatives_per_query=0",
            "training.precision=bfloat16",
            *model.overrides(sizes.steps.get(name, model.steps)),
        ]
        train(store, load_recipe(model.recipe, settings), name=name)
    return Files(home, folder / "queries.jsonl")


def write_collection(folder: Path, sizes: Sizes) -> None:
    """The corpus, training rows, and held-out queries with their judgements."""
    drawn = random.Random(SEED)
    actual = list(docstrings())
    if len(actual) < min(FEWEST, sizes.documents):
        raise SystemExit(
            f"The study needs {FEWEST:,} docstrings and this environment has {len(actual):,}; "
            "install more packages beside hype."
        )
    drawn.shuffle(actual)
    actual.sort(key=lambda one: not one.is_pair)  # pairs first, each kind in the order drawn
    kept = actual[: sizes.documents]
    drawn.shuffle(kept)
    ids = {one.name: f"d{place}" for place, one in enumerate(kept)}
    pairs = [one for one in kept if one.is_pair]
    held_out = pairs[: sizes.held_out]
    training = pairs[sizes.held_out : sizes.held_out + sizes.rows]
    write(folder / "corpus.jsonl", ({"id": ids[one.name], "text": one.text} for one in kept))
    write(folder / "train.jsonl", (row(one, ids[one.name]) for one in training))
    qrels = "".join(f"q-{ids[one.name]} 0 {ids[one.name]} 1\n" for one in held_out)
    (folder / "qrels.txt").write_text(qrels, encoding="utf-8")
    # The last: it says that all are there.
    asked = ({"id": f"q-{ids[one.name]}", "text": one.paragraphs[0]} for one in held_out)
    write(folder / "queries.jsonl", asked)


def row(one: Docstring, doc_id: str) -> dict[str, object]:
    """A training row: the first paragraph against the rest."""
    return {
        "query": {"id": f"q-{doc_id}", "content": one.paragraphs[0]},
        "items": [{"id": doc_id, "content": one.text}],
    }


def docstrings() -> Iterator[Docstring]:
    """Those of the standard library, then of the installed packages; each text and name once."""
    library = (Docstring(one.signature, one.paragraphs) for one in read_symbols())
    texts: set[tuple[str, ...]] = set()
    names: set[str] = set()
    for actual in (library, installed()):
        for one in actual:
            if one.paragraphs not in texts and one.name not in names:
                yield one
            texts.add(one.paragraphs)
            names.add(one.name)


def installed() -> Iterator[Docstring]:
    """Every documented module, class and function of the installed packages, private ones too."""
    root = Path(sysconfig.get_path("purelib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in other people's docstrings
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # templates and tests of parsers are no Python
        yield from documented(tree, ".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def documented(node: ast.AST, name: str) -> Iterator[Docstring]:
    """The docstring of a module, class or function, and those inside it."""
    text = ast.get_docstring(node) or ""
    if len(text) >= LEAST_CHARS:
        shown = name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            shown += f"({', '.join(one.arg for one in node.args.args if one.arg != 'self')})"
        yield Docstring(shown, paragraphs(text))
    for child in definitions(node):
        yield from documented(child, f"{name}.{child.name}")


def definitions(node: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Classes and functions of a body, also those under ``if`` and ``try``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        elif isinstance(child, ast.If | ast.Try):
            yield from definitions(child)


def paragraphs(text: str) -> tuple[str, ...]:
    """Cut at blank lines, white space collapsed."""
    actual = (" ".join(part.split()) for part in text.split("\n\n"))
    return tuple(part for part in actual if part)


def write(path: Path, values: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for value in values:
            out.write(json.dumps(value) + "\n")
