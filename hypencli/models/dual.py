"""Dual encoders: a query side, a passage side, and the losses that train them.

Axes: ``q`` queries, ``n`` passages, ``t`` tokens, ``d`` width of the vectors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

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
from hypencli.models.encoder import EncoderOutput, TextEncoder, refuse_other_width
from hypencli.models.hypernet import Hypencoder
from hypencli.models.losses.base import LossOutput, NestedQueries, QueryBatch
from hypencli.models.losses.registry import make_losses
from hypencli.models.losses.self_distillation import no_query_embedding
from hypencli.models.qnets.batch import InnerProducts, QNetBatch


@dataclass
class DualEncoderOutput:
    """The output of a dual encoder for a batch; parts that were not requested are None.

    Attributes:
        loss: The sum of the losses.
        similarity: The similarities of the last loss.
        query_output: The output of the query side.
        passage_output: The output of the passage side.
        to_log: Plain numbers: each loss by name if there are several.
    """

    loss: Tensor | None = None
    similarity: Tensor | None = None
    query_output: EncoderOutput | None = None
    passage_output: EncoderOutput | None = None
    to_log: dict[str, float] | None = None


class DualEncoder(Checkpointed):
    """The base of both architectures: two encoders, which may share a backbone, and losses.

    Args:
        config: Settings of the model.
        query_encoder: The query side.
        passage_encoder: The passage side; with ``shared_encoder`` it has the same backbone.

    Attributes:
        loss_functions: The losses by name; the second of one name is ``name_2``.

    Raises:
        ModelError: The widths of the two sides differ, or a loss cannot be made.
    """

    settings: DualEncoderConfig

    def __init__(
        self,
        config: DualEncoderConfig,
        query_encoder: Hypencoder | TextEncoder,
        passage_encoder: TextEncoder,
    ) -> None:
        super().__init__()
        self.settings = config
        self.query_encoder = query_encoder
        self.passage_encoder = passage_encoder
        self.loss_functions = make_losses(config.losses)
        self._check_widths()
        self._check_query_embedding()

    def _check_widths(self) -> None:
        raise NotImplementedError

    def _check_query_embedding(self) -> None:
        query = self.settings.query
        if isinstance(query, HypencoderConfig) and query.embedding_representation is not None:
            return
        for name, loss in self.loss_functions.items():
            if loss.needs.query_embedding:
                raise no_query_embedding(name)

    def query_batch(self, output: EncoderOutput) -> QNetBatch | InnerProducts:
        """Return the queries of an output of the query encoder, ready to score passages."""
        raise NotImplementedError

    @property
    def needs_labels(self) -> bool:
        """Whether a loss needs the scores of a teacher."""
        return any(loss.needs.teacher_scores for loss in self.loss_functions.values())

    def backbones(self) -> Mapping[str, nn.Module]:
        """Return the backbone of each side, ``query`` and ``passage``."""
        return {
            "query": self.query_encoder.transformer,
            "passage": self.passage_encoder.transformer,
        }

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; frozen backbones stay in evaluation mode."""
        super().train(mode)
        return self

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights like any module; a shared backbone may have the names of either side."""
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
        """Encode one side or both, and compute the losses if both are present.

        Losses are computed in training mode, with ``labels``, with ``full_output``, and if no loss
        needs labels.

        Args:
            query_input_ids: ``[q, t]``.
            query_attention_mask: ``[q, t]``.
            passage_input_ids: ``[q * m, t]``: the passages of the first query, then of the second.
            passage_attention_mask: ``[q * m, t]``.
            labels: A teacher's scores ``[q, m]``.
            query_token_states: Token states ``[q, t, h]``, instead of ``query_input_ids``.
            passage_token_states: Token states ``[q * m, t, h]``, instead of
                ``passage_input_ids``.
            passage_embeddings: Vectors ``[q * m, d]``, instead of passages.
            full_output: Whether to compute losses in evaluation mode too.

        Raises:
            UsageError: Both sides are missing, passages come in two forms, or a loss lacks labels.
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
        losses = self.losses(self.query_batch(queries), passages.representation, labels)
        return self._with_losses(output, losses)

    def losses(
        self,
        queries: QueryBatch,
        passages: Tensor,
        labels: Tensor | None = None,
        *,
        names: Collection[str] | None = None,
    ) -> dict[str, LossOutput]:
        """Compute each loss of encoded queries and passages; return them by name.

        Q-nets with nested widths score at each width: a loss is then the mean over the widths, and
        its similarities are those of the full width.

        Args:
            queries: The ``q`` queries.
            passages: Vectors ``[q * m, d]``: those of the first query, then of the second.
            labels: A teacher's scores ``[q, m]``.
            names: Names of the losses to compute; None means all.

        Raises:
            UsageError: A loss lacks labels, or the passages cannot be divided among the queries.
        """
        by_width = [
            {
                name: loss(each, passages, labels)
                for name, loss in self.loss_functions.items()
                if names is None or name in names
            }
            for each in _at_each_width(queries)
        ]
        return {
            name: LossOutput(
                torch.stack([outputs[name].loss for outputs in by_width]).mean(), full.similarity
            )
            for name, full in by_width[-1].items()
        }

    def _wants_loss(self, labels: Tensor | None, full_output: bool) -> bool:
        asked = self.training or full_output or labels is not None
        return bool(self.loss_functions) and (asked or not self.needs_labels)

    def _with_losses(
        self, output: DualEncoderOutput, losses: dict[str, LossOutput]
    ) -> DualEncoderOutput:
        total = torch.stack([each.loss for each in losses.values()]).sum()
        to_log = {f"similarity_loss_{name}": each.loss.item() for name, each in losses.items()}
        if len(losses) == 1:
            to_log = {}
        to_log["similarity_loss"] = total.item()
        for side, encoded in (("query", output.query_output), ("passage", output.passage_output)):
            own = None if encoded is None else encoded.loss
            to_log[f"{side}_encoder_loss"] = 0.0 if own is None else own.item()
            total = total if own is None else total + own
        return DualEncoderOutput(
            loss=total,
            similarity=list(losses.values())[-1].similarity,
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


class HypencoderDualEncoder(DualEncoder):
    """A Hypencoder for queries and a text encoder for passages."""

    loaded_from: ClassVar[Mapping[str, str]] = {"HypencoderDualEncoder": ""}
    query_encoder: Hypencoder
    passage_encoder: TextEncoder

    @classmethod
    def read_settings(cls, raw: Json) -> DualEncoderConfig:
        """Return settings from a ``config.json`` of this architecture."""
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
        """Make a model around the backbones ``query`` and ``passage``, with an unset head."""
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

    def query_batch(self, output: EncoderOutput) -> QNetBatch:
        """Return the q-nets of an output of the query encoder."""
        batch: QNetBatch = output.representation
        return batch


class TextDualEncoder(DualEncoder):
    """A bi-encoder: text encoders on both sides, scored by inner products."""

    loaded_from: ClassVar[Mapping[str, str]] = {"TextDualEncoder": ""}
    query_encoder: TextEncoder
    passage_encoder: TextEncoder

    @classmethod
    def read_settings(cls, raw: Json) -> DualEncoderConfig:
        """Return settings from a ``config.json`` of this architecture."""
        shared = bool(raw.get("shared_encoder", False))
        query = text_encoder_config(raw["query_encoder_kwargs"], side_extras(raw, "query"))
        passage = text_encoder_config(raw["passage_encoder_kwargs"], side_extras(raw, "passage"))
        if shared and "hype" not in raw:
            # Published code shares the whole encoder in this case, including its pooling.
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
        """Make a model around the backbones ``query`` and ``passage``; it imports no code."""
        query = TextEncoder(settings.query, backbones["query"])
        return cls(settings, query, TextEncoder(settings.passage, backbones["passage"]))

    def _check_widths(self) -> None:
        refuse_other_width(
            self.query_encoder.width,
            expected=self.passage_encoder.width,
            what="The query vectors, against the passage vectors",
        )

    def query_batch(self, output: EncoderOutput) -> InnerProducts:
        """Return the query vectors of an output of the query encoder."""
        return InnerProducts(output.representation)


DUAL_ENCODERS: Mapping[str, type[HypencoderDualEncoder] | type[TextDualEncoder]] = {
    "HypencoderDualEncoder": HypencoderDualEncoder,
    "TextDualEncoder": TextDualEncoder,
}
"""The two architectures by their names in ``config.json``."""


def dual_class(raw: Json) -> type[HypencoderDualEncoder] | type[TextDualEncoder] | None:
    """Return the class that a ``config.json`` names, or None if it is no dual encoder."""
    for name in raw.get("architectures") or []:
        if name in DUAL_ENCODERS:
            return DUAL_ENCODERS[name]
    return None


def _at_each_width(queries: QueryBatch) -> list[QueryBatch]:
    """Return the queries at each width of their q-nets; unchanged if there is one width."""
    if not isinstance(queries, NestedQueries) or not queries.widths:
        return [queries]
    return [queries.narrow(width) for width in queries.widths]
