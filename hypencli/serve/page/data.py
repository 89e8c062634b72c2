"""What the views of the page read from."""

from __future__ import annotations

from dataclasses import dataclass

from hypencli.data.qrels import read_qrels
from hypencli.ops.dataset_names import dataset_place
from hypencli.ops.report.overview import Overviews
from hypencli.ops.report.pair_view import PairViews
from hypencli.reporting.contents import Limits
from hypencli.serve.state import ServerState

LIMITS = Limits(text_characters=320, runs=24, recipe_characters=3_000)
"""Limits of what a view shows. A lineage is drawn of the first runs only."""


@dataclass(frozen=True, slots=True)
class PageData:
    """What the views of the page read from.

    Attributes:
        server: What the server answers from.
        pairs: Comparisons that were asked for last.
        overviews: Leaderboards and what belongs to them.
    """

    server: ServerState
    pairs: PairViews
    overviews: Overviews

    @classmethod
    def of(cls, server: ServerState) -> PageData:
        """Make the data of a server's page.

        Raises:
            DataError: Judgements of the settings cannot be read.
        """
        store = server.store
        judgements = [read_qrels(dataset_place(store.root, one)) for one in server.settings.qrels]
        pairs = PairViews(store, LIMITS, judgements)
        return cls(server, pairs, Overviews(store, LIMITS))
