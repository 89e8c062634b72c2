"""Terms of a question in a text: the passage that has most of them, and where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypencli.reporting.text import shortened

_WORD = re.compile(r"\w+", re.UNICODE)
# fmt: off
_COMMON = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "do", "does", "for", "from", "how", "in",
    "is", "it", "its", "of", "on", "or", "that", "the", "this", "to", "was", "were", "what",
    "when", "where", "which", "who", "why", "will", "with",
})
# fmt: on
"""Frequent English words, which are marked only if a question has no other word."""

_LEAST_STEM = 4
"""Longer words also match with another ending of up to three letters."""

_SCANNED = 20_000
"""Characters of a text that are searched for terms."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text, and whether it is a term of the question."""

    text: str
    is_term: bool


def terms_of(question: str) -> re.Pattern[str] | None:
    """Return a pattern for the words of a question; None if it has no word.

    Case does not count. A word of more than four letters also matches words that begin with it or
    that lack its last letters, such as ``rivers`` for ``river``.
    """
    words = dict.fromkeys(word.casefold() for word in _WORD.findall(question[:1_000]))
    telling = [word for word in words if word not in _COMMON] or list(words)
    if not telling:
        return None
    parts = []
    for word in sorted(telling, key=len, reverse=True):
        stem = word[:-1] if len(word) > _LEAST_STEM and word.endswith(("s", "e")) else word
        ending = r"\w{0,3}" if len(word) > _LEAST_STEM - 1 and not word.isdecimal() else ""
        parts.append(re.escape(stem) + ending)
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)


def highlighted(text: str, terms: re.Pattern[str] | None, limit: int | None) -> list[Segment]:
    """Cut a text to the passage with most distinct terms, and divide it at the terms.

    Args:
        text: The text.
        terms: The pattern of :func:`terms_of`.
        limit: Maximum number of characters; None keeps the whole text.
    """
    shown = text if limit is None else _passage(text, terms, limit)
    if terms is None:
        return [Segment(shown, is_term=False)] if shown else []
    segments, end = [], 0
    for match in terms.finditer(shown):
        if match.start() > end:
            segments.append(Segment(shown[end : match.start()], is_term=False))
        segments.append(Segment(match[0], is_term=True))
        end = match.end()
    if end < len(shown):
        segments.append(Segment(shown[end:], is_term=False))
    return segments


def _passage(text: str, terms: re.Pattern[str] | None, limit: int) -> str:
    """Return the passage of at most ``limit`` characters with most distinct terms."""
    if len(text) <= limit or terms is None:
        return shortened(text, limit)
    places = [(one.start(), one[0].casefold()) for one in terms.finditer(text[:_SCANNED])]
    if not places:
        return shortened(text, limit)
    counts = [
        len({word for at, word in places[i:] if at < start + limit})
        for i, (start, _) in enumerate(places[:200])
    ]
    start = places[counts.index(max(counts))][0]
    if start < limit // 2:
        return shortened(text, limit)
    begin = text.rfind(" ", 0, max(0, start - limit // 5)) + 1
    return f"… {shortened(text[begin:], limit)}"
