"""Names of judgements, corpora and query sets that tell apart two contents of one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hypencli.records import UNNAMED_CORPUS
from hypestore import Manifest, Store

_SUFFIX_DIGITS = 8
_BY_ID = "id "
"""Begins the key of a content without a recorded fingerprint, before its id."""


def judgements_key(evaluation: Manifest) -> str:
    """Fingerprint of the judgements of an evaluation; a key made of their id if it has none.

    Evaluations with equal keys were made with equal judgements.
    """
    fingerprint = evaluation.inputs.get("qrels_fingerprint")
    return key_of(str(evaluation.inputs.get("qrels")), fingerprint)


def key_of(name: str, fingerprint: object) -> str:
    """The fingerprint of a content, or a key made of its name where none is recorded."""
    return fingerprint if isinstance(fingerprint, str) else f"{_BY_ID}{name}"


class JudgementNames:
    """Names of the judgements that a store has evaluations with.

    The name is the id that the newest evaluation records, such as ``file:qrels.txt``. If other
    judgements have the same name, ``#`` and the beginning of the fingerprint follow.

    Args:
        store: The project store.
    """

    def __init__(self, store: Store) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        for one in store.artifacts("evaluation"):
            ids = self._ids.setdefault(judgements_key(one), {})
            qrels_id = str(one.inputs.get("qrels"))
            ids.pop(qrels_id, None)
            ids[qrels_id] = None
        self._names = told_apart({key: [*ids][-1] for key, ids in self._ids.items()})

    def of(self, key: str, qrels_id: str) -> str:
        """The name of judgements.

        Args:
            key: Their key.
            qrels_id: Their id: the name if their last evaluation was removed meanwhile.
        """
        return self._names.get(key, qrels_id)

    def find(self, reference: str) -> frozenset[str]:
        """The keys of all judgements with a name or an id; empty if there are none."""
        named = frozenset(key for key, name in self._names.items() if name == reference)
        return named or frozenset(key for key, ids in self._ids.items() if reference in ids)


class RunNames:
    """Names of the corpora and the query sets of the runs of a store.

    Runs with equal names have the same corpus or the same queries. A run that records no
    fingerprint, such as an imported one, counts to the only content of its name, if it is one.

    Args:
        store: The project store.
    """

    def __init__(self, store: Store) -> None:
        rows = store.catalog.query(
            "SELECT run, corpus, corpus_fingerprint, queries, queries_fingerprint FROM runs "
            "ORDER BY created, run"
        ).rows
        self._corpora = _names_of_runs(
            [(run, corpus or UNNAMED_CORPUS, fingerprint) for run, corpus, fingerprint, *_ in rows]
        )
        self._queries = _names_of_runs(
            [(run, str(queries), fingerprint) for run, *_, queries, fingerprint in rows]
        )

    def corpus(self, run: str) -> str:
        """The name of the corpus of a run."""
        return self._corpora.get(run, UNNAMED_CORPUS)

    def queries(self, run: str) -> str:
        """The name of the query set of a run."""
        return self._queries[run]


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Make names unique: a name of several keys is followed by the beginning of each key.

    Args:
        names: Key -> name.
    """
    counts = Counter(names.values())
    return {
        key: name if counts[name] == 1 else f"{name}#{_suffix(key)}" for key, name in names.items()
    }


def _suffix(key: str) -> str:
    return "unknown" if key.startswith(_BY_ID) else key[:_SUFFIX_DIGITS]


def _names_of_runs(rows: Iterable[tuple[str, str, str | None]]) -> dict[str, str]:
    """Run -> name of its content, from rows of run, name and fingerprint, oldest first."""
    listed = list(rows)
    known: dict[str, set[str]] = {}
    for _, name, fingerprint in listed:
        if fingerprint is not None:
            known.setdefault(name, set()).add(fingerprint)
    keys: dict[str, str] = {}
    names: dict[str, str] = {}
    for run, name, fingerprint in listed:
        if fingerprint is None and len(of_name := known.get(name, set())) == 1:
            (fingerprint,) = of_name
        keys[run] = key_of(name, fingerprint)
        names[keys[run]] = name
    unique = told_apart(names)
    return {run: unique[key] for run, key in keys.items()}
