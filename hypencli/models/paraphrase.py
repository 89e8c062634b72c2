"""Paraphrases of texts by a sequence-to-sequence model of the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import ModelError
from hypencli.paths import is_dir

if TYPE_CHECKING:
    import torch

_BATCH_TEXTS = 16


def paraphrases(
    name: str | Path,
    texts: Sequence[str],
    *,
    device: torch.device,
    prefix: str = "",
    beams: int = 5,
    max_length: int = 64,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[list[str]]:
    """Paraphrase each text by beam search, best first; the result is deterministic.

    Args:
        name: A folder, or a name on the hub, that transformers loads as a seq2seq model.
        texts: The texts.
        device: Device of the model.
        prefix: A prompt before each text that the model expects, such as ``paraphrase: ``.
        beams: Number of beams, and of paraphrases of each text.
        max_length: Most tokens of a text, which is cut to them, and of a paraphrase.
        on_done: Called with the number of texts of every batch.

    Raises:
        ModelError: The model does not exist, or is not a seq2seq model.
    """
    import torch

    model, tokenizer = _load(name)
    model.to(device).eval()
    generated: list[list[str]] = []
    for start in range(0, len(texts), _BATCH_TEXTS):
        batch = [f"{prefix}{text}" for text in texts[start : start + _BATCH_TEXTS]]
        tokens = tokenizer(
            batch, return_tensors="pt", padding=True, truncation=True, max_length=max_length
        )
        with torch.inference_mode():
            written = model.generate(
                input_ids=tokens["input_ids"].to(device),
                attention_mask=tokens["attention_mask"].to(device),
                num_beams=beams,
                num_return_sequences=beams,
                do_sample=False,
                max_new_tokens=max_length,
            )
        lines = tokenizer.batch_decode(written, skip_special_tokens=True)
        cleaned = [" ".join(line.split()) for line in lines]
        generated += [cleaned[i : i + beams] for i in range(0, len(cleaned), beams)]
        on_done(len(batch))
    return generated


def _load(name: str | Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    from hypencli.models.checkpoints.sentence import load_tokenizer
    from hypencli.models.checkpoints.untrusted import (
        library_errors,
        refuse_unless_filled,
        refuse_unsafe,
    )
    from hypencli.models.checkpoints.weights import make_private, refuse_odd_parts, within_reach

    place = within_reach(str(name))
    try:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        refuse_unsafe(config, where=repr(str(name)))
        if is_dir(name):
            refuse_odd_parts(Path(name))
            refuse_unless_filled(AutoModelForSeq2SeqLM.from_config, config, Path(name))
        model = AutoModelForSeq2SeqLM.from_pretrained(
            place, config=config, trust_remote_code=False, weights_only=True
        )
        make_private(model)
        tokenizer = load_tokenizer(name)
    except ModelError:
        raise
    except library_errors() as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{name} cannot be loaded as a sequence-to-sequence model: {reason}",
            hint="Name a folder or a model of the hub that writes paraphrases, a T5 or BART.",
        ) from error
    return model, tokenizer
