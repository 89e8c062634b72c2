"""How a q-net should start where there is a good encoder and little data: the study's runs.

    python benchmarks/warm_start.py medquad --data FOLDER     # a folder with the MedQuAD files
    python benchmarks/warm_start.py docstrings                # this Python's own documentation

Every arm is a shipped recipe with the overrides below, trained with each seed on the same rows for
as many steps, then searched with the held-out queries. One JSON line a run, then one an arm: means
over the seeds, and paired tests by query (each query's mean over the seeds) against the bi-encoder
of the same kind. A store that is there is gone on with.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from measuring import say_machine

from hypencli.data.corpus import open_corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.evaluation.measures import compare
from hypencli.ops.datasets.mine import MineOptions, mine
from hypencli.ops.demo import encoder_folder
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.search.options import Output, SearchOptions, Target
from hypencli.ops.search.run import search
from hypencli.ops.training.run import train
from hypencli.recipe import load_recipe
from hypencli.records import Evaluation
from hypestore import Store

MEASURE = "nDCG@10"
MEASURES = (MEASURE, "RR@10", "R@100")
MAX_LENGTH = 64


@dataclass(frozen=True)
class Arm:
    """One way to train: a recipe, what is changed, and whom it is compared with."""

    recipe: str
    against: str | None
    settings: tuple[str, ...] = ()


UNFROZEN_STEPS = ("training.steps=30",)
ARMS: Mapping[str, Arm] = {
    "bi-encoder": Arm("warm-start-bi-encoder", None),
    "gated": Arm("warm-start", "bi-encoder"),
    "gated, fast head": Arm("warm-start", "bi-encoder", ("training.learning_rate=1e-3",)),
    "fitted head": Arm("warm-start-head", "bi-encoder"),
    "distilled": Arm(
        "warm-start-distilled",
        "bi-encoder",
        ("losses.0.until_step=50", "losses.1.from_step=50"),
    ),
    "noise": Arm(
        "warm-start-distilled",
        "bi-encoder",
        ('losses=[{type="cross_entropy"}]', "training.learning_rate=3e-4"),
    ),
    "bi-encoder, unfrozen": Arm("warm-start-bi-encoder-unfrozen", None, UNFROZEN_STEPS),
    "gated, unfrozen": Arm("warm-start-unfrozen", "bi-encoder, unfrozen", UNFROZEN_STEPS),
}


@dataclass(frozen=True)
class Collection:
    """Files of one collection: what is trained on, and what is asked of which corpus."""

    rows: Path
    corpus: Path
    queries: Path
    qrels: Path
    frozen: tuple[str, ...]
    unfrozen: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", choices=("medquad", "docstrings"))
    parser.add_argument("--data", type=Path, help="folder of the MedQuAD files")
    parser.add_argument("--store", type=Path, default=Path("warm-start-study"))
    parser.add_argument("--documents", type=int, default=5_000, help="MedQuAD: of its corpus")
    parser.add_argument("--steps", type=int, default=100, help="of the frozen arms")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    say_machine()
    created = (options.store / "hype.toml").is_file()
    store = Store.open(options.store) if created else Store.create(options.store)
    encoder = str(encoder_folder())
    if options.collection == "medquad":
        collection = medquad(store, encoder, options)
    else:
        collection = docstrings(store)
    baseline = evaluated(store, encoder, "backbone", collection)
    say(arm="untrained encoder", seed=None, **baseline.aggregates)
    actual: dict[str, list[Evaluation]] = {}
    for seed in options.seeds:
        for name in options.arms:
            actual.setdefault(name, []).append(
                one_run(store, encoder, collection, name, seed=seed, steps=options.steps)
            )
    for name, runs in actual.items():
        summarise(name, runs, actual, baseline)


def one_run(
    store: Store, encoder: str, collection: Collection, name: str, *, seed: int, steps: int
) -> Evaluation:
    """Train one arm with one seed and measure it."""
    arm = ARMS[name]
    label = f"{name.replace(', ', '-').replace(' ', '-')}-{steps}-{seed}"
    recipe = load_recipe(
        arm.recipe,
        [
            f"model.backbone={encoder}",
            f"data.train={collection.rows}",
            f"data.passage_max_length={MAX_LENGTH}",
            "training.precision=bfloat16",
            f"training.steps={steps}",
            f"training.seed={seed}",
            *(collection.unfrozen if "unfrozen" in name else collection.frozen),
            *arm.settings,
        ],
    )
    trained = train(store, recipe, name=label)
    if trained is None:
        raise SystemExit("this study runs in one process")
    evaluation = evaluated(store, trained.model_id, label, collection)
    say(
        arm=name,
        seed=seed,
        **evaluation.aggregates,
        steps=trained.steps,
        training_seconds=round(trained.seconds, 1),
        final_loss=round(trained.final_loss, 4),
    )
    return evaluation


def evaluated(store: Store, model: str, name: str, collection: Collection) -> Evaluation:
    """The held-out queries over the corpus, with the vectors of this model's passage encoder."""
    source = ModelSource(model)
    options = EncodeOptions(max_length=MAX_LENGTH, dtype="bfloat16", shard_rows=2_048)
    encode(store, open_corpus(collection.corpus), source, options)
    searched = search(
        store,
        open_queries(collection.queries),
        source,
        SearchOptions(
            k=100,
            target=Target(corpus=str(collection.corpus)),
            output=Output(name=name, qrels=str(collection.qrels), measures=MEASURES),
        ),
    )
    newest = store.evaluations(searched.run)[-1].id
    per_query: dict[str, dict[str, float]] = {}
    for row in store.per_query(newest).to_pylist():
        per_query.setdefault(row["measure"], {})[row["query_id"]] = row["value"]
    return Evaluation(store.aggregates(newest), per_query, len(per_query[MEASURE]))


def summarise(
    name: str,
    runs: list[Evaluation],
    actual: Mapping[str, list[Evaluation]],
    baseline: Evaluation,
) -> None:
    """Means over the seeds, and tests by query on each query's mean over the seeds."""
    values = [run.aggregates[MEASURE] for run in runs]
    mean = mean_of(runs)
    against = {"untrained encoder": baseline}
    other = ARMS[name].against
    if other is not None and other in actual:
        against[other] = mean_of(actual[other])
    tests = {}
    for label, reference in against.items():
        (test,) = compare(reference, mean, [MEASURE])
        tests[label] = {
            "difference": round(test.difference, 4),
            "p": round(test.p_values["randomisation"], 4),
            "wins": test.wins,
            "losses": test.losses,
        }
    say(
        arm=name,
        **{MEASURE: round(statistics.mean(values), 4)},
        seeds=[round(value, 4) for value in values],
        against=tests,
    )


def mean_of(runs: list[Evaluation]) -> Evaluation:
    """Each query's mean over the seeds."""
    per_query = {
        query: statistics.mean(run.per_query[MEASURE][query] for run in runs)
        for query in runs[0].per_query[MEASURE]
    }
    mean = {MEASURE: statistics.mean(per_query.values())}
    return Evaluation(mean, {MEASURE: per_query}, len(per_query))


def medquad(store: Store, encoder: str, options: argparse.Namespace) -> Collection:
    """A part of MedQuAD: the judged documents and others, training rows with mined negatives."""
    folder, data = store.root / "data", options.data
    folder.mkdir(exist_ok=True)
    selected = random.Random(0)
    training = read_qrels(data / "qrels.train.txt").qrels
    heldout = read_qrels(data / "qrels.heldout.txt").qrels
    documents = list(open_corpus(data / "corpus.jsonl"))
    judged = {doc_id for grades in heldout.values() for doc_id in grades}
    others = [document.doc_id for document in documents if document.doc_id not in judged]
    selected.shuffle(others)
    kept = judged | set(others[: max(0, options.documents - len(judged))])
    write_jsonl(
        folder / "corpus.jsonl",
        ({"id": one.doc_id, "text": one.text} for one in documents if one.doc_id in kept),
    )
    # Training queries whose answers are in the part, so that their negatives can be mined there.
    texts = {query.query_id: query.text for query in open_queries(data / "queries.train.jsonl")}
    inside = [one for one in sorted(training) if kept.issuperset(training[one])]
    write_jsonl(folder / "train.queries.jsonl", ({"id": i, "text": texts[i]} for i in inside))
    (folder / "train.qrels").write_text(
        "".join(f"{i} 0 {d} {g}\n" for i in inside for d, g in training[i].items())
    )
    rows = folder / "train.jsonl"
    collection = Collection(
        rows,
        folder / "corpus.jsonl",
        data / "queries.heldout.jsonl",
        data / "qrels.heldout.txt",
        ("data.negatives_per_query=2",),
        ("data.negatives_per_query=1",),
    )
    if not rows.exists():
        evaluated(store, encoder, "backbone", collection)
        searched = search(
            store,
            open_queries(folder / "train.queries.jsonl"),
            ModelSource(encoder),
            SearchOptions(
                k=50,
                target=Target(corpus=str(collection.corpus)),
                output=Output(name="train-queries"),
            ),
        )
        mine(store, searched.run, MineOptions(rows, qrels=str(folder / "train.qrels")))
    return collection


def docstrings(store: Store) -> Collection:
    """The pairs of the demo: summaries against the rest of their docstrings."""
    from hypencli.data.demo import build_docstring_collection, write_docstring_collection

    files = write_docstring_collection(build_docstring_collection(), store.root / "data")
    # The other item of a row is of the same symbol, and never a negative.
    none = "data.negatives_per_query=0"
    return Collection(
        files.training,
        files.passages,
        files.queries["heldout"],
        files.qrels["heldout"],
        (none, "data.random_negatives=300"),
        (none,),
    )


def write_jsonl(path: Path, values: Iterable[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
