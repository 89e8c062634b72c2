"""Relevance judgements of any kind of data source."""

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
    """Judgements and where they came from.

    Attributes:
        qrels: Query id -> document id -> grade.
        id: ``irds:NAME`` or ``file:NAME``.
        fingerprint: Hash of the judgements themselves, whatever their format and order.
    """

    qrels: Qrels
    id: str
    fingerprint: str


def read_qrels(source: str | Path) -> Judgements:
    """Read judgements.

    In TREC files the second column is not used, and lines that start with ``#`` are comments. One
    document judged twice for a query with the same grade counts once; with two grades it is an
    error.

    Args:
        source: An ir_datasets id, a file in one of the three formats (``.gz`` too), a BEIR folder
            (``qrels/test.tsv``), or what an installed kind of source reads.

    Raises:
        DataError: There is no such source, or a line is not a judgement; file and line are named.
    """
    dataset = resolve(source, what="qrels")
    dataset.require("qrels", Fields())
    qrels = collect_judgements(dataset.qrels(), dataset.place("qrels"))
    return Judgements(qrels, dataset.qrels_id, fingerprint(qrels))


def fingerprint(qrels: Qrels) -> str:
    """Hash of judgements, the same for every order and format they were read from."""
    canonical = json.dumps(qrels, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
