"""Variants of queries: misspelt, shorter, in another order, with synonyms.

Source: the generators of Penha, Câmara and Hauff, "Evaluating the Robustness of Retrieval Pipelines
with Query Variation Generators" (ECIR 2022).

Deviation: the paper uses a library with several generators for each kind. This module has one
generator of its own for each kind, with a settable number of changed words.
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
"""Word in lower case -> its synonyms."""

_LONG_WORD = 4
"""Minimum letters of a misspelt word; shorter words are used only if no other exists."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Rows of a keyboard; each is shifted half a key to the right of the one above."""


def drawing(seed: int, kind: VariationKind, query_id: str) -> random.Random:
    """The random generator of one query, independent of other queries and of the machine."""
    return random.Random(f"{seed} {kind} {query_id}")


def misspelt(text: str, chance: random.Random, changes: int = 1) -> str:
    """The text with a typing error in ``changes`` of its words.

    An error swaps two letters, drops one, doubles one, or replaces one by a neighbouring key. The
    first letter never changes. Words with four letters or more are preferred.
    """
    words = text.split()
    letters = [sum(map(str.isalpha, word)) for word in words]
    places = [i for i, count in enumerate(letters) if count >= _LONG_WORD]
    places = places or [i for i, count in enumerate(letters) if count > 1]
    for place in chance.sample(places, min(changes, len(places))):
        words[place] = _slipped(words[place], chance)
    return " ".join(words) if places else text


def _slipped(word: str, chance: random.Random) -> str:
    """A word with one typing error of a random kind, as far as an error changes the word."""
    letters = [i for i, letter in enumerate(word) if letter.isalpha()][1:]
    kinds = [{slip(word, i) for i in letters} for slip in (_swapped, _dropped, _doubled)]
    kinds.append({near for i in letters for near in _near_misses(word, i)})
    variants = [sorted(kind - {word}) for kind in kinds if kind - {word}]
    return chance.choice(chance.choice(variants)) if variants else word


def _swapped(word: str, i: int) -> str:
    """Swap a letter with the next letter, if there is one."""
    pair = word[i : i + 2]
    return word[:i] + pair[::-1] + word[i + 2 :] if pair.isalpha() else word


def _dropped(word: str, i: int) -> str:
    return word[:i] + word[i + 1 :]


def _doubled(word: str, i: int) -> str:
    return word[: i + 1] + word[i:]


def _near_misses(word: str, i: int) -> list[str]:
    """Variants of a word with one letter replaced by each neighbouring key."""
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
    """The text without ``changes`` of its words; at least one word stays."""
    words = text.split()
    places = _places(words)
    dropped = set(chance.sample(places, min(changes, max(0, len(places) - 1))))
    kept = [word for i, word in enumerate(words) if i not in dropped]
    return " ".join(kept) if dropped else text


def reordered(text: str, chance: random.Random, changes: int = 1) -> str:
    """The text after ``changes`` swaps of two different words."""
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
    """Positions of the words, without punctuation that stands alone."""
    return [i for i, word in enumerate(words) if any(map(str.isalnum, word))]


def reworded(text: str, chance: random.Random, synonyms: Synonyms, changes: int = 1) -> str:
    """The text with ``changes`` of its words replaced by a synonym.

    The case of the first letter and the punctuation around a word are kept.
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
"""Kind -> function, for the kinds that need only the text."""


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a list of synonyms: each line has a word and its synonyms, separated by tabs.

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
