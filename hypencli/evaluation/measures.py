"""Measures of runs, and paired tests of two runs.

A run is measured in *its own rank order*. The providers of ir_measures sort by score and break ties
differently (trec_eval by descending document id, others by ascending), so one run could have two
values of RR. They therefore receive scores computed from the ranks, which have no ties.

Deviation: trec_eval ignores ranks and sorts by score, ties by descending document id. The figures
differ only if documents with equal scores have different grades.
"""

from __future__ import annotations

import math
import re
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hypencli.errors import DataError, UsageError
from hypencli.records import Evaluation, PairedTest, Qrels, Ranking, Results

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from ir_measures import Measure, Metric

    Values = npt.NDArray[np.float64]

DEFAULT_MEASURES = ("nDCG@10", "nDCG@5", "P@10", "P@5", "R@10", "RR", "R@1000", "RR@10")
"""The measures that the published code reports, in its order."""

DL_MEASURES = (
    *("nDCG@10", "nDCG@5", "P(rel=2)@10", "P(rel=2)@5", "R(rel=2)@10", "RR(rel=2)"),
    *("R(rel=2)@1000", "RR(rel=2)@10"),
)
"""The default measures for the passages of TREC Deep Learning and DL-HARD.

Grade 1 means "related, but no answer" there, so binary measures count from grade 2 on (Craswell et
al., overview of the TREC 2019 Deep Learning track).
"""

_DL_PASSAGES = re.compile(r"irds:msmarco-passage(-v2)?/trec-dl-|file:dl-hard-test/qrels\.txt$")

TESTS = ("t", "wilcoxon", "randomisation")
"""The two-sided paired tests of :func:`compare`."""

MAX_CUTOFF = 1_000_000_000

_GDEVAL_GRADE = 4
"""Highest grade that gdeval.pl takes: the probability of relevance in ERR is scaled by it."""

_PROVIDER_ERRORS = (
    *(ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError),
    subprocess.CalledProcessError,
)
"""Errors of providers of ir_measures for judgements that their measures are not defined for."""

# Queries that a provider receives at a time.
_BATCH_QUERIES = 512

_EXAMPLES = "nDCG@10, RR, RR@10, P(rel=2)@5, R@1000, AP, Success@5, Judged@10"

# All negative grades mean "not relevant", such as the -2 for spam in the judgements of the TREC Web
# tracks. trec_eval's code does not know those below -1.
_LOWEST_GRADE = -1

# Smaller differences of measures are rounding errors.
_NOISE = 1e-12

# Values that the randomisation test holds at once: 64 MiB.
_BLOCK_VALUES = 2**23


def default_measures(qrels_id: str, depth: int | None = None) -> tuple[str, ...]:
    """The default measures for a set of judgements.

    Args:
        qrels_id: Id of the judgements, ``irds:NAME`` or ``file:NAME``; see
            :class:`~hypencli.data.qrels.Judgements`.
        depth: Results per query of the run. Recall at a greater depth is left out: it would be the
            recall at this one. None leaves out nothing.
    """
    names = DL_MEASURES if _DL_PASSAGES.match(qrels_id) else DEFAULT_MEASURES
    if depth is None:
        return names
    return tuple(
        name
        for name in names
        if (not name.startswith("R@") and not name.startswith("R("))
        or int(name.rpartition("@")[2]) <= depth
    )


def parse_measures(names: Iterable[str] = DEFAULT_MEASURES) -> tuple[Measure, ...]:
    """Parse ir_measures names to measures without repeats; ``str(measure)`` is the standard name.

    Args:
        names: Names; one string may hold several, separated by commas.

    Raises:
        UsageError: Some names are no measures, or no installed provider computes them. The message
            lists each with its reason.
    """
    if isinstance(names, str):
        names = [names]
    parsed: dict[str, Measure] = {}
    problems: list[str] = []
    for name in (part for text in names for part in _split(text)):
        try:
            measure = _parse_measure(name)
        except (ValueError, TypeError, LookupError, NameError, AssertionError) as error:
            problems.append(f"{name!r}: {error}")
        else:
            parsed.setdefault(str(measure), measure)
    if problems:
        raise UsageError(
            f"Not measures: {'; '.join(problems)}.",
            hint=f"Names are those of ir_measures, such as {_EXAMPLES}.",
        )
    if not parsed:
        raise UsageError("No measure was named.", hint=f"Such as {_EXAMPLES}.")
    return tuple(parsed.values())


def _split(names: str) -> Iterator[str]:
    """Split at commas outside brackets: ``P(rel=2, judged_only=True)@10`` is one name."""
    depth, start = 0, 0
    for place, letter in enumerate(f"{names},"):
        depth += (letter in "({[") - (letter in ")}]")
        if letter == "," and depth <= 0:
            name = names[start:place].strip()
            if name:
                yield name
            start = place + 1


def _parse_measure(name: str) -> Measure:
    import ir_measures

    with warnings.catch_warnings():
        # ir_measures parses names with parts of `ast` that newer Pythons deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            measure = ir_measures.parse_measure(name)
        except KeyError as error:
            raise ValueError(f"no parameter {error}") from error
    _check_parameters(measure)
    try:
        measure.validate_params()  # type: ignore[no-untyped-call]
    except AssertionError as error:
        raise ValueError(_missing_or_wrong(name)) from error
    if not ir_measures.DefaultPipeline.supports(measure):  # type: ignore[no-untyped-call]
        raise ValueError(_unsupported(measure))
    return measure


def _missing_or_wrong(name: str) -> str:
    problem = "a parameter is missing, unknown or of the wrong type"
    return problem if "@" in name else f"{problem}; try {name}@10"


def _check_parameters(measure: Measure) -> None:
    """Refuse numbers that crash the C code of a provider.

    Raises:
        ValueError: A parameter is out of range.
    """
    for parameter, lowest in (("cutoff", 1), ("rel", 1)):
        value = measure.params.get(parameter)
        if isinstance(value, int) and not lowest <= value <= MAX_CUTOFF:
            raise ValueError(
                f"{parameter} must be between {lowest} and {MAX_CUTOFF:,}, not {value:.9g}"
            )
    for parameter, value in measure.params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{parameter} must be a finite number, not {value}")
    for grade, gain in (measure.params.get("gains") or {}).items():
        if not isinstance(gain, int) or abs(gain) > MAX_CUTOFF:
            raise ValueError(
                f"the gain of grade {grade} must be a whole number up to {MAX_CUTOFF:,}"
            )


def _unsupported(measure: Measure) -> str:
    """Why no provider computes a measure, and which package would, if any."""
    import ir_measures

    try:
        ir_measures.DefaultPipeline.evaluator([measure], [])
    except (ValueError, RuntimeError) as error:
        return " ".join(str(error).split()).rstrip(".")
    return "not supported with these parameters"


def evaluate(results: Results, qrels: Qrels, measures: Sequence[Measure]) -> Evaluation:
    """Evaluate a run.

    Aggregates are over all judged queries; a query without results counts as 0.

    Args:
        results: Query id -> documents in rank order. Scores must be finite and have no effect.
        qrels: Query id -> document id -> grade.
        measures: Measures of :func:`parse_measures`.

    Raises:
        DataError: No query of the run is judged, a query ranks a document twice, a score is NaN or
            infinite, or a measure is not defined for these judgements.
    """
    judged = sorted(query for query, grades in qrels.items() if grades)
    retrieved = {query for query, ranking in results.items() if ranking}
    _check_overlap(judged, retrieved)
    values: dict[Measure, dict[str, float]] = {
        measure: dict.fromkeys(judged, float(measure.DEFAULT)) for measure in measures
    }
    for start in range(0, len(judged), _BATCH_QUERIES):
        batch = judged[start : start + _BATCH_QUERIES]
        run, judgements = _numbered(results, qrels, batch)
        for metric in _computed(measures, judgements, run):
            values[metric.measure][batch[int(metric.query_id)]] = float(metric.value)
    return Evaluation(
        aggregates={str(one): aggregate(one, values[one].values()) for one in measures},
        per_query={str(measure): values[measure] for measure in measures},
        judged_queries=len(judged),
        missing_queries=tuple(query for query in judged if query not in retrieved),
        unjudged_queries=tuple(sorted(set(results) - set(judged))),
    )


def _computed(
    measures: Sequence[Measure],
    judgements: dict[str, dict[str, int]],
    run: dict[str, dict[str, float]],
) -> Iterator[Metric]:
    """The values of all measures for all queries.

    Raises:
        DataError: A measure is not defined for these judgements.
    """
    import ir_measures

    highest = max(max(grades.values()) for grades in judgements.values())
    for measure in measures:
        if highest > _GDEVAL_GRADE and _is_of_gdeval(measure):
            raise DataError(
                f"{measure} cannot be computed: it is defined for grades up to {_GDEVAL_GRADE}, "
                f"and the judgements have grade {highest}.",
                hint="Choose another measure, such as nDCG@10.",
            )
    try:
        yield from ir_measures.DefaultPipeline.iter_calc(measures, judgements, run)
    except _PROVIDER_ERRORS as error:
        for measure in measures:
            try:
                list(ir_measures.DefaultPipeline.iter_calc([measure], judgements, run))
            except _PROVIDER_ERRORS as reason:
                raise DataError(
                    f"{measure} cannot be computed for these judgements: {reason}.",
                    hint="Choose other measures, by `measures=NAMES`",
                ) from error
        raise


def _is_of_gdeval(measure: Measure) -> bool:
    """Whether the script gdeval.pl computes a measure; it takes grades up to 4."""
    return measure.NAME == "ERR" or measure.params.get("dcg") == "exp-log2"


def _check_overlap(judged: Sequence[str], retrieved: set[str]) -> None:
    if not judged:
        raise DataError("There are no judgements to evaluate with.")
    if retrieved and retrieved.isdisjoint(judged):
        raise DataError(
            f"None of the run's {len(retrieved)} queries is judged: the run has ids such as "
            f"{min(retrieved)!r}, the judgements such as {judged[0]!r}.",
            hint="Are these the judgements of this query set?",
        )


def _numbered(
    results: Results, qrels: Qrels, judged: Sequence[str]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Run and judgements with strictly falling scores, and with numbers in place of ids.

    Numbers, because providers fail on ids that are empty or hold white space or NUL.
    """
    run: dict[str, dict[str, float]] = {}
    judgements: dict[str, dict[str, int]] = {}
    longest = max((len(results.get(query, ())) for query in judged), default=0)
    names = [str(rank) for rank in range(longest)]
    # Whole numbers, because a provider may store scores in single precision.
    falling = [float(longest - rank) for rank in range(longest)]
    for number, query in enumerate(judged):
        ranking: Ranking = results.get(query, [])
        worthless = next((doc for doc, score in ranking if not math.isfinite(score)), None)
        if worthless is not None:
            raise DataError(
                f"The score of document {worthless!r} for query {query!r} is not finite: nothing "
                "can be ranked by it."
            )
        named = dict(zip((doc_id for doc_id, _ in ranking), names, strict=False))
        if len(named) != len(ranking):
            raise DataError(f"A document is ranked twice for query {query!r}.")
        if ranking:
            run[str(number)] = dict(zip(names[: len(ranking)], falling, strict=False))
        grades = {
            named.get(doc_id, f"unretrieved-{i}"): max(int(grade), _LOWEST_GRADE)
            for i, (doc_id, grade) in enumerate(qrels[query].items())
        }
        if max(grades.values()) < 0:
            # trec_eval's code for Bpref reads memory that is not its own where no grade is at least
            # 0. One more document without relevance changes no measure.
            grades["unretrieved"] = 0
        judgements[str(number)] = grades
    return run, judgements


def aggregate(measure: Measure, values: Iterable[float]) -> float:
    """The mean over queries, or the sum if ir_measures defines a sum (``NumRet``)."""
    aggregator = measure.aggregator()
    for value in values:
        aggregator.add(value)
    return float(aggregator.result())


def compare(
    evaluation_a: Evaluation,
    evaluation_b: Evaluation,
    measures: Iterable[str | Measure],
    *,
    seed: int = 0,
    permutations: int = 10_000,
) -> list[PairedTest]:
    """Compare two runs over their common judged queries, with two-sided paired tests.

    ``t``: Student's paired t-test; p = 0 if all differences are equal and not zero. ``wilcoxon``:
    signed-rank test without ties. ``randomisation``: signs of the differences are flipped at
    random; p = (k + 1) / (n + 1), where k of n sums are at least as far from zero as the observed
    one (Smucker, Allan and Carterette, CIKM 2007). With one query, or without any difference, p is
    1 in each test. Holm's step-down method corrects the p-values of each test over the measures.

    Args:
        evaluation_a: The first run.
        evaluation_b: The second run. A win is a query on which it is better.
        measures: Names of measures that both evaluations have.
        seed: Seed of the randomisation test; each measure starts with it.
        permutations: Number of random sign flips.

    Raises:
        DataError: An evaluation lacks a measure, or the runs have no common judged query.
    """
    names = list(dict.fromkeys(str(measure) for measure in measures))
    pairs = [_paired(evaluation_a, evaluation_b, name) for name in names]
    p_values = [
        {
            "t": _t_test(differences),
            "wilcoxon": _wilcoxon(differences),
            "randomisation": _randomisation(differences, seed, permutations),
        }
        for differences in (_differences(a, b) for a, b in pairs)
    ]
    corrected = {test: holm([p_value[test] for p_value in p_values]) for test in TESTS}
    return [
        _paired_test(name, a, b, p_value, {test: corrected[test][i] for test in TESTS})
        for i, (name, (a, b), p_value) in enumerate(zip(names, pairs, p_values, strict=True))
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979) of p-values, in the same order; each is at most 1."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[place]))
        corrected[place] = highest
    return corrected


def _paired(a: Evaluation, b: Evaluation, name: str) -> tuple[Values, Values]:
    """Values of both runs on their common queries, in the order of their ids."""
    import numpy as np

    for one, which in ((a, "first"), (b, "second")):
        if name not in one.per_query:
            raise DataError(
                f"The {which} run was not evaluated with {name}.",
                hint=f"It was with: {', '.join(one.per_query) or 'nothing'}",
            )
    common = sorted(a.per_query[name].keys() & b.per_query[name].keys())
    if not common:
        raise DataError("The two runs have no judged query in common; they cannot be compared.")
    values_a = np.array([a.per_query[name][query] for query in common], dtype=np.float64)
    values_b = np.array([b.per_query[name][query] for query in common], dtype=np.float64)
    return values_a, values_b


def _differences(a: Values, b: Values) -> Values:
    """B minus A; rounding errors become 0."""
    import numpy as np

    differences = b - a
    differences[np.abs(differences) < _NOISE] = 0.0
    return differences


def _paired_test(
    name: str,
    a: Values,
    b: Values,
    p_values: Mapping[str, float],
    corrected: Mapping[str, float],
) -> PairedTest:
    differences = _differences(a, b)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedTest(
        measure=name,
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float(differences.mean()),
        wins=wins,
        losses=losses,
        ties=len(a) - wins - losses,
        n_queries=len(a),
        p_values=p_values,
        corrected=corrected,
    )


def _t_test(differences: Values) -> float:
    import numpy as np
    from scipy.special import stdtr

    n = len(differences)
    if n < 2 or not differences.any():
        return 1.0
    if float(np.ptp(differences)) < _NOISE:
        return 0.0
    t = float(differences.mean()) / (float(differences.std(ddof=1)) / math.sqrt(n))
    return float(2 * stdtr(n - 1, -abs(t)))


def _wilcoxon(differences: Values) -> float:
    from scipy.stats import wilcoxon

    # Rounding gives equal ranks to differences that differ only in their last bits.
    differing = differences[differences != 0].round(12)
    return float(wilcoxon(differing).pvalue) if len(differing) > 1 else 1.0


def _randomisation(differences: Values, seed: int, permutations: int) -> float:
    """The p-value of random sign flips, computed in blocks of bounded memory.

    Ties are left out first, because a flip does not change them.
    """
    import numpy as np

    differing = differences[differences != 0]
    n = len(differing)
    if n == 0:
        return 1.0
    generator = np.random.Generator(np.random.PCG64(seed))
    observed = abs(float(differing.sum()))
    # Sums in another order differ in their last bits.
    enough = observed - 1e-10 * float(np.abs(differing).sum())
    n_bytes = -(-n // 8)
    extreme = 0
    left = permutations
    while left:
        rows = min(left, max(8, _BLOCK_VALUES // n // 8 * 8))
        drawn = np.frombuffer(generator.bytes(rows * n_bytes), dtype=np.uint8)
        flips = np.unpackbits(drawn.reshape(rows, n_bytes), axis=1, count=n)
        sums = differing.sum() - 2.0 * (flips @ differing)
        extreme += int((np.abs(sums) >= enough).sum())
        left -= rows
    return (extreme + 1) / (permutations + 1)
