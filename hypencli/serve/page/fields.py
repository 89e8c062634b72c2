"""Fields of the page's addresses. A field that a form leaves empty has its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hypencli.ops.report.pair_view import Order, PairPlan, QueryFilter
from hypencli.ops.report.pair_view import Side as QuerySide
from hypencli.serve.asking import DEFAULT_K

Name = Annotated[str, Field(max_length=1_000)]
Text = Annotated[str, Field(max_length=10_000)]


class PageFields(BaseModel):
    """The base class of fields. ``part`` asks for what changes, without the rest of the page."""

    model_config = ConfigDict(frozen=True)

    part: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: Any) -> Any:
        return {name: value for name, value in dict(values).items() if value != ""}


class SearchPage(PageFields):
    """A question, and how one or two sides answer it."""

    q: Text = ""
    k: Annotated[int, Field(ge=1)] = DEFAULT_K
    model: Name = ""
    embeddings: Name = ""
    engine: Name = ""
    model_b: Name = ""
    embeddings_b: Name = ""
    engine_b: Name = ""


class DocumentPage(PageFields):
    """A document, and the question whose terms are marked in it."""

    id: Text
    embeddings: Name = ""
    q: Text = ""


class PairFields(PageFields):
    """Two runs, judgements and a measure."""

    a: Name = ""
    b: Name = ""
    qrels: Name = ""
    measure: Name = ""

    def plan(self, a: str, b: str) -> PairPlan:
        """Return the comparison of two runs."""
        return PairPlan(a, b, self.qrels or None, ())


class QueryPage(PairFields):
    """One query of two runs."""

    query: Text


class PairRows(PairFields):
    """The queries of two runs that a filter keeps."""

    text: Name = ""
    least: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    side: QuerySide = "all"
    order: Order = "change"

    @property
    def filter(self) -> QueryFilter:
        """The filter."""
        return QueryFilter(text=self.text, least=self.least, side=self.side, order=self.order)

    def address_fields(self) -> dict[str, object]:
        """Return the fields that an address needs to show the same rows."""
        names = ("a", "b", "qrels", "measure", "text", "least", "side", "order")
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


class PairPage(PairRows):
    """A page of these queries, from 1."""

    page: Annotated[int, Field(ge=1, le=10**6)] = 1


class PairExport(PairRows):
    """A file of these queries."""

    format: Literal["csv", "json"] = "csv"


class RunsFields(PageFields):
    """Which runs are shown."""

    qrels: Name = ""
    engine: Name = ""
    model: Name = ""
    text: Name = ""
