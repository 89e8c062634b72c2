from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hypencli.errors import DataError, UsageError
from hypencli.records import Document, Query, TrainingRow
from hypencli.training import (
    HeldOutRows,
    JudgedCorpus,
    Sampling,
    StateCache,
    TrainingOutcome,
    ValidationConfig,
)

Build = Callable[..., Any]
QuickTrain = Callable[..., TrainingOutcome]
EVERY_TWO = ValidationConfig(every_steps=2, measures=("nDCG@10", "RR@10"))


def values(outcome: TrainingOutcome, name: str) -> dict[int, float]:
    return {step: value for step, actual, value in outcome.curves if actual == f"validation.{name}"}


def plain_reciprocal_ranks(dual: Any, tokenizer: Any, rows: list[TrainingRow]) -> float:
    """Mean reciprocal rank of each query's positives among all passages, by sorting scores."""
    passages = list(dict.fromkeys(item.content for row in rows for item in row.items))
    queries = list(dict.fromkeys(row.query.text for row in rows))
    relevant = {
        query: {r.items[0].content for r in rows if r.query.text == query} for query in queries
    }
    collected = []
    for query in queries:
        scores = []
        for passage in passages:
            q = tokenizer([query], return_tensors="pt", truncation=True, max_length=32)
            p = tokenizer([passage], return_tensors="pt", truncation=True, max_length=64)
            with torch.no_grad():
                net = dual.query_encoder(q["input_ids"], q["attention_mask"]).representation
                vector = dual.passage_encoder(p["input_ids"], p["attention_mask"]).representation
                score = net @ vector.T if isinstance(net, torch.Tensor) else net(vector[None])
            scores.append(float(score))
        order = sorted(range(len(passages)), key=lambda i: -scores[i])
        ranks = [r for r, i in enumerate(order, 1) if passages[i] in relevant[query]]
        collected.append(1 / ranks[0] if ranks[0] <= 10 else 0.0)
    return sum(collected) / len(collected)


@pytest.mark.parametrize("kind", ["hypencoder", "warm-start", "bi-encoder"])
@pytest.mark.parametrize("frozen", [False, True])
def test_retrieval_equals_a_plain_ranking(
    kind: str,
    frozen: bool,
    build: Build,
    quick_train: QuickTrain,
    rows: list[TrainingRow],
    tokenizer: Any,
) -> None:
    held_out = rows[:12]
    dual = build(kind, freeze_encoder=frozen)
    outcome = quick_train(
        dual,
        rows[12:60],
        steps=4,
        validation=HeldOutRows(key="h", rows=held_out),
        validating=EVERY_TWO,
        cache=StateCache() if frozen else None,
    )
    actual = values(outcome, "RR@10")
    assert sorted(actual) == [2, 4]
    assert actual[4] == pytest.approx(plain_reciprocal_ranks(dual, tokenizer, held_out), abs=1e-9)


def test_a_step_that_is_validated_has_a_point_of_its_loss_too(
    build: Build, quick_train: QuickTrain, rows: list[TrainingRow]
) -> None:
    outcome = quick_train(
        build(), steps=4, validation=HeldOutRows(key="h", rows=rows[:4]), validating=EVERY_TWO
    )
    losses = [step for step, name, _ in outcome.curves if name == "loss"]
    assert losses == [1, 2, 3, 4]
    assert set(values(outcome, "RR@10")) == {2, 4}


def test_loss_of_held_out_rows_is_that_of_training_on_them(
    build: Build, quick_train: QuickTrain, rows: list[TrainingRow]
) -> None:
    """At a rate of nothing, the loss of the same batch is the same from both sides."""
    batch = rows[:4]
    outcome = quick_train(
        build(),
        batch,
        steps=1,
        batch_size=4,
        learning_rate=1e-20,
        validation=HeldOutRows(key="h", rows=batch),
        validating=EVERY_TWO,
    )
    assert values(outcome, "loss")[1] == pytest.approx(outcome.final_loss, rel=1e-5)


def test_the_validation_set_is_not_trained_on(
    build: Build, quick_train: QuickTrain, rows: list[TrainingRow]
) -> None:
    """The published code overwrites the training set with it."""
    plain, watched = build(), build()
    quick_train(plain, rows[:48])
    outcome = quick_train(
        watched,
        rows[:48],
        validation=HeldOutRows(key="h", rows=rows[48:60]),
        validating=EVERY_TWO,
    )
    assert outcome.n_rows == 48
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name


def judged(documents: list[Document], queries: list[Query], qrels: Any) -> JudgedCorpus:
    return JudgedCorpus(key="c", queries=queries, documents=documents, qrels=qrels)


def test_a_judged_corpus(build: Build, quick_train: QuickTrain, rows: list[TrainingRow]) -> None:
    held_out = rows[:12]
    texts = list(dict.fromkeys(item.content for row in held_out for item in row.items))
    ids = {text: f"d{i}" for i, text in enumerate(texts)}
    documents = [Document(ids[text], text) for text in texts]
    queries = {row.query.text: Query(f"q{i}", row.query.text) for i, row in enumerate(held_out)}
    qrels: dict[str, dict[str, int]] = {}
    for row in held_out:
        qrels.setdefault(queries[row.query.text].query_id, {})[ids[row.items[0].content]] = 1
    of_rows = quick_train(
        build(), validation=HeldOutRows(key="h", rows=held_out), validating=EVERY_TWO
    )
    of_corpus = quick_train(
        build(),
        validation=judged(documents, list(queries.values()), qrels),
        validating=EVERY_TWO,
    )
    assert values(of_rows, "nDCG@10") == values(of_corpus, "nDCG@10")
    assert values(of_corpus, "loss") == {}


def test_best_weights_are_those_of_the_best_step(
    build: Build, quick_train: QuickTrain, rows: list[TrainingRow]
) -> None:
    settings: dict[str, Any] = {
        "validation": HeldOutRows(key="h", rows=rows[60:]),
        "learning_rate": 0.3,
        "batch_size": 8,
    }
    best = ValidationConfig(every_steps=1, measures=("RR@10",), best="loss")
    dual = build("bi-encoder")
    outcome = quick_train(dual, rows[:48], steps=6, validating=best, **settings)
    actual = values(outcome, "loss")
    assert outcome.best_step == min(actual, key=lambda step: (actual[step], step))
    assert outcome.best_step < 6
    short = build("bi-encoder")
    quick_train(short, rows[:48], steps=outcome.best_step, **settings | {"validation": None})
    for name, tensor in short.state_dict().items():
        torch.testing.assert_close(tensor, dual.state_dict()[name], rtol=0, atol=1e-6)


def test_patience(build: Build, quick_train: QuickTrain, rows: list[TrainingRow]) -> None:
    outcome = quick_train(
        build("bi-encoder"),
        rows[:48],
        steps=50,
        learning_rate=0.5,
        validation=HeldOutRows(key="h", rows=rows[60:]),
        validating=ValidationConfig(every_steps=1, measures=("RR@10",), best="loss", patience=3),
    )
    assert outcome.finished
    assert outcome.best_step is not None
    assert outcome.steps == outcome.best_step + 3
    assert math.isfinite(outcome.final_loss)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"validating": None}, UsageError, "both what is measured and on what"),
        (
            {"validation": judged([Document("d", "x")], [Query("q", "y")], {})},
            DataError,
            "no .* judgement|No validation query",
        ),
        ({"validating": ValidationConfig(measures=("nDGC@10",))}, UsageError, "nDGC"),
        ({"fsdp": True}, UsageError, "divided among devices"),
        ({"sampling": Sampling(negatives_per_query=2)}, DataError, "1 negatives; 2"),
    ],
)
def test_what_cannot_be_validated_is_refused(
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    build: Build,
    quick_train: QuickTrain,
    rows: list[TrainingRow],
) -> None:
    settings = {
        "validation": HeldOutRows(key="h", rows=rows[:4]),
        "validating": EVERY_TWO,
        **changes,
    }
    with pytest.raises(error, match=message):
        quick_train(build(), **settings)
