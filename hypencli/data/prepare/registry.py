"""The datasets that can be prepared, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hypencli.data.prepare.dl_hard import prepare_dl_hard
from hypencli.data.prepare.followir_test import prepare_followir_test
from hypencli.data.prepare.followir_train import prepare_followir_train
from hypencli.data.prepare.job import Job, PreparedParts
from hypencli.data.prepare.tot_test import prepare_tot_test
from hypencli.data.prepare.tot_train import prepare_tot_train
from hypencli.errors import UsageError, did_you_mean

Holds: TypeAlias = Literal["training rows", "collections", "collection", "queries"]


@dataclass(frozen=True, slots=True)
class DatasetPreparation:
    """The preparation of one dataset.

    Attributes:
        name: Name of the dataset.
        holds: Kind of its content.
        about: Description in one line.
        source: Origin in one line.
        options: Settings of :class:`Job` that affect the result.
        next: Commands to run next; ``{place}`` stands for the name of the dataset.
        run: Writes the dataset.
    """

    name: str
    holds: Holds
    about: str
    source: str
    next: tuple[str, ...]
    run: Callable[[Job], PreparedParts]
    options: frozenset[str] = frozenset()


_SEARCH = "hype search {place} --query-max-length 512"

_ALL = (
    DatasetPreparation(
        "followir-train",
        "training rows",
        "MS MARCO queries with instructions, and negatives that break them",
        "the hub: samaya-ai/msmarco-w-instructions",
        ("hype data check {place}", "hype train followir --set data.train={place}"),
        prepare_followir_train,
        options=frozenset({"seed", "all_queries"}),
    ),
    DatasetPreparation(
        "followir-test",
        "collections",
        "Robust04, Core17 and News21 with instructions, original and changed, to re-rank",
        "the hub: jhu-clsp/robust04-instructions, core17-instructions, news21-instructions",
        (
            "hype encode {place}/robust04",
            "hype search {place}/robust04/queries.og.jsonl --corpus {place}/robust04 "
            "--qrels {place}/robust04/qrels.og.txt --query-max-length 512 "
            "--rerank-lists {place}/robust04/top_ranked.trec",
        ),
        prepare_followir_test,
    ),
    DatasetPreparation(
        "tot-train",
        "training rows",
        "Reddit: books and movies that were on the tip of somebody's tongue",
        "GitHub: samarthbhargav/tomt-data",
        ("hype data check {place}", "hype train tot --set data.train={place}"),
        prepare_tot_train,
    ),
    DatasetPreparation(
        "tot-test",
        "collection",
        "TREC Tip-of-the-Tongue 2023, development queries, on a part of Wikipedia",
        "ir_datasets: trec-tot/2023/dev",
        ("hype encode {place}", _SEARCH),
        prepare_tot_test,
    ),
    DatasetPreparation(
        "dl-hard-test",
        "queries",
        "DL-HARD on MS MARCO passages, with the judgements of TREC alone",
        "ir_datasets: msmarco-passage/trec-dl-hard; GitHub: grill-lab/DL-Hard",
        ("hype encode msmarco-passage", "hype search {place}"),
        prepare_dl_hard,
    ),
)

PREPARATIONS = {one.name: one for one in _ALL}
"""Name -> preparation."""


def find_preparation(name: str) -> DatasetPreparation:
    """Find the preparation of a dataset; ``FollowIR_train`` means ``followir-train``.

    Raises:
        UsageError: The name is unknown.
    """
    preparation = PREPARATIONS.get(name.lower().replace("_", "-"))
    if preparation is None:
        raise UsageError(f"No dataset {name!r} to prepare.", hint=did_you_mean(name, PREPARATIONS))
    return preparation
