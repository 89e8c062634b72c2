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
    """How one dataset is made.

    Attributes:
        name: What it is called.
        holds: What comes out.
        about: What it is, in a line.
        source: Where it is from, in a line.
        options: Which settings of a :class:`Job` change it.
        next: What to do with it; ``{place}`` stands for what the dataset is called by.
        run: Makes it.
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
"""By name."""


def find_preparation(name: str) -> DatasetPreparation:
    """How the dataset of a name is made; ``FollowIR_train`` is ``followir-train``.

    Raises:
        UsageError: There is no such dataset.
    """
    preparation = PREPARATIONS.get(name.lower().replace("_", "-"))
    if preparation is None:
        raise UsageError(f"No dataset {name!r} to prepare.", hint=did_you_mean(name, PREPARATIONS))
    return preparation
