"""Cross-encoders, which read a query and a passage together: teachers for distillation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from hypencli.errors import ModelError
from hypencli.models.checkpoints.backbone import refuse_unknown_tokens
from hypencli.models.checkpoints.sentence import load_tokenizer
from hypencli.models.checkpoints.tokenizer_bounds import refusing_panics
from hypencli.models.checkpoints.untrusted import (
    library_errors,
    reason,
    refuse_unless_filled,
    refuse_unsafe,
)
from hypencli.models.checkpoints.weights import (
    locate,
    make_private,
    refuse_non_finite,
    refuse_odd_parts,
)
from hypencli.models.encoding import (
    TOKEN_BUDGET,
    EncodingOptions,
    batch_workers,
    largest_of,
    pad,
)


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A sequence classifier whose output is the relevance of a passage to a query.

    Attributes:
        model: The classifier.
        tokenizer: Its tokenizer.
        label: The index of the output that is relevance.
        longest: The largest number of tokens it reads.
    """

    model: PreTrainedModel
    tokenizer: Any
    label: int
    longest: int


class _Pair(NamedTuple):
    """Token ids of a pair, and the segment of each token if the model takes segments."""

    ids: list[int]
    types: list[int] | None


def load_cross_encoder(source: str | Path, *, label: str | None = None) -> CrossEncoder:
    """Load a cross-encoder in evaluation mode, in float32, on the CPU.

    Args:
        source: A folder, or a name on the hub.
        label: The output that is relevance, by name or number; needed if there are several.

    Raises:
        ModelError: The model does not exist, is damaged, is not a complete classifier, has weights
            that are not finite, or has several outputs of which none is named.
    """
    folder = locate(source)
    try:
        with _without_report():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            refuse_unsafe(config, where=str(source))
            refuse_odd_parts(folder)
            refuse_unless_filled(AutoModelForSequenceClassification.from_config, config, folder)
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=False,
                weights_only=True,
            )
    except ModelError:
        raise
    except library_errors() as error:
        raise ModelError(
            f"No cross-encoder can be loaded from {source}: {reason(error)}"
        ) from error
    make_private(model)
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ModelError(
            f"{source} is no cross-encoder: it has no weights for {', '.join(missing[:4])}, which "
            "would be random.",
            hint="Name a trained sequence classifier, or take the encoder as a bi-encoder: "
            f"`bi_encoder={source!r}`",
        )
    refuse_non_finite(model, where=f"the cross-encoder {source}")
    tokenizer = load_tokenizer(source)
    if tokenizer.pad_token_id is None:
        raise ModelError(f"The tokenizer of {source} has no padding token.")
    model.eval()
    return CrossEncoder(model, tokenizer, _label(model, label, source), _longest(model, tokenizer))


@contextmanager
def _without_report() -> Iterator[None]:
    """Silence the library's report of missing weights, which are refused here."""
    library: Any = logging
    verbosity = library.get_verbosity()
    library.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        library.set_verbosity(verbosity)


def _label(model: PreTrainedModel, named: str | None, source: str | Path) -> int:
    names = {int(i): str(name) for i, name in (model.config.id2label or {}).items()}
    if named is None:
        if len(names) == 1:
            return 0
        listed = ", ".join(f"{i} ({name})" for i, name in names.items())
        raise ModelError(
            f"{source} has {len(names)} outputs: {listed}; one of them must be relevance.",
            hint="Name it: `label=NAME_OR_NUMBER`",
        )
    matches = [i for i, name in names.items() if named in (name, str(i))]
    if not matches:
        listed = ", ".join(f"{i} ({name})" for i, name in names.items())
        raise ModelError(f"{source} has no output {named!r}.", hint=f"It has: {listed}.")
    return matches[0]


def _longest(model: PreTrainedModel, tokenizer: Any) -> int:
    """Return the most tokens of a pair, by the tokenizer and by the positions of the model."""
    positions = getattr(model.config, "max_position_embeddings", None)
    declared = int(tokenizer.model_max_length)
    return declared if positions is None else min(declared, int(positions))


def score_pairs(
    cross_encoder: CrossEncoder,
    pairs: Sequence[tuple[str, str]],
    options: EncodingOptions,
    on_scored: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Score ``(query, passage)`` pairs; return scores ``[n]`` in the order of ``pairs``.

    Pairs are cut to ``options.max_length`` tokens, the longer text first. They are scored longest
    first, in batches of one token budget. So a batch has little padding, and a model that does not
    fit in memory fails on the first batch.

    A score is the output without a sigmoid, as distillation needs it. With several outputs, it is
    the log-odds of the selected one, ``z_l - log sum_k≠l exp z_k``, which corresponds to the single
    output and, like softmax, ignores a constant added to all outputs.
    """
    encoded = _tokenise(cross_encoder, pairs, options.max_length)
    scores = np.empty(len(encoded), dtype=np.float32)
    planned = list(_batches([len(pair.ids) for pair in encoded], options))

    def score(batch: list[int]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), options.autocast():
            outputs = _outputs(cross_encoder, [encoded[i] for i in batch], options.device)
            return np.asarray(_relevance(outputs.float(), cross_encoder.label).cpu().numpy())

    with (
        batch_workers(len(planned), options.device) as crew,
        closing(crew.stream(score, planned)) as scored,
    ):
        for batch, values in zip(planned, scored, strict=True):
            scores[batch] = values
            if on_scored is not None:
                on_scored(len(batch))
    return scores


def _tokenise(
    cross_encoder: CrossEncoder, pairs: Sequence[tuple[str, str]], max_length: int
) -> list[_Pair]:
    if not pairs:
        return []
    with refusing_panics("The tokenizer of the cross-encoder cannot read the texts"):
        encoded = cross_encoder.tokenizer(
            [query for query, _ in pairs],
            [passage for _, passage in pairs],
            truncation="longest_first",
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
        )
    types = encoded.get("token_type_ids") or [None] * len(pairs)
    return [_Pair(*each) for each in zip(encoded["input_ids"], types, strict=True)]


def _batches(lengths: Sequence[int], options: EncodingOptions) -> Iterator[list[int]]:
    """Yield batches of positions, longest first, each within one token budget."""
    budget = TOKEN_BUDGET.get(options.device.type, TOKEN_BUDGET["cpu"])
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        size = options.batch_size or max(1, budget // lengths[order[start]])
        yield order[start : start + size]
        start += size


def _outputs(cross_encoder: CrossEncoder, batch: Sequence[_Pair], device: torch.device) -> Tensor:
    """Return outputs ``[n, labels]`` of pairs, padded to the longest of them."""
    ids, mask = pad([pair.ids for pair in batch], cross_encoder.tokenizer.pad_token_id)
    refuse_unknown_tokens(cross_encoder.model, largest_of(ids))
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    types = [pair.types for pair in batch if pair.types is not None]
    if types:
        inputs["token_type_ids"] = pad(types, 0)[0].to(device)
    outputs: Tensor = cross_encoder.model(**inputs).logits
    return outputs


def _relevance(outputs: Tensor, label: int) -> Tensor:
    """Return scores ``[n]`` from outputs ``[n, labels]``."""
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    others = torch.cat([outputs[:, :label], outputs[:, label + 1 :]], dim=1)
    return outputs[:, label] - others.logsumexp(dim=1)
