"""Training: time a step and peak memory against a plain loop in the published way.

    python benchmarks/train.py                   # what docs/benchmarks.md quotes
    python benchmarks/train.py --quick           # two minutes, to see that it runs

Both sides train the same model, all-MiniLM-L6-v2 with the published q-net of six hidden layers, on
the same rows in the same order, in batches of the same size. The rows are docstrings of this
Python: the first paragraph is the query, the rest its passage, up to 256 tokens; hard negatives are
passages of other rows, drawn at random; labels are the encoder's own inner products. First the two
sides' losses are compared, without dropout: that of the first step, and that of the second, which
depends on the first one's gradients.

Every measurement is a process of its own, both sides in turn; one JSON line each, then medians and
ratios. ``seconds_per_step`` is that of all steps but the first, which also makes the optimiser's
state. What comes before the first step (tokenising on both sides, and encoding where the encoder is
frozen, which hype then caches) is ``preparation_seconds``. ``times_faster`` compares steps alone;
``times_faster_over_N_steps`` has preparation and first step in it, for the steps that were run and,
worked out, for many. What comes after the last step, a checkpoint that the plain loop does not
write, is ``ending_seconds``. On a machine that is shared, ``OMP_NUM_THREADS=1`` and
``times_less_cpu`` come closest: threads that wait for others count as working.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from measuring import (
    Figures,
    check,
    folder_of,
    in_turn,
    measure,
    medians,
    options_of,
    tell,
    times_less,
)

QUERY_LENGTH, PASSAGE_LENGTH = 64, 256
HIDDEN_LAYERS = 6
SEED = 0
CHECKED_BATCH, CHECKED_STEPS = 4, 2
MANY_STEPS = 1_000
"""For how many steps the time with preparation is worked out, besides those that were run."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""How far the two sides' losses may be apart, relatively: they sum in other orders."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained, and how.

    Attributes:
        frozen: Whether the encoder stays as it is; hype then caches what it gives.
        precision: Of the forward pass.
    """

    frozen: bool
    precision: str


CASES = {
    "unfrozen-float32": Case(frozen=False, precision="float32"),
    "unfrozen-bfloat16": Case(frozen=False, precision="bfloat16"),
    "frozen-float32": Case(frozen=True, precision="float32"),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done."""

    rows: int
    batch_size: int
    negatives: int
    unfrozen_steps: int
    frozen_steps: int

    def steps(self, case: Case) -> int:
        return self.frozen_steps if case.frozen else self.unfrozen_steps


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, also in this process's own processor time."""

    seconds: float = field(default_factory=time.perf_counter)
    cpu_seconds: float = field(default_factory=time.process_time)


@dataclass(slots=True)
class Laps:
    """When a run was called and when its first step began; each step's end and loss."""

    called: Moment = field(default_factory=Moment)
    began: Moment | None = None
    ends: list[Moment] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def begin(self) -> None:
        self.began = Moment()

    def end_step(self, loss: float) -> None:
        self.ends.append(Moment())
        self.losses.append(loss)

    def figures(self) -> Figures:
        """Called when the run is over."""
        over, began = Moment(), self.began or self.called
        first, last, timed = self.ends[0], self.ends[-1], len(self.ends) - 1
        return {
            "steps": len(self.ends),
            "preparation_seconds": began.seconds - self.called.seconds,
            "first_step_seconds": first.seconds - began.seconds,
            "seconds_per_step": (last.seconds - first.seconds) / timed,
            "steps_per_second": timed / (last.seconds - first.seconds),
            "cpu_seconds_per_step": (last.cpu_seconds - first.cpu_seconds) / timed,
            "ending_seconds": over.seconds - last.seconds,
        }


def prepare(folder: Path, sizes: Sizes) -> None:
    """Write what both sides read: training rows, and how much is to be done."""
    import numpy as np

    import hypencli
    from hypencli.data.demo import build_docstring_collection
    from hypencli.ops.demo import encoder_folder

    pairs = [
        (row.query, row.items[0])
        for row in build_docstring_collection().training
        if row.query.query_id.startswith("summary:")  # not the way back, to the short half
    ]
    generator = np.random.default_rng(SEED)
    selected = [pairs[i] for i in generator.permutation(len(pairs))[: sizes.rows]]
    model = hypencli.load(encoder_folder())
    # The labels need be no better than this: both sides learn the same.
    queries = model.encode_passages([query.text for query, _ in selected], max_length=QUERY_LENGTH)
    passages = model.encode_passages(
        [item.content for _, item in selected], max_length=QUERY_LENGTH
    )
    scores = queries @ passages.T
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
        for i, (query, _) in enumerate(selected):
            others = (i + 1 + generator.permutation(len(selected) - 1)) % len(selected)
            items = [
                {"id": item.id, "content": item.content, "score": float(scores[i, j])}
                for j, item in ((j, selected[j][1]) for j in (i, *others[: sizes.negatives]))
            ]
            row = {"query": {"id": query.query_id, "content": query.text}, "items": items}
            out.write(json.dumps(row) + "\n")
    (folder / "sizes.json").write_text(json.dumps(asdict(sizes)), encoding="utf-8")


def new_model(case: Case, *, dropout: bool) -> tuple[Any, Any]:
    """The model that both sides train, as it is at the start, and its tokenizer."""
    import torch

    from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
    from hypencli.ops.demo import encoder_folder

    encoder = str(encoder_folder())
    dual = build_dual_encoder(
        ModelSpec(
            backbone=encoder,
            freeze_encoder=case.frozen,
            converter_options={"hidden_layers": HIDDEN_LAYERS},
            losses=(("margin_mse", {}), ("cross_entropy", {"only_use_first_item": True})),
        )
    )
    for module in dual.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    return dual, load_tokenizer(encoder)


def train_hype(folder: Path, case: Case, sizes: Sizes, *, dropout: bool = True) -> Laps:
    from plain_training import LEARNING_RATE, MAX_GRAD_NORM

    from hypencli.data.training import open_training_rows
    from hypencli.training import (
        RunContext,
        Sampling,
        StateCache,
        TrainingConfig,
        TrainingData,
        train,
    )

    dual, tokenizer = new_model(case, dropout=dropout)
    config = TrainingConfig(
        steps=sizes.steps(case),
        batch_size=sizes.batch_size,
        learning_rate=LEARNING_RATE,
        max_grad_norm=MAX_GRAD_NORM,
        schedule="constant",
        mixed_bfloat16=case.precision == "bfloat16",
        seed=SEED,
        query_max_length=QUERY_LENGTH,
        passage_max_length=PASSAGE_LENGTH,
        sampling=Sampling(negatives_per_query=sizes.negatives),
        cache=StateCache() if case.frozen else None,
        logging_steps=1,
    )
    laps = Laps()

    def on_points(points: Any) -> None:
        """Told first when the run begins, of nothing, and then of each step."""
        losses = [value for _, name, value in points if name == "loss"]
        if laps.began is None:
            laps.begin()
        for loss in losses:
            laps.end_step(loss)

    with tempfile.TemporaryDirectory(dir=folder) as work:
        where = RunContext(output_dir=Path(work), on_points=on_points)
        rows = open_training_rows(str(folder / "rows.jsonl"))
        train(dual, tokenizer, TrainingData(rows=rows), config, where)
    return laps


def train_plain(folder: Path, case: Case, sizes: Sizes, *, dropout: bool = True) -> Laps:
    import plain_training

    dual, tokenizer = new_model(case, dropout=dropout)
    laps = Laps()
    tokenised = folder / "tokenised.jsonl"
    plain_training.tokenise_file(
        folder / "rows.jsonl",
        tokenizer,
        tokenised,
        query_max_length=QUERY_LENGTH,
        passage_max_length=PASSAGE_LENGTH,
    )
    order = order_of_rows(sizes.rows, sizes.batch_size * sizes.steps(case))
    plain_training.train(
        dual,
        plain_training.read_batches(tokenised, tokenizer, order, sizes.batch_size),
        bfloat16=case.precision == "bfloat16",
        on_begin=laps.begin,
        on_step=laps.end_step,
    )
    return laps


def order_of_rows(n_rows: int, drawn: int) -> list[int]:
    """The rows in the order in which hype draws them, pass after pass."""
    from hypencli.training.data.sampling import RowOrder

    order = RowOrder(n_rows, seed=SEED)

    def positions() -> Iterator[int]:
        for epoch in range(-(-drawn // n_rows)):
            order.set_epoch(epoch)
            yield from (position for _, position in order)

    return list(positions())[:drawn]


def compare_losses(folder: Path, case: Case, sizes: Sizes) -> None:
    """Both sides for two small steps without dropout: are the losses the same?"""
    small = replace(
        sizes,
        batch_size=CHECKED_BATCH,
        unfrozen_steps=CHECKED_STEPS,
        frozen_steps=CHECKED_STEPS,
    )
    losses = {name: run(folder, case, small, dropout=False).losses for name, run in SIDES.items()}
    pairs = list(zip(losses["hype"], losses["plain"], strict=True))
    apart = max(abs(hype - plain) / abs(plain) for hype, plain in pairs)
    tell(
        **{f"{name}_loss_{i}": loss for name in losses for i, loss in enumerate(losses[name], 1)},
        apart=apart,
    )


SIDES: dict[str, Callable[..., Laps]] = {"hype": train_hype, "plain": train_plain}


def run_side(name: str, folder: Path) -> None:
    """What a process of its own does."""
    case_name, _, side = name.rpartition("-")
    case = CASES[case_name]
    sizes = Sizes(**json.loads((folder / "sizes.json").read_text(encoding="utf-8")))
    if side == "losses":
        compare_losses(folder, case, sizes)
    else:
        tell(**SIDES[side](folder, case, sizes).figures())


def seconds_of(side: Figures, steps: int) -> float:
    """Of so many steps with all that comes before them."""
    return (
        side["preparation_seconds"]
        + side["first_step_seconds"]
        + (steps - 1) * side["seconds_per_step"]
    )


def summary(job: str, actual: dict[str, list[Figures]]) -> dict[str, object]:
    of_sides = medians(actual)
    run = int(of_sides["hype"]["steps"])
    over = {
        f"times_faster_over_{steps}_steps": seconds_of(of_sides["plain"], steps)
        / seconds_of(of_sides["hype"], steps)
        for steps in (run, MANY_STEPS)
    }
    return {
        "job": job,
        "median": of_sides,
        "times_faster": times_less(of_sides, "seconds_per_step"),
        "times_less_cpu": times_less(of_sides, "cpu_seconds_per_step"),
        **over,
        "times_less_memory": times_less(of_sides, "peak_mb"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--negatives", type=int, default=3)
    parser.add_argument("--steps", dest="unfrozen_steps", type=int, default=3, help="2 or more")
    parser.add_argument("--frozen-steps", type=int, default=6, help="2 or more")
    parser.add_argument("--case", choices=CASES, action="append", help="only this one")
    names = [f"{case}-{side}" for case in CASES for side in (*SIDES, "losses")]
    options = options_of(
        parser,
        {name: partial(run_side, name) for name in names},
        repeat=3,
        quick=asdict(Sizes(16, 4, 3, 2, 3)),
    )
    sizes = Sizes(**{field.name: getattr(options, field.name) for field in fields(Sizes)})
    with folder_of(options, partial(prepare, sizes=sizes)) as folder:
        for job in options.case or CASES:
            losses = measure(__file__, f"{job}-losses", folder)
            print(json.dumps({"job": job, "side": "both", **losses}), flush=True)
            check(losses["apart"] <= TOLERANCE[CASES[job].precision])
            actual = in_turn(__file__, job, folder, repeat=options.repeat)
            print(json.dumps(summary(job, actual)), flush=True)


if __name__ == "__main__":
    main()
