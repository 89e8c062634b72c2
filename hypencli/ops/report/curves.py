"""Training curves for an HTML report, from the catalog."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hypencli.reporting.contents import Leaderboard, ModelCurves, Points
from hypestore import Manifest, Store, Unfinished

LOSS, VALIDATION = "loss", "validation."
"""Name of the loss, and the beginning of the names of validation measures."""

_SHOWN = f"(name = '{LOSS}' OR name LIKE '{VALIDATION}%')"


def curves_of(
    store: Store, boards: Sequence[Leaderboard], *, models: int, points: int
) -> tuple[tuple[ModelCurves, ...], int]:
    """Gather the curves of loss and validation measures of trained models.

    Unfinished trainings come first, then the models of the leaderboards in their order, then other
    models, newest first.

    Args:
        store: The project store.
        boards: The leaderboards.
        models: Maximum number of models.
        points: Maximum number of points of a curve, at least 4.

    Returns:
        The curves, and the number of models left out.
    """
    rows = store.catalog.query(f"SELECT DISTINCT model FROM training_curves WHERE {_SHOWN}").rows
    trained = {str(model) for (model,) in rows}
    models_by_id: dict[str, Manifest | Unfinished] = {}
    models_by_id |= {one.id: one for one in store.artifacts("model")}
    models_by_id |= {one.id: one for one in store.unfinished("model")}
    unfinished = [work.id for work in reversed(store.unfinished("model"))]
    order = [*unfinished, *_of_boards(store, boards), *reversed(models_by_id)]
    wanted = [model for model in dict.fromkeys(order) if model in trained and model in models_by_id]
    curves = [_model_curves(store, models_by_id[model], points) for model in wanted[:models]]
    return tuple(curves), max(0, len(wanted) - models)


def _of_boards(store: Store, boards: Sequence[Leaderboard]) -> Iterable[str]:
    """Ids of the models of the leaderboards' runs, best first."""
    runs = {run.id: run for run in store.artifacts("run")}
    for entry in (entry for board in boards for entry in board.entries):
        model = runs[entry.run].inputs.get("model") if entry.run in runs else None
        if isinstance(model, str):
            yield model


def _model_curves(store: Store, model: Manifest | Unfinished, count: int) -> ModelCurves:
    quoted = model.id.replace("'", "''")
    result = store.catalog.query(
        f"SELECT name, step, value FROM training_curves WHERE model = '{quoted}' AND {_SHOWN} "
        "ORDER BY name, step"
    )
    return curves_from(model, result.rows, count)


def curves_from(
    model: Manifest | Unfinished, points: Iterable[Sequence[Any]], count: int
) -> ModelCurves:
    """Make the curves of a model.

    Args:
        model: The model, finished or not.
        points: Points ``(name, step, value)``, those of a name in the order of steps.
        count: Maximum number of points of a curve, at least 4.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    not_finite: dict[str, int] = {}
    for name, step, value in points:
        curve = curves.setdefault(name, [])
        if value is None or not math.isfinite(value):
            not_finite[name] = not_finite.get(name, 0) + 1
        else:
            curve.append((step, value))
    recipe = model.inputs.get("recipe")
    return ModelCurves(
        model=model.id,
        label=model.name or model.id,
        recipe=recipe if isinstance(recipe, str) else None,
        curves={name: thinned(some, count) for name, some in curves.items()},
        not_finite=not_finite,
        unfinished=isinstance(model, Unfinished),
    )


def thinned(points: Sequence[tuple[int, float]], count: int) -> Points:
    """Thin a curve to at most ``count`` points.

    The curve is cut into equal parts. Kept are the minimum and the maximum of each part, and both
    ends.

    Args:
        points: Points ``(step, value)``, ordered by step.
        count: Maximum number of points, at least 4.
    """
    if len(points) <= count:
        return tuple(points)
    n_parts = (count - 2) // 2
    inner, kept = points[1:-1], {0, len(points) - 1}
    for part in range(n_parts):
        start, stop = (len(inner) * edge // n_parts for edge in (part, part + 1))
        places = range(start + 1, stop + 1)
        kept |= {
            min(places, key=lambda place: points[place][1]),
            max(places, key=lambda place: points[place][1]),
        }
    return tuple(points[place] for place in sorted(kept))
