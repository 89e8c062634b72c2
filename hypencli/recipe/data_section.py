"""``[data]`` and ``[[losses]]``: what a model is trained on, and towards what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hypencli.recipe.section import NOT_IDENTITY, Section


class DataSection(Section):
    """``[data]``: what it is trained on."""

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


class LossSection(Section):
    """``[[losses]]``: several add up."""

    type: Literal["margin_mse", "cross_entropy", "self_distillation"] = Field(
        description="margin_mse (needs the score of a teacher on every item), cross_entropy, or "
        "self_distillation (a q-net learns the scores of the model's own query embedding; needs "
        "no labels)"
    )
    scale: float = Field(1.0, gt=0, description="factor of this loss in the sum")
    from_step: int = Field(0, ge=0, description="the loss counts from this step on")
    until_step: int | None = Field(
        None, ge=1, description="the loss counts in the steps before this one; none: to the end"
    )
    use_in_batch_negatives: bool = Field(
        True, description="cross_entropy: the passages of the other queries are negatives too"
    )
    only_use_first_item: bool = Field(
        False, description="cross_entropy in the batch: only the positive of each other query"
    )
    teacher_scale: float = Field(
        1.0,
        gt=0,
        description="self_distillation: factor of the inner products that are learned",
    )

    @model_validator(mode="after")
    def _options_of_the_type(self) -> LossSection:
        owners = {
            "use_in_batch_negatives": "cross_entropy",
            "only_use_first_item": "cross_entropy",
            "teacher_scale": "self_distillation",
        }
        for name, owner in owners.items():
            default = type(self).model_fields[name].default
            if self.type != owner and getattr(self, name) != default:
                raise ValueError(f"{name} is for type = {owner!r}")
        if self.only_use_first_item and not self.use_in_batch_negatives:
            raise ValueError("only_use_first_item needs use_in_batch_negatives = true")
        if self.until_step is not None and self.until_step <= self.from_step:
            raise ValueError("until_step must be after from_step: the loss would never count")
        return self
