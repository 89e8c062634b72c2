"""Calibrations: the measured recall and cost of an approximate engine, by setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hypestore.errors import InvalidContent
from hypestore.manifest import Manifest
from hypestore.tables import write_table
from hypestore.verification import read_artifact_table
from hypestore.work.work import Draft, WriteContext, plan_work

CURVE_NAME = "curve.parquet"
CURVE_SCHEMA = pa.schema(
    [
        pa.field("k", pa.int32(), nullable=False),
        pa.field("setting", pa.string(), nullable=False),
        pa.field("recall", pa.float64(), nullable=False),
        pa.field("recall_error", pa.float64(), nullable=False),
        pa.field("evaluations", pa.float64(), nullable=False),
        pa.field("milliseconds", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One setting of an engine, measured over the queries of a calibration.

    Attributes:
        k: Number of documents per query.
        setting: The options that vary, as a JSON object with sorted keys.
        recall: Mean share of the exact best ``k`` that the engine returned, 0 to 1.
        recall_error: Standard error of ``recall``.
        evaluations: Mean q-net evaluations per query.
        milliseconds: Mean time per query.
    """

    k: int
    setting: str
    recall: float
    recall_error: float
    evaluations: float
    milliseconds: float


def write_calibration(
    context: WriteContext,
    id_prefix: str,
    inputs: Mapping[str, Any],
    *,
    parents: Iterable[str],
    points: Iterable[CurvePoint],
    stats: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Manifest:
    """Write a calibration, unless it exists: equal inputs give the same calibration.

    ``Store.write_calibration`` describes the arguments.

    Raises:
        InvalidContent: A recall is outside of 0 to 1.
    """
    rows = [asdict(point) for point in points]
    for row in rows:
        if not 0.0 <= row["recall"] <= 1.0:
            raise InvalidContent(f"A calibration has the recall {row['recall']}; expected 0 to 1.")
    record = plan_work("calibration", id_prefix, inputs, parents=tuple(parents), name=None)
    with Draft(context, record, resumes=False) as draft:
        if draft.existing is None:
            table = pa.Table.from_pylist(rows, schema=CURVE_SCHEMA)
            write_table(draft.path / CURVE_NAME, table)
        return draft.commit(stats=stats, provenance=provenance)


def read_curve(folder: Path, calibration: Manifest) -> list[CurvePoint]:
    """The points of a calibration, in the order in which they were written."""
    table = read_artifact_table(folder, calibration, CURVE_NAME, CURVE_SCHEMA)
    return [CurvePoint(**row) for row in table.to_pylist()]
