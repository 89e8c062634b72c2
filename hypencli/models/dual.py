"""Dual encoders: a query side, a passage side, and the losses that train them.

Axes: ``q`` queries, ``n`` passages, ``t`` tokens, ``d`` width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from hypencli.errors import UsageError
from hypencli.models.checkpoints.config import (
    DualEncoderConfig,
    HypencoderConfig,
    Json,
    hypencoder_config,
    loss_configs,
    side_extras,
    text_encoder_config,
)
from hypencli.models.checkpoints.pretrained import Checkpointed
from hypencli.models.checkpoints.weights import mirror_shared
from hypencli.models.encoder import (
    EncoderOutput,
    TextEncoder,
    refuse_other_width,
)
from hypencli.models.hypernet import Hypencoder
from hypencli.models.losses import (
    LossOutput,
    QueryBatch,
    make_losses,
    no_query_embedding,
)
from hypencli.models.qnets.batch import InnerProducts

_NOT_FOR_METRICS = ("query_output", "passage_output", "to_log")
"""Fields of the output that a trainer does not gather while it evaluates."""


@dataclass
class DualEncoderOutput(ModelOutput):
    """What a dual encoder gives for a batch; what was not asked for is None.

    Attributes:
        loss: The losses' sum.
        similarity: The last loss's similarities.
        query_output: The query side's output.
        passage_output: The passage side's output.
        to_log: Plain numbers, each loss by name where there are several.
    """

    # The loss is first: of an output whose first field alone is set, the library reads that field
    # as the whole output, and published code loses the queries of a query-only call by it.
    loss: Tensor | None = None
    similarity: Tensor | None = None
    query_output: EncoderOutput | None = None
    passage_output: EncoderOutput | None = None
    to_log: dict[str, float] | None = None


class DualEncoder(Checkpointed, PreTrainedModel):  # type: ignore[misc,no-untyped-call]
    """What both architectures share: two encoders, perhaps of one backbone, and losses.

    It is a ``PreTrainedModel`` so that the trainer of ``transformers`` trains and checkpoints it;
    loading and saving are our own.

    Args:
        config: Its settings.
        query_encoder: The query side.
        passage_encoder: The passage side; with ``shared_encoder`` it has the same backbone.

    Raises:
        ModelError: The two sides' widths do not meet, or a loss cannot be made.
    """

    config_class = PretrainedConfig
    supports_gradient_checkpointing = True

    settings: DualEncoderConfig

    def __init__(
        self,
        config: DualEncoderConfig,
        query_encoder: Hypencoder | TextEncoder,
        passage_encoder: TextEncoder,
    ) -> None:
        published = PretrainedConfig(**config.published())
        published.keys_to_ignore_at_inference = list(_NOT_FOR_METRICS)
        PreTrainedModel.__init__(self, published)
        self.settings = config
        self.query_encoder = query_encoder
        self.passage_encoder = passage_encoder
        self._losses = make_losses(config.losses)
        self._loss_names = _numbered([loss.name for loss in config.losses])
        self._check_widths()
        if any(loss.needs_query_embedding for loss in self._losses):
            self._check_query_embedding()

    def _check_widths(self) -> None:
        raise NotImplementedError

    def _check_query_embedding(self) -> None:
        query = self.settings.query
        if not isinstance(query, HypencoderConfig) or query.embedding_representation is None:
            raise no_query_embedding()

    def _queries(self, output: EncoderOutput) -> QueryBatch:
        raise NotImplementedError

    def backbones(self) -> Mapping[str, nn.Module]:
        """The backbone of each side, ``query`` and ``passage``."""
        return {
            "query": self.query_encoder.transformer,
            "passage": self.passage_encoder.transformer,
        }

    def train(self, mode: bool = True) -> Self:
        """Switches to training; frozen backbones stay in evaluation mode."""
        super().train(mode)
        return self

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As of any module; a shared backbone may be there under either side's names."""
        if self.settings.shared_encoder:
            state_dict = mirror_shared(state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def forward(
        self,
        query_input_ids: Tensor | None = None,
        query_attention_mask: Tensor | None = None,
        passage_input_ids: Tensor | None = None,
        passage_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        query_token_states: Tensor | None = None,
        passage_token_states: Tensor | None = None,
        passage_embeddings: Tensor | None = None,
        full_output: bool = False,
    ) -> DualEncoderOutput:
        """Encodes one side or both, and computes the losses where both are there.

        Losses are computed while training, with ``labels``, with ``full_output``, and whenever none
        of them needs labels.

        Args:
            query_input_ids: ``[q, t]``.
            query_attention_mask: ``[q, t]``.
            passage_input_ids: ``[q * m, t]``: the passages of the first query, then of the second.
            passage_attention_mask: ``[q * m, t]``.
            labels: A teacher's scores ``[q, m]``.
            query_token_states: ``[q, t, h]`` made before, instead of ``query_input_ids``.
            passage_token_states: The same for passages.
            passage_embeddings: Vectors ``[q * m, d]`` made before, instead of passages.
            full_output: Whether to compute losses in evaluation mode too.

        Raises:
            UsageError: Neither side is given, passages in two forms, or a loss lacks labels.
        """
        queries = self._encode(
            self.query_encoder, query_input_ids, query_attention_mask, query_token_states
        )
        passages = self._encode(
            self.passage_encoder, passage_input_ids, passage_attention_mask, passage_token_states
        )
        if passage_embeddings is not None:
            if passages is not None:
                raise UsageError("Give passages as ids, token states or embeddings: one of them.")
            passages = EncoderOutput(passage_embeddings)
        if queries is None and passages is None:
            raise UsageError("A dual encoder needs queries, passages, or both.")
        output = DualEncoderOutput(query_output=queries, passage_output=passages)
        if queries is None or passages is None or not self._wants_loss(labels, full_output):
            return output
        losses = self.losses(queries, passages, labels)
        return self._with_losses(output, losses)

    def losses(
        self, queries: EncoderOutput, passages: EncoderOutput, labels: Tensor | None = None
    ) -> list[LossOutput]:
        """Each configured loss of encoded queries and passages.

        Raises:
            UsageError: A loss lacks labels, or the passages cannot be divided among the queries.
        """
        batch = self._queries(queries)
        return [loss(batch, passages.representation, labels) for loss in self._losses]

    def _wants_loss(self, labels: Tensor | None, full_output: bool) -> bool:
        asked = self.training or full_output or labels is not None
        return bool(self._losses) and (asked or not any(loss.needs_labels for loss in self._losses))

    def _with_losses(
        self, output: DualEncoderOutput, losses: list[LossOutput]
    ) -> DualEncoderOutput:
        total = torch.stack([each.loss for each in losses]).sum()
        by_name = zip(self._loss_names, losses, strict=True)
        to_log = {f"similarity_loss_{name}": each.loss.item() for name, each in by_name}
        if len(losses) == 1:
            to_log = {}
        to_log["similarity_loss"] = total.item()
        for side, encoded in (("query", output.query_output), ("passage", output.passage_output)):
            own = None if encoded is None else encoded.loss
            to_log[f"{side}_encoder_loss"] = 0.0 if own is None else own.item()
            total = total if own is None else total + own
        return DualEncoderOutput(
            loss=total,
            similarity=losses[-1].similarity,
            query_output=output.query_output,
            passage_output=output.passage_output,
            to_log=to_log,
        )

    @staticmethod
    def _encode(
        encoder: Hypencoder | TextEncoder,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        token_states: Tensor | None,
    ) -> EncoderOutput | None:
        if input_ids is None and token_states is None:
            return None
        output: EncoderOutput = encoder(input_ids, attention_mask, token_states=token_states)
        return output


class HypencoderDualEncoder(DualEncoder):  # type: ignore[no-untyped-call]
    """A Hypencoder for queries and a text encoder for passages."""

    loaded_from: ClassVar[Mapping[str, str]] = {"HypencoderDualEncoder": ""}
    query_encoder: Hypencoder
    passage_encoder: TextEncoder

    @classmethod
    def read_settings(cls, raw: Json) -> DualEncoderConfig:
        """Settings from a ``config.json`` of this architecture."""
        return DualEncoderConfig(
            query=hypencoder_config(raw["query_encoder_kwargs"], side_extras(raw, "query")),
            passage=text_encoder_config(raw["passage_encoder_kwargs"], side_extras(raw, "passage")),
            shared_encoder=bool(raw.get("shared_encoder", False)),
            losses=loss_configs(raw),
        )

    @classmethod
    def assemble(
        cls,
        settings: Any,
        backbones: Mapping[str, nn.Module],
        *,
        trust_code: bool = False,
    ) -> Self:
        """A model around the backbones ``query`` and ``passage``; its head is yet to be filled."""
        query = Hypencoder(settings.query, backbones["query"], trust_code=trust_code)
        return cls(settings, query, TextEncoder(settings.passage, backbones["passage"]))

    def _check_widths(self) -> None:
        items = getattr(self.query_encoder.weight_to_model_converter, "dim", None)
        if items is not None:
            refuse_other_width(
                items,
                expected=self.passage_encoder.width,
                what="The first of the q-net's vector_dimensions, against the passage vectors",
            )

    def _queries(self, output: EncoderOutput) -> QueryBatch:
        batch: QueryBatch = output.representation
        return batch


class TextDualEncoder(DualEncoder):  # type: ignore[no-untyped-call]
    """A bi-encoder: text encoders on both sides, scored by inner products."""

    loaded_from: ClassVar[Mapping[str, str]] = {"TextDualEncoder": ""}
    query_encoder: TextEncoder
    passage_encoder: TextEncoder

    @classmethod
    def read_settings(cls, raw: Json) -> DualEncoderConfig:
        """Settings from a ``config.json`` of this architecture."""
        shared = bool(raw.get("shared_encoder", False))
        query = text_encoder_config(raw["query_encoder_kwargs"], side_extras(raw, "query"))
        passage = text_encoder_config(raw["passage_encoder_kwargs"], side_extras(raw, "passage"))
        if shared and "hype" not in raw:
            # Published code shares the whole encoder here, pooling too.
            passage = replace(passage, pooling=query.pooling)
        return DualEncoderConfig(
            query=query, passage=passage, shared_encoder=shared, losses=loss_configs(raw)
        )

    @classmethod
    def assemble(
        cls,
        settings: Any,
        backbones: Mapping[str, nn.Module],
        *,
        trust_code: bool = False,
    ) -> Self:
        """A model around the backbones ``query`` and ``passage``; there is no code to trust."""
        query = TextEncoder(settings.query, backbones["query"])
        return cls(settings, query, TextEncoder(settings.passage, backbones["passage"]))

    def _check_widths(self) -> None:
        refuse_other_width(
            self.query_encoder.width,
            expected=self.passage_encoder.width,
            what="The query vectors, against the passage vectors",
        )

    def _queries(self, output: EncoderOutput) -> QueryBatch:
        return InnerProducts(output.representation)


DUAL_ENCODERS: Mapping[str, type[HypencoderDualEncoder] | type[TextDualEncoder]] = {
    "HypencoderDualEncoder": HypencoderDualEncoder,
    "TextDualEncoder": TextDualEncoder,
}
"""The two architectures by the names that ``config.json`` has."""


def dual_class(raw: Json) -> type[HypencoderDualEncoder] | type[TextDualEncoder] | None:
    """The class that a ``config.json`` names, or None if it is not a dual encoder's."""
    for name in raw.get("architectures") or []:
        if name in DUAL_ENCODERS:
            return DUAL_ENCODERS[name]
    return None


def _numbered(names: list[str]) -> list[str]:
    """``names`` with a number added to those that came before."""
    return [
        name if name not in names[:i] else f"{name}_{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
