"""``[data]`` and ``[[losses]]``: the training data and the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hypencli.errors import ModelError, UsageError
from hypencli.models.losses.base import Loss
from hypencli.models.losses.registry import LOSSES, loss_class, loss_names
from hypencli.option_fields import describe_options, option_hints, parse_options
from hypencli.recipe.section import NOT_IDENTITY, Section


class DataSection(Section):
    """``[data]``: the training data."""

    train: str | None = Field(
        None,
        min_length=1,
        description="training rows: a JSONL (.gz too) or Parquet file, a folder of such, a "
        "prepared dataset of the store, or a dataset on the hub; a row is "
        '{"query": {"id", "content"}, "items": [{"id", "content", "score", "type"}]}',
        json_schema_extra=NOT_IDENTITY,
    )
    split: str = Field(
        "train",
        min_length=1,
        description="of a folder or dataset with several splits, the one to train on",
        json_schema_extra=NOT_IDENTITY,
    )
    positives: Literal["first", "type", "score_above"] = Field(
        "first", description="which items of a row are relevant; one is drawn for each step"
    )
    positive_type: str = Field(
        "positive", min_length=1, description="with positives = type: the type of a relevant item"
    )
    positive_score: float = Field(
        0.0, description="with positives = score_above: relevant items score above this"
    )
    negatives_per_query: int = Field(
        7, ge=0, le=10_000, description="other items of the row drawn for each query and step"
    )
    too_few_negatives: Literal["error", "repeat", "skip"] = Field(
        "error", description="what to do with rows of fewer negatives than that"
    )
    random_negatives: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="passages drawn at random for each batch, negatives to all of its queries in "
        "in-batch cross-entropy",
    )
    random_negatives_from: str | None = Field(
        None,
        min_length=1,
        description="corpus (JSONL with id and text) to draw them from; none: the training file",
        json_schema_extra=NOT_IDENTITY,
    )
    query_max_length: int = Field(64, ge=3, le=65_536, description="longest query in tokens")
    passage_max_length: int = Field(256, ge=3, le=65_536, description="longest passage in tokens")
    workers: int = Field(
        0,
        ge=0,
        le=256,
        description="processes that make batches beside each training process; 0: none",
        json_schema_extra=NOT_IDENTITY,
    )


class _LossTable(Section):
    """Fields of every ``[[losses]]`` table; :func:`_option_fields` adds the options of losses."""

    type: str = Field(
        description=", ".join(f"{name} ({loss.help})" for name, loss in LOSSES.items()),
        json_schema_extra={"choices": list(LOSSES)},
    )
    scale: float = Field(1.0, gt=0, description="factor of this loss in the sum")
    from_step: int = Field(0, ge=0, description="the loss counts from this step on")
    until_step: int | None = Field(
        None, ge=1, description="the loss counts in the steps before this one; none: to the end"
    )

    @field_validator("type")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            loss_class(name)
        except ModelError as error:
            expected = " or ".join(repr(each) for each in loss_names())
            raise PydanticCustomError(
                "literal_error", "Input should be {expected}", {"expected": expected}
            ) from error
        return name

    @model_validator(mode="after")
    def _parts_agree(self) -> _LossTable:
        try:
            contradiction = self.function().contradiction()
        except UsageError as error:
            raise ValueError(error.message.rstrip(".")) from error
        if contradiction is not None:
            raise ValueError(contradiction)
        if self.until_step is not None and self.until_step <= self.from_step:
            raise ValueError("until_step must be after from_step: the loss would never count")
        return self

    def own_options(self) -> dict[str, JsonValue]:
        """Return the options of this loss that differ from their defaults, including ``scale``.

        Raises:
            UsageError: An option of another loss is set.
        """
        common = {*_LossTable.model_fields, "options"} - {"scale"}
        changed = self.model_dump(exclude=common, exclude_defaults=True)
        own = option_hints(loss_class(self.type))
        for name in changed.keys() - own.keys():
            raise UsageError(f"{name} is for type = {_OWNERS[name]!r}")
        return {**changed, **(getattr(self, "options", None) or {})}

    def function(self) -> Loss:
        """Create the loss of this table.

        Raises:
            UsageError: An option does not exist, or a value is out of bounds.
        """
        return parse_options(loss_class(self.type), self.own_options(), of=f"the loss {self.type}")


_OWNERS = {one: name for name, loss in LOSSES.items() for one in option_hints(loss)}
"""Option -> shipped loss that declares it."""


def _option_fields() -> dict[str, Any]:
    """Return the options of all shipped losses as fields of one table."""
    fields: dict[str, Any] = {}
    for name, loss in LOSSES.items():
        hints = option_hints(loss)
        for one in describe_options(loss):
            if one.name not in _LossTable.model_fields:
                described = Field(description=f"{name}: {one.help}")
                fields[one.name] = (Annotated[hints[one.name], described], one.default)
    return fields


if TYPE_CHECKING:

    class LossSection(_LossTable):
        """``[[losses]]``: one term of the total loss, which is the sum of all."""

else:
    LossSection = create_model(
        "LossSection",
        __base__=_LossTable,
        __doc__="``[[losses]]``: several add up.",
        __module__=__name__,
        **_option_fields(),
        options=(
            dict[str, JsonValue] | None,
            Field(None, description="options of a loss that an installed package offers"),
        ),
    )
