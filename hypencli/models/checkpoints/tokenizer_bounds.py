"""Bounds of tokenizer files: a few numbers or rules in them can take all time or memory.

The library believes what a ``tokenizer.json`` says. It counts up to the largest id of a vocabulary,
copies the texts that rules insert, and ends the process if memory is short.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypencli.errors import ModelError

MOST_BYTES = 256 * 2**20
"""Largest tokenizer.json; those of 250,000 tokens have about 20 MB."""

LARGEST_ID = 2**24 - 1
"""Largest id of a token; the largest vocabularies have about a million."""

MOST_GROWTH = 256
"""How many characters the rules of a normalizer may make of one."""

MOST_INSERTED = 1_000
"""Tokens or characters that are added to each text or word."""

LONGEST_WORD = 1_000
"""Characters of a word that WordPiece divides, in time that grows by the square of it."""

_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")


def refuse_unbounded(folder: Path) -> None:
    """Refuse the files of a tokenizer that would take all time or memory.

    Raises:
        ModelError: A file is too large, is not JSON, or a number or rule in it exceeds its bound.
    """
    for name in _VOCABULARIES:
        path = folder / name
        if path.is_file():
            bounded_json(path)


def bounded_json(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a file of a tokenizer; return its text, and the object in it.

    Raises:
        ModelError: The file is too large, is not JSON, or a number or rule exceeds its bound.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ModelError(f"{path} is longer than {MOST_BYTES:,} bytes, the most that is read.")
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path} holds a {type(raw).__name__}, expected an object.")
    problem = next(_problems(raw) if path.name == "tokenizer.json" else _large_ids(raw), None)
    if problem is not None:
        raise ModelError(f"{path}: {problem}.")
    return text, raw


@contextmanager
def refusing_panics(what: str) -> Iterator[None]:
    """Turn errors that the tokenizer library raises for damaged tokenizers into a ModelError.

    It raises bare exceptions, and panics, which are no subclass of Exception.

    Args:
        what: Begins the message, such as ``The tokenizer cannot read a text``.

    Raises:
        ModelError: The library raised such an error.
    """
    try:
        yield
    except BaseException as error:
        panicked = type(error).__module__ == "pyo3_runtime"
        if not panicked and type(error) is not Exception:
            raise
        raise ModelError(
            f"{what}: {str(error).strip().splitlines()[0] if str(error).strip() else 'a panic'}",
            hint="The files of the tokenizer are damaged: take those that the model came with.",
        ) from error


def _problems(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield what exceeds its bound in a ``tokenizer.json``."""
    model = raw.get("model")
    if isinstance(model, dict):
        yield from _model_problems(model)
    growth = _growth(raw.get("normalizer"))
    if growth > MOST_GROWTH:
        yield (
            f"its normalizer makes up to {growth:.3g} characters of one; at most {MOST_GROWTH} "
            "are allowed"
        )
    inserted = _inserted(raw.get("post_processor"))
    if inserted > MOST_INSERTED:
        yield (
            f"its post-processor adds {inserted:,} tokens to a text; at most {MOST_INSERTED:,} "
            "are allowed"
        )


def _model_problems(model: Mapping[str, Any]) -> Iterator[str]:
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        yield from _large_ids(vocabulary)
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
        value = model.get(key)
        if isinstance(value, str) and len(value) > MOST_INSERTED:
            yield f"{key} has {len(value):,} characters; at most {MOST_INSERTED:,} are allowed"
    word = model.get("max_input_chars_per_word")
    if isinstance(word, int) and word > LONGEST_WORD:
        yield f"max_input_chars_per_word is {word:,}; at most {LONGEST_WORD:,} is allowed"


def _large_ids(vocabulary: Mapping[str, Any]) -> Iterator[str]:
    for token, number in vocabulary.items():
        if isinstance(number, int) and not 0 <= number <= LARGEST_ID:
            yield (
                f"the token {token!r:.100} has the id {number}; ids are from 0 to {LARGEST_ID:,}"
            )


def _rules(whole: object, listed_as: str) -> Iterator[dict[str, Any]]:
    """A rule, and those that it lists, at any depth; what is no rule is left out."""
    waiting = [whole]
    while waiting:
        rule = waiting.pop()
        if isinstance(rule, dict):
            yield rule
            listed = rule.get(listed_as)
            waiting.extend(listed if isinstance(listed, list) else [])


def _growth(normalizer: object) -> float:
    """Return how many characters a normalizer makes of one, at most."""
    growth = 1.0
    for rule in _rules(normalizer, "normalizers"):
        prepended, content = rule.get("prepend"), rule.get("content")
        if isinstance(prepended, str) and len(prepended) > MOST_INSERTED:
            growth *= len(prepended)
        if isinstance(content, str):
            growth *= _replacement_growth(rule.get("pattern"), content)
    return growth


def _replacement_growth(pattern: object, content: str) -> float:
    plain = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(plain, str) and plain:
        return max(1.0, len(content) / len(plain))
    # A regular expression may fit the empty text, and so insert between all characters.
    return 1.0 + len(content)


def _inserted(processor: object) -> int:
    """Return how many tokens a post-processor adds to a text or a pair, at most."""
    count = 0
    for rule in _rules(processor, "processors"):
        special = rule.get("special_tokens")
        templates = [rule.get(key) for key in ("single", "pair")]
        if isinstance(special, dict):
            count += max(_template_tokens(each, special) for each in templates)
    return count


def _template_tokens(template: object, special: Mapping[str, Any]) -> int:
    count = 0
    for piece in template if isinstance(template, list) else ():
        named = piece.get("SpecialToken") if isinstance(piece, dict) else None
        token = special.get(str(named.get("id"))) if isinstance(named, dict) else None
        ids = token.get("ids") if isinstance(token, dict) else None
        count += len(ids) if isinstance(ids, list) else 0
    return count
