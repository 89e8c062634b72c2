"""Queries written otherwise: misspelt, shorter, in another order, with synonyms.

After the generators of Penha, Câmara and Hauff, "Evaluating the Robustness of Retrieval Pipelines
with Query Variation Generators" (ECIR 2022).

Deviation: there, a library draws the edits and every kind has several generators; here, each kind
is one generator of our own, which changes as many words as it is asked to.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from hypencli.data.reading.lines import read_lines
from hypencli.errors import DataError

VariationKind: TypeAlias = Literal["misspelling", "word-drop", "ordering", "synonym", "paraphrase"]
VARIATION_KINDS: tuple[VariationKind, ...] = get_args(VariationKind)

Synonyms: TypeAlias = Mapping[str, Sequence[str]]
"""A word in lower case -> words to put in its place."""

_LONG_WORD = 4
"""Letters of the words that are misspelt; shorter ones only where there is no other."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Letters of a keyboard; each row stands half a key to the right of the one above."""


def drawing(seed: int, kind: VariationKind, query_id: str) -> random.Random:
    """Chance for one query: the same whatever the other queries are, and on every machine."""
    return random.Random(f"{seed} {kind} {query_id}")


def misspelt(text: str, chance: random.Random, changes: int = 1) -> str:
    """The text with one slip of the keyboard in so many of its words.

    A slip swaps two letters, drops one, doubles one, or hits the key beside it; never at the first
    letter, and in words of four letters or more where there are any.
    """
    words = text.split()
    letters = [sum(map(str.isalpha, word)) for word in words]
    places = [i for i, count in enumerate(letters) if count >= _LONG_WORD]
    places = places or [i for i, count in enumerate(letters) if count > 1]
    for place in chance.sample(places, min(changes, len(places))):
        words[place] = _slipped(words[place], chance)
    return " ".join(words) if places else text


def _slipped(word: str, chance: random.Random) -> str:
    """A word with one slip, each kind as likely; a slip that changes nothing is no slip."""
    letters = [i for i, letter in enumerate(word) if letter.isalpha()][1:]
    kinds = [{slip(word, i) for i in letters} for slip in (_swapped, _dropped, _doubled)]
    kinds.append({near for i in letters for near in _near_misses(word, i)})
    variants = [sorted(kind - {word}) for kind in kinds if kind - {word}]
    return chance.choice(chance.choice(variants)) if variants else word


def _swapped(word: str, i: int) -> str:
    """With the letter behind it, if there is one."""
    pair = word[i : i + 2]
    return word[:i] + pair[::-1] + word[i + 2 :] if pair.isalpha() else word


def _dropped(word: str, i: int) -> str:
    return word[:i] + word[i + 1 :]


def _doubled(word: str, i: int) -> str:
    return word[: i + 1] + word[i:]


def _near_misses(word: str, i: int) -> list[str]:
    """The word with each of the keys around that letter in its place."""
    letter = word[i]
    near = _KEYS_AROUND.get(letter.lower(), "")
    cased = near.upper() if letter.isupper() else near
    return [word[:i] + key + word[i + 1 :] for key in cased]


def _keys_around() -> dict[str, str]:
    places = {
        key: (row, column + row / 2)
        for row, keys in enumerate(_ROWS)
        for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other
            for other, (other_row, other_column) in places.items()
            if other != key and abs(row - other_row) <= 1 and abs(column - other_column) <= 1
        )
        for key, (row, column) in places.items()
    }


_KEYS_AROUND = _keys_around()


def shortened(text: str, chance: random.Random, changes: int = 1) -> str:
    """The text without so many of its words; one always stays."""
    words = text.split()
    places = _places(words)
    dropped = set(chance.sample(places, min(changes, max(0, len(places) - 1))))
    kept = [word for i, word in enumerate(words) if i not in dropped]
    return " ".join(kept) if dropped else text


def reordered(text: str, chance: random.Random, changes: int = 1) -> str:
    """The text with two of its words in each other's place, so many times."""
    words = text.split()
    places = _places(words)
    for _ in range(changes):
        pairs = [(i, j) for j in places for i in places if i < j and words[i] != words[j]]
        if not pairs:
            return text
        i, j = chance.choice(pairs)
        words[i], words[j] = words[j], words[i]
    return " ".join(words)


def _places(words: Sequence[str]) -> list[int]:
    """Where the words are, and not punctuation that stands alone."""
    return [i for i, word in enumerate(words) if any(map(str.isalnum, word))]


def reworded(text: str, chance: random.Random, synonyms: Synonyms, changes: int = 1) -> str:
    """The text with a synonym in the place of so many of its words.

    Case of the first letter and punctuation around a word stay as they are.
    """
    words = text.split()
    cores = [word.strip(string.punctuation) for word in words]
    places = [i for i, core in enumerate(cores) if synonyms.get(core.lower())]
    for place in chance.sample(places, min(changes, len(places))):
        core = cores[place]
        synonym = chance.choice(list(synonyms[core.lower()]))
        synonym = synonym[0].upper() + synonym[1:] if core[0].isupper() else synonym
        words[place] = words[place].replace(core, synonym, 1)
    return " ".join(words) if places else text


EDITS: Mapping[VariationKind, Callable[[str, random.Random, int], str]] = {
    "misspelling": misspelt,
    "word-drop": shortened,
    "ordering": reordered,
}
"""The kinds that need nothing but the text."""


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """A list of words: on each line a word and its synonyms, separated by tabs.

    A word may have several lines. Lines that begin with ``#`` are comments.

    Raises:
        DataError: The file cannot be read or has no words, or a line has fewer than two columns.
    """
    words: dict[str, list[str]] = {}
    for line in read_lines(path):
        if line.text.startswith("#"):
            continue
        word, *others = [" ".join(cell.split()) for cell in line.text.split("\t")]
        others = [other for other in others if other and other.lower() != word.lower()]
        if not word or not others:
            raise DataError(
                f"{path}, line {line.number}: expected a word and its synonyms, separated by tabs."
            )
        words.setdefault(word.lower(), []).extend(others)
    if not words:
        raise DataError(f"{path}: no words in it.", hint="Such as: big<TAB>large<TAB>huge")
    return {word: tuple(dict.fromkeys(others)) for word, others in words.items()}
