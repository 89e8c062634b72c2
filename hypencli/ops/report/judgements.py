"""The judgements behind an evaluation, which the store does not keep: found where they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypencli.data.qrels import Judgements, read_qrels
from hypencli.errors import DataError, UsageError
from hypencli.ops.evaluation.judged import JudgedRun
from hypencli.records import Qrels
from hypestore import Manifest, Store


class JudgementFinder:
    """Reads judgements once, and takes none that an evaluation was not made with.

    Args:
        named: Judgements that the user named; they are tried first.
    """

    def __init__(self, named: Judgements | None = None) -> None:
        self._read_judgements: dict[str, Qrels] = {}
        self._tried: set[str] = set()
        if named is not None:
            self._read_judgements[named.fingerprint] = named.qrels

    def find(self, judged: JudgedRun, runs: Sequence[Manifest]) -> Qrels | None:
        """The judgements that a run was measured with; None where they are not at hand.

        Args:
            judged: Says which judgements, by their fingerprint.
            runs: Runs that may say where judgements of their queries are.
        """
        for place in _places(judged.qrels, runs):
            if judged.fingerprint in self._read_judgements:
                break
            if place not in self._tried:
                self._read(place)
        return self._read_judgements.get(judged.fingerprint)

    def _read(self, place: str) -> None:
        self._tried.add(place)
        try:
            judgements = read_qrels(place)
        except DataError:  # moved or gone since: whoever asks says that they are not at hand
            return
        self._read_judgements[judgements.fingerprint] = judgements.qrels


def _places(qrels_id: str, runs: Sequence[Manifest]) -> Iterator[str]:
    """Where the judgements may be."""
    for run in runs:
        if isinstance(place := run.stats.get("qrels"), str):
            yield place
    kind, _, name = qrels_id.partition(":")
    if kind == "irds":
        yield name


def named_judgements(store: Store, reference: str) -> tuple[str, Judgements | None]:
    """Judgements that a user names: their id among the evaluations, and what they say.

    Args:
        store: The project store.
        reference: An id that evaluations have, or what ``hype eval --qrels`` takes.

    Returns:
        The id, and the judgements where they were read.

    Raises:
        DataError: It is no such id, and cannot be read.
        UsageError: No run was evaluated with these judgements.
    """
    evaluations = store.artifacts("evaluation")
    if any(one.inputs.get("qrels") == reference for one in evaluations):
        return reference, None
    qrels = read_qrels(reference)
    for one in reversed(evaluations):
        if one.inputs.get("qrels_fingerprint") == qrels.fingerprint:
            return str(one.inputs["qrels"]), qrels
    raise UsageError(
        f"No run of the store was evaluated with the judgements of {reference}.",
        hint=f"hype eval RUN --qrels {reference}",
    )
