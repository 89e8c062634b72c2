"""Finds the judgements of an evaluation, which the store does not keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hypencli.data.qrels import Judgements, read_qrels
from hypencli.errors import DataError, UsageError
from hypencli.escaping import escape_shell
from hypencli.ops.content_names import JudgementNames, judgements_key
from hypencli.ops.evaluation.judged import JudgedRun
from hypencli.ops.recorded_places import is_own
from hypencli.records import Qrels
from hypestore import Manifest, Store


class JudgementFinder:
    """Reads judgements, each file once, and identifies them by their fingerprint.

    Args:
        store: The project store.
        named: Judgements that the user named. They are tried first.
    """

    def __init__(self, store: Store, named: Iterable[Judgements] = ()) -> None:
        self._store = store
        self._read_judgements: dict[str, Qrels] = {}
        self._tried: set[str] = set()
        self._read_judgements |= {one.fingerprint: one.qrels for one in named}

    def find(self, judged: JudgedRun, runs: Sequence[Manifest]) -> Qrels | None:
        """Find the judgements that a run was evaluated with; None if they cannot be read.

        Args:
            judged: Run with the fingerprint of its judgements.
            runs: Runs that may record where the judgements of their queries are.
        """
        for place in self._places(judged.qrels_id, runs):
            if judged.fingerprint in self._read_judgements:
                break
            if place not in self._tried:
                self._read(place)
        return self._read_judgements.get(judged.fingerprint)

    def _read(self, place: str) -> None:
        self._tried.add(place)
        try:
            judgements = read_qrels(place)
        except DataError:  # moved or deleted: the report has a remark
            return
        self._read_judgements[judgements.fingerprint] = judgements.qrels

    def _places(self, qrels_id: str, runs: Sequence[Manifest]) -> Iterator[str]:
        """Places where the judgements may be, of those that this account recorded."""
        for run in runs:
            place = run.stats.get("qrels")
            if isinstance(place, str) and is_own(run, "qrels", place):
                yield place
        kind, _, name = qrels_id.partition(":")
        evaluations = (one for run in runs for one in self._store.evaluations(run.id))
        if kind == "irds" and any(is_own(one, "qrels", qrels_id) for one in evaluations):
            yield name


def named_judgements(store: Store, reference: str) -> tuple[str, Judgements | None]:
    """Resolve judgements that a user names.

    Args:
        store: The project store.
        reference: Name of judgements in the leaderboard, their id, or a value of
            ``hype eval --qrels``.

    Returns:
        The name, as in the leaderboard, and the judgements if they were read. Where several
        judgements have the id, those of the newest evaluation are selected.

    Raises:
        DataError: The reference is no such id, and cannot be read.
        UsageError: No run was evaluated with these judgements.
    """
    names, evaluations = JudgementNames(store), store.artifacts("evaluation")
    found, qrels = names.find(reference), None
    if not found:
        qrels = read_qrels(reference)
        found = frozenset([qrels.fingerprint])
    for one in reversed(evaluations):
        if (key := judgements_key(one)) in found:
            return names.of(key, str(one.inputs.get("qrels"))), qrels
    raise UsageError(
        f"No run of the store was evaluated with the judgements of {reference}.",
        hint=f"hype eval RUN --qrels {escape_shell(reference)}",
    )
