"""What lies beside the weights of a trained model, for people: the card and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypencli.recipe import Recipe
from hypestore import JsonValue

CURVES_FILE = "training.parquet"
RECIPE_FILE = "recipe.toml"
CARD_FILE = "README.md"


def write_curves(path: Path, points: Sequence[tuple[int, str, float]]) -> None:
    """Training curves as Parquet: step, name, value."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    steps, names, values = zip(*points, strict=True) if points else ((), (), ())
    table = pa.table(
        {
            "step": pa.array(steps, pa.int64()),
            "name": pa.array(names, pa.string()),
            "value": pa.array(values, pa.float64()),
        }
    )
    pq.write_table(table, path)


def model_card(recipe: Recipe, *, start: str, data: str, stats: dict[str, JsonValue]) -> str:
    """The README.md beside the weights: what it is, how to use it, how it was made."""
    kind = "Hypencoder" if recipe.model.architecture == "hypencoder" else "bi-encoder"
    sentence = f"{recipe.description}\n\n" if recipe.description else ""
    return f"""\
---
library_name: hypencli
tags:
- hypencoder
- information-retrieval
---

# {recipe.name}

{sentence}A {kind} of {stats["parameters"]:,} parameters, {stats["trainable_parameters"]:,} of them
trained, started from `{start}`.

## Use

    import hypencli

    model = hypencli.load("path/to/this/folder")
    vectors = model.encode_passages(["first passage", "second passage"])
    scores = model.encode_queries(["a question"])(vectors)

Queries are read up to {stats["query_max_length"]} tokens,
passages up to {stats["passage_max_length"]}.

## Training

| | |
| --- | --- |
| data | `{data}`, {stats["n_rows"]:,} rows |
| losses | {", ".join(loss.type for loss in recipe.losses)} |
| steps | {stats["steps"]:,} of {recipe.training.batch_size} queries |
| learning rate | {recipe.training.learning_rate:g}, {recipe.training.schedule} |
| seed | {recipe.training.seed} |
| final loss | {stats["final_loss"]:.4f} |

The whole recipe is `{RECIPE_FILE}`; the curves are in `{CURVES_FILE}`.
"""
