"""Relevance judgements from any kind of data source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from hypencli.data.reading.judgements import collect_judgements
from hypencli.data.reading.rows import Fields
from hypencli.data.reading.source import resolve
from hypencli.records import Qrels


class Judgements(NamedTuple):
    """Judgements and their origin.

    Attributes:
        qrels: Query id -> document id -> grade.
        id: ``irds:NAME`` or ``file:NAME``.
        fingerprint: Hash of the judgements, independent of their format and order.
    """

    qrels: Qrels
    id: str
    fingerprint: str


def read_qrels(source: str | Path) -> Judgements:
    """Read judgements.

    In TREC files the second column is ignored, and lines that start with ``#`` are comments. A
    repeated judgement with the same grade counts once; with another grade it is an error. A file
    whose first line has three columns, the last no grade, is read as BEIR's: that line is a header.

    Args:
        source: An ir_datasets id, a file in one of the three formats (``.gz`` too), a BEIR folder
            (``qrels/test.tsv``), or ``PREFIX:NAME`` of an installed kind of source.

    Raises:
        DataError: The source does not exist, or a line is not a judgement; the message names it.
    """
    dataset = resolve(source, what="qrels")
    dataset.require("qrels", Fields())
    qrels = collect_judgements(dataset.qrels(), dataset.place("qrels"))
    return Judgements(qrels, dataset.qrels_id, fingerprint(qrels))


def fingerprint(qrels: Qrels) -> str:
    """Hash of judgements, independent of their order and of the format they were read from."""
    canonical = json.dumps(qrels, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
