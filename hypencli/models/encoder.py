"""Text encoders: token states from a backbone, pooled into one vector for each text.

Axes: ``n`` texts, ``t`` tokens, ``h`` width of the token states, ``d`` width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypencli.errors import ModelError, UsageError
from hypencli.models.checkpoints.backbone import backbone_width, most_tokens
from hypencli.models.checkpoints.config import Json, Pooling, TextEncoderConfig, text_encoder_config
from hypencli.models.checkpoints.native.layers import EmptyLinear
from hypencli.models.checkpoints.pretrained import Checkpointed, extras_of


@dataclass
class EncoderOutput:
    """The output of an encoder for a batch.

    Attributes:
        representation: Vectors ``[n, d]``, or the q-nets of ``q`` queries.
        embedding_representation: The pooled query ``[q, d]`` besides q-nets, or None.
        loss: A loss of the encoder itself, or None.
    """

    representation: Any
    embedding_representation: Tensor | None = None
    loss: Tensor | None = None


def pool(token_states: Tensor, attention_mask: Tensor, *, pooling: Pooling) -> Tensor:
    """Pool token states ``[n, t, h]`` with mask ``[n, t]`` into vectors ``[n, h]``.

    Deviation: the "mean" of published code is ``mean-unmasked`` here: it sums padding too, so a
    vector depends on its batch. ``mean`` excludes padding.
    """
    if pooling == "cls":
        return token_states[:, 0]
    weights = attention_mask.to(token_states.dtype).unsqueeze(-1)
    total = (token_states * weights if pooling == "mean" else token_states).sum(dim=1)
    return total / weights.sum(dim=1).clamp(min=1)


class TokenEncoder(Checkpointed):
    """A backbone that computes token states, trained or frozen.

    A frozen backbone stays in evaluation mode (no dropout) and records no gradients, even while the
    rest is trained. So its token states can be computed once and kept.

    Args:
        transformer: A backbone of ``transformers``.
        frozen: Whether its weights are frozen.
    """

    def __init__(self, transformer: nn.Module, *, frozen: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.frozen = frozen
        if frozen:
            transformer.requires_grad_(False).eval()

    @property
    def width(self) -> int:
        """Width of the token states, ``h``."""
        config: Any = getattr(self.transformer, "native_config", None)
        return backbone_width(self.transformer.config if config is None else config)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.transformer.eval()
        return self

    def backbones(self) -> Mapping[str, nn.Module]:
        """Return the backbone, under ``encoder``."""
        return {"encoder": self.transformer}

    def token_states(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return token states ``[n, t, h]`` of token ids ``[n, t]``.

        Raises:
            ModelError: ``t`` exceeds the number of positions of the backbone.
        """
        longest = most_tokens(self.transformer)
        if longest is not None and input_ids.shape[1] > longest:
            raise ModelError(
                f"A text of {input_ids.shape[1]:,} tokens, and the encoder reads {longest:,}.",
                hint=f"Cut texts to that: `max_length={longest}` (queries: query_max_length; in a "
                "recipe data.passage_max_length and data.query_max_length).",
            )
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        states: Tensor = output.last_hidden_state
        return states

    def _states_and_mask(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, token_states: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if (input_ids is None) == (token_states is None):
            raise UsageError("An encoder needs either input_ids or token_states.")
        if token_states is None and input_ids is not None:
            token_states = self.token_states(input_ids, attention_mask)
        states: Tensor = token_states  # type: ignore[assignment]
        mask = states.new_ones(states.shape[:2]) if attention_mask is None else attention_mask
        return states, mask


class TextEncoder(TokenEncoder):
    """An encoder of texts to vectors: token states, pooled and optionally normalised.

    Args:
        config: Settings of the encoder.
        transformer: A backbone of ``transformers``.
    """

    loaded_from: ClassVar[Mapping[str, str]] = {
        "TextEncoder": "",
        "HypencoderDualEncoder": "passage_encoder.",
        "TextDualEncoder": "passage_encoder.",
    }
    settings: TextEncoderConfig

    def __init__(self, config: TextEncoderConfig, transformer: nn.Module) -> None:
        super().__init__(transformer, frozen=config.freeze_transformer)
        self.settings = config
        self.projection: nn.Linear | None = None
        if config.query_projection is not None:
            self.projection = empty_linear(self.width, self.width, bias=False)
            with torch.no_grad():
                self.projection.weight.copy_(config.query_projection * torch.eye(self.width))

    @classmethod
    def read_settings(cls, raw: Json) -> TextEncoderConfig:
        """Return settings from its own ``config.json``, or from that of a dual encoder."""
        return text_encoder_config(
            raw.get("passage_encoder_kwargs", raw), extras_of(raw, "passage")
        )

    @classmethod
    def assemble(
        cls, settings: Any, backbones: Mapping[str, nn.Module], *, trust_code: bool = False
    ) -> Self:
        """Make an encoder around the backbone ``encoder``; it imports no code."""
        return cls(settings, backbones["encoder"])

    @property
    def pooling(self) -> Pooling:
        """The pooling of token states into one vector."""
        return self.settings.pooling

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        token_states: Tensor | None = None,
    ) -> EncoderOutput:
        """Encode texts; return vectors ``[n, d]`` as ``representation``.

        Args:
            input_ids: ``[n, t]``.
            attention_mask: ``[n, t]``, 1 for tokens and 0 for padding; None means no padding.
            token_states: Token states ``[n, t, h]``, instead of ``input_ids``.

        Raises:
            UsageError: Both ids and token states are passed, or neither.
        """
        states, mask = self._states_and_mask(input_ids, attention_mask, token_states)
        vectors = pool(states, mask, pooling=self.settings.pooling)
        if self.settings.normalize:
            vectors = functional.normalize(vectors, dim=-1)
        # The projection comes last: it may scale, and normalising would undo that.
        return EncoderOutput(vectors if self.projection is None else self.projection(vectors))


def empty_linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear layer with uninitialised weights; draw no random numbers."""
    return EmptyLinear(inputs, outputs, bias=bias)


def refuse_other_width(width: int, *, expected: int, what: str) -> None:
    """Refuse parts whose widths differ.

    Raises:
        ModelError: The widths differ.
    """
    if width != expected:
        raise ModelError(f"{what}: got width {width}, expected {expected}.")
