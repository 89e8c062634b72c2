"""What saves memory or time changes no gradient: chunks, recomputation, workers, compilation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hypencli.progress import SILENT
from hypencli.records import TrainingRow
from hypencli.training import Sampling, TrainingConfig, TrainingOutcome
from hypencli.training.data.collator import Collator
from hypencli.training.data.examples import Examples, TrainingSet, write_training_set
from hypencli.training.process.backbones import adapted_backbones
from hypencli.training.step import TrainingStep

Build = Callable[..., Any]
QuickTrain = Callable[..., TrainingOutcome]
Collate = Callable[..., dict[str, Any]]
KINDS = ["hypencoder", "warm-start", "bi-encoder"]
QUERIES = 16


@pytest.fixture(scope="module")
def collate(
    tmp_path_factory: pytest.TempPathFactory, rows: list[TrainingRow], tokenizer: Any
) -> Collate:
    """A batch of 16 queries with two passages each and random negatives, in chunks or whole."""
    folder = tmp_path_factory.mktemp("rows")
    lengths = {"query_max_length": 32, "passage_max_length": 64}
    write_training_set(folder, rows, tokenizer, **lengths, pool=None, progress=SILENT)
    texts = TrainingSet.open(folder)
    sampling = Sampling(negatives_per_query=1)
    examples = Examples(texts.rows, sampling, seed=1, with_scores=True)

    def make(chunk_size: int | None = None, *, n: int = QUERIES) -> dict[str, Any]:
        collator = Collator(
            queries=texts.queries,
            passages=texts.passages,
            pool=texts.pool,
            random_negatives=6,
            seed=1,
            token_budget=100_000,
            chunk_size=chunk_size,
        )
        return collator([examples[0, i] for i in range(n)])

    return make


def kept_and_gradients(
    dual: Any, batch: dict[str, Any], *, recompute: bool = False, config: TrainingConfig
) -> tuple[int, dict[str, Tensor]]:
    """Bytes that the forward pass keeps beside the weights, and the gradients of the loss."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in dual.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    step = TrainingStep(dual, recompute=recompute).train()
    with adapted_backbones(dual, config):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = step(**batch)["loss"]
        loss.backward()
    gradients = {n: p.grad for n, p in dual.named_parameters() if p.grad is not None}
    return sum(kept.values()), gradients


def assert_close(actual: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert actual.keys() == wanted.keys()
    largest = max(gradient.norm().item() for gradient in wanted.values())
    for name, gradient in wanted.items():
        difference = (actual[name] - gradient).norm().item()
        assert difference < 1e-4 * gradient.norm().item() + 1e-6 * largest, name


PLAIN = TrainingConfig(steps=1)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_give_the_same_gradients_in_less_memory(
    kind: str, build: Build, collate: Collate
) -> None:
    """The most that is held: what all chunks keep, and all of one of them when it comes again."""
    whole, expected = kept_and_gradients(build(kind), collate(), config=PLAIN)
    chunked, actual = kept_and_gradients(build(kind), collate(4), recompute=True, config=PLAIN)
    one, _ = kept_and_gradients(build(kind), collate(n=2), config=PLAIN)
    assert_close(actual, expected)
    assert chunked + one < whole / 2, (chunked, one, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_activation_checkpointing_gives_the_same_gradients_in_less_memory(
    kind: str, build: Build, collate: Collate
) -> None:
    whole, expected = kept_and_gradients(build(kind), collate(), config=PLAIN)
    saving = replace(PLAIN, activation_checkpointing=True)
    kept, actual = kept_and_gradients(build(kind), collate(), config=saving)
    assert_close(actual, expected)
    assert kept < whole / 2, (kept, whole)


@pytest.mark.parametrize(
    "saving", [{"chunk_size": 3}, {"activation_checkpointing": True}, {"workers": 1}]
)
def test_a_whole_training_ends_with_the_same_weights(
    saving: dict[str, Any], build: Build, quick_train: QuickTrain
) -> None:
    sampling = Sampling(negatives_per_query=1, random_negatives=4)
    plain, saved = build(), build()
    outcomes = [
        quick_train(dual, steps=4, gradient_accumulation=2, sampling=sampling, **changes)
        for dual, changes in ((plain, {}), (saved, saving))
    ]
    losses = [[v for _, name, v in one.curves if name == "loss"] for one in outcomes]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    after = saved.state_dict()
    # A step of Adam divides a gradient by its own size, rounding too: hence the tolerance.
    moved = [(after[name] - tensor).abs() for name, tensor in plain.state_dict().items()]
    far = sum((distance > 1e-5).sum().item() for distance in moved)
    assert far < 0.005 * sum(distance.numel() for distance in moved)


def test_dropout_is_the_same_in_a_chunk_that_is_computed_again(
    build: Build, collate: Collate
) -> None:
    """Else the gradient would be of another function than the loss."""
    dual = build("bi-encoder", dropout=True)
    batch, name = collate(4), "query_encoder.projection.weight"
    torch.manual_seed(3)
    _, gradients = kept_and_gradients(dual, batch, recompute=True, config=PLAIN)
    direction = gradients[name] / gradients[name].norm()
    losses = []
    for distance in (1e-3, -1e-3):
        torch.manual_seed(3)
        moved = build("bi-encoder", dropout=True)
        with torch.no_grad():
            dict(moved.named_parameters())[name].add_(distance * direction)
        step = TrainingStep(moved, recompute=True).train()
        losses.append(step(**batch)["loss"].item())
    slope = (losses[0] - losses[1]) / 2e-3
    assert slope == pytest.approx(gradients[name].norm().item(), rel=2e-2)


def test_a_worker_draws_what_the_process_itself_draws(
    build: Build, quick_train: QuickTrain, tmp_path: Path
) -> None:
    """Bit for bit, with dropout and random negatives, and after an interruption too."""
    settings: dict[str, Any] = {
        "steps": None,
        "epochs": 1.5,
        "batch_size": 16,
        "sampling": Sampling(negatives_per_query=1, random_negatives=4),
    }
    alone, helped = build(dropout=True), build(dropout=True)
    quick_train(alone, **settings)
    first = quick_train(helped, output_dir=tmp_path, workers=1, max_minutes=1e-9, **settings)
    assert (first.finished, first.steps) == (False, 1)
    again = build(dropout=True)
    assert quick_train(again, output_dir=tmp_path, workers=1, **settings).resumed_from == 1
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_encoder_trains_the_same(build: Build, quick_train: QuickTrain) -> None:
    outcomes = []
    for on in (False, True):
        dual = build("bi-encoder")
        del dual.passage_encoder.transformer.encoder.layer[1:]  # what is compiled takes seconds
        outcomes.append(quick_train(dual, steps=3, compile=on))
    losses = [[v for _, name, v in one.curves if name == "loss"] for one in outcomes]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
