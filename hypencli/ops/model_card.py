"""Model card and training curves of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.escaping import escape_markdown, escape_markdown_code
from hypestore import JsonValue

if TYPE_CHECKING:
    from hypencli.models.published import PublishedUse
    from hypencli.recipe import Recipe

CURVES_FILE = "training.parquet"
RECIPE_FILE = "recipe.toml"
CARD_FILE = "README.md"

_PUBLISHED = "## The code published with the paper"


_FRONT_MATTER = """\
---
library_name: hypencli
tags:
- hypencoder
- information-retrieval
---
"""

_USE = """\
## Use

    import hypencli

    model = hypencli.load("path/to/this/folder")
    vectors = model.encode_passages(["first passage", "second passage"])
    scores = model.encode_queries(["a question"])(vectors)
"""


def write_curves(path: Path, points: Sequence[tuple[int, str, float]]) -> None:
    """Write training curves as Parquet with the columns step, name, value."""
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
    """Render the model card (README.md) of a trained model: use, training, recipe."""
    kind = "Hypencoder" if recipe.model.architecture == "hypencoder" else "bi-encoder"
    sentence = f"{escape_markdown(recipe.description)}\n\n" if recipe.description else ""
    return f"""\
{_FRONT_MATTER}
# {escape_markdown(recipe.name)}

{sentence}A {kind} of {stats["parameters"]:,} parameters, {stats["trainable_parameters"]:,} of them
trained, started from `{escape_markdown_code(start)}`.

{_USE}
Queries are read up to {stats["query_max_length"]} tokens,
passages up to {stats["passage_max_length"]}.

## Training

| | |
| --- | --- |
| data | `{escape_markdown_code(data)}`, {stats["n_rows"]:,} rows |
| losses | {", ".join(loss.type for loss in recipe.losses)} |
| steps | {stats["steps"]:,} of {recipe.training.batch_size} queries |
| learning rate | {recipe.training.learning_rate:g}, {recipe.training.schedule} |
| seed | {recipe.training.seed} |
| final loss | {stats["final_loss"]:.4f} |

The whole recipe is `{RECIPE_FILE}`; the curves are in `{CURVES_FILE}`.
"""


def plain_card(name: str, *, kind: str, source: str, stats: Mapping[str, JsonValue]) -> str:
    """Render the model card (README.md) of a model that was trained elsewhere."""
    return f"""\
{_FRONT_MATTER}
# {escape_markdown(name)}

A {kind} of {stats["parameters"]:,} parameters, taken from `{escape_markdown_code(source)}`.

{_USE}"""


def published_section(
    architecture: str, use: PublishedUse, *, local_backbones: Sequence[str]
) -> str:
    """Render the section of a card on the use with the code published with the paper."""
    if use.obstacles:
        return f"\n{_PUBLISHED}\n\nIt cannot use this model: {'; '.join(use.obstacles)}.\n"
    once = (
        ", once `model_name_or_path` in `config.json` names its encoder (twice; now it is a folder "
        "of the machine that wrote this)"
        if local_backbones
        else ""
    )
    notes = ";\n".join(f"- {difference}" for difference in use.differences)
    return f"""
{_PUBLISHED}

It loads this model{once}:

    from hypencoder_cb.modeling.hypencoder import {architecture}

    model = {architecture}.from_pretrained("path/to/this/folder")
{f"{chr(10)}Its figures differ in this:{chr(10)}{chr(10)}{notes}.{chr(10)}" if notes else ""}"""


def without_published_section(card: str) -> str:
    """Remove the section on published code, the last one, from a card."""
    return card.partition(f"\n{_PUBLISHED}\n")[0]
