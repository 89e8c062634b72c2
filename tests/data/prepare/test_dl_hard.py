"""DL-HARD without its authors' judgements: small files, ir_datasets, and the real release."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.prepare import Job, PreparedParts, dl_hard
from hypencli.data.prepare.dl_hard import ADDED, JUDGED, TOPICS, prepare_dl_hard
from hypencli.data.prepare.download import blob_id
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.data.runs import read_run
from hypencli.errors import DataError
from hypencli.evaluation.measures import evaluate, parse_measures

Prepare = Callable[..., tuple[PreparedParts, Path]]


@pytest.fixture
def prepare(make_job: Callable[..., Job]) -> Prepare:
    def run(inputs: Path | None, **settings: Any) -> tuple[PreparedParts, Path]:
        job = make_job(inputs, **settings)
        return prepare_dl_hard(job), job.out

    return run


def test_added_judgements_go_and_queries_without_others(hard_tasks: Path, prepare: Prepare) -> None:
    created, out = prepare(hard_tasks / "dl-hard-test")
    assert read_qrels(out / "qrels.txt").qrels == {
        "7001": {"1001": 3, "1002": 0, "1003": 1},
        "7003": {"3001": 2, "3002": 0},
    }
    queries = {one.query_id: one.text for one in open_queries(out / "queries.jsonl")}
    assert queries == {"7001": "what is the river bank", "7003": "what is a comet made of"}
    (part,) = created.parts
    assert part.counts == {"queries": 2, "judgements": 5}
    assert part.left_out == {"queries": 2, "judgements": 3}
    assert created.corpus == "irds:msmarco-passage"


def test_a_query_keeps_what_trec_judged(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("dl-hard-test")
    (folder / ADDED.name).write_text("7001 Q0 1001 1\n", encoding="utf-8")
    _, out = prepare(folder)
    assert read_qrels(out / "qrels.txt").qrels["7001"] == {"1002": 0, "1003": 1}
    assert len(open_queries(out / "queries.jsonl")) == 4


def test_the_repository_as_it_is_cloned(
    released: Callable[[str], Path], prepare: Prepare, hard_tasks: Path
) -> None:
    _, out = prepare(hard_tasks / "dl-hard-test")
    expected = [(out / name).read_bytes() for name in ("queries.jsonl", "qrels.txt")]
    folder = released("dl-hard-test")
    for name in ("dataset", "annotations/new_judgements"):
        (folder / name).mkdir(parents=True)
    for name in (TOPICS, JUDGED):
        (folder / name).rename(folder / "dataset" / name)
    (folder / ADDED.name).rename(folder / ADDED.path)
    created, out = prepare(folder)
    assert [(out / name).read_bytes() for name in ("queries.jsonl", "qrels.txt")] == expected
    assert created.sources == (
        f"file:dataset/{TOPICS}",
        f"file:dataset/{JUDGED}",
        f"file:{ADDED.path}",
    )


@pytest.mark.parametrize("name", [TOPICS, JUDGED, ADDED.name])
def test_a_file_that_is_missing_or_there_twice(
    name: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("dl-hard-test")
    content = (folder / name).read_bytes()
    (folder / "more").mkdir()
    (folder / "more" / name).write_bytes(content)
    with pytest.raises(DataError, match=f"one file {name} was expected.*there is 2: "):
        prepare(folder)
    (folder / "more" / name).unlink()
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"one file {name} was expected.*there is none") as caught:
        prepare(folder)
    assert "grill-lab/DL-Hard" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "line", "problem"),
    [
        (JUDGED, "7001 Q0 1001", "line 9: 3 columns"),
        (JUDGED, "7001 Q0 1001 2", "has grade 2 here and 3 before"),
        (JUDGED, "9999 Q0 1 1", "line 9: no query '9999'"),
        (TOPICS, "7001\tagain", "the id '7001' is there twice, at lines 1 and 5"),
        (ADDED.name, "7001 Q0 1001 x", "line 5: a grade must be an integer"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(
    name: str, line: str, problem: str, released: Callable[[str], Path], prepare: Prepare
) -> None:
    folder = released("dl-hard-test")
    with (folder / name).open("a", encoding="utf-8") as out:
        out.write(f"{line}\n")
    with pytest.raises(DataError, match=problem):
        prepare(folder)


def test_judgements_of_unknown_queries_are_counted(
    released: Callable[[str], Path], make_job: Callable[..., Job]
) -> None:
    folder = released("dl-hard-test")
    with (folder / JUDGED).open("a", encoding="utf-8") as out:
        out.write("9999 Q0 1 1\n")
    job = make_job(folder, lenient=True)
    (part,) = prepare_dl_hard(job).parts
    assert job.malformed.all()["unknown ids"].first == f"{folder / JUDGED}, line 9"
    assert part.counts == {"queries": 2, "judgements": 5}


def test_nothing_that_trec_judged(released: Callable[[str], Path], prepare: Prepare) -> None:
    folder = released("dl-hard-test")
    (folder / ADDED.name).write_bytes((folder / JUDGED).read_bytes())
    with pytest.raises(DataError, match="the source is empty"):
        prepare(folder)


FEW_JUDGEMENTS = 10
"""No query has more of the authors' judgements, and none has fewer than 132 of TREC's."""


@pytest.mark.parametrize("run", ["bm25.run", "bm25+bert(zs).run"])
def test_the_real_release_measures_as_trec_eval_does(
    run: str, evaluation_goldens: Path, prepare: Prepare, tmp_path: Path
) -> None:
    """The real queries, judgements and runs; the list of added ones is stood in for.

    It is not at hand, but it leaves 21 of the 50 queries, and those are the ones that many passages
    were judged for. The mean of trec_eval's values over them is the measure on what is written.
    """
    release = evaluation_goldens / "dlhard"
    folder = tmp_path / "DL-Hard"
    folder.mkdir()
    for name in (TOPICS, JUDGED):
        (folder / name).write_bytes((release / name).read_bytes())
    lines = (release / JUDGED).read_text(encoding="utf-8").splitlines()
    judged = Counter(line.split()[0] for line in lines)
    added = [line for line in lines if judged[line.split()[0]] <= FEW_JUDGEMENTS]
    (folder / ADDED.name).write_text("\n".join(added) + "\n", encoding="utf-8")
    created, out = prepare(folder)
    assert created.parts[0].counts == {"queries": 21, "judgements": 3985}
    assert created.parts[0].left_out == {"queries": 29, "judgements": 271}
    qrels = read_qrels(out / "qrels.txt").qrels
    assert {one.query_id for one in open_queries(out / "queries.jsonl")} == qrels.keys()
    measures = {
        "ndcg_cut_10": "nDCG@10",
        "recip_rank": "RR(rel=2)",
        "recall_1000": "R(rel=2)@1000",
    }
    results = read_run(release / "passage" / run).results
    evaluated = evaluate(results, qrels, parse_measures(list(measures.values())))
    assert evaluated.judged_queries == 21
    by_trec_eval = (release / "passage" / f"{run}.eval").read_text(encoding="utf-8").splitlines()
    for name, ours in measures.items():
        values = {
            query: float(value)
            for measure, query, value in map(str.split, by_trec_eval)
            if measure == name and query in qrels
        }
        assert len(values) == 21
        assert evaluated.aggregates[ours] == pytest.approx(sum(values.values()) / 21, abs=5e-5)


PREPARE = """
import sys
from pathlib import Path
from dataclasses import replace
from hypencli.data.prepare import dl_hard, download
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
dl_hard.ADDED = replace(dl_hard.ADDED, blob=sys.argv[2])
download.RAW_FILES = sys.argv[3]
print(prepare("dl-hard-test", PrepareOptions(Path(sys.argv[1]))).sources)
"""


def test_ir_datasets_and_the_list_of_github(
    hard_tasks: Path, tmp_path: Path, local_github: dict[str, bytes]
) -> None:
    """Two queries of the real DL-HARD, judged by hand, in the cache of ir_datasets."""
    from huggingface_hub import constants

    home = tmp_path / "home" / "msmarco-passage"
    files = {
        "trec-dl-2019/queries.tsv": "915593\tsous vide\n1\tno query of DL-HARD\n",
        "trec-dl-2020/queries.tsv": "801118\tsupplemental income\n",
        "trec-dl-hard/qrels": "915593 Q0 7 2\n915593 Q0 8 0\n801118 Q0 9 1\n",
        "trec-dl-hard/irds_version.txt": "v3",
    }
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content, encoding="utf-8")
    added = tmp_path / "added"
    added.write_text("801118 Q0 9 1\n", encoding="utf-8")
    file = replace(ADDED, blob=blob_id(added))
    local_github[f"{file.repository}/{file.commit}/{file.path}"] = added.read_bytes()
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(out), file.blob, constants.ENDPOINT],
        env={**os.environ, "IR_DATASETS_HOME": str(home.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "irds:msmarco-passage/trec-dl-hard" in done.stdout
    assert read_qrels(out / "qrels.txt").qrels == {"915593": {"7": 2, "8": 0}}
    assert [one.text for one in open_queries(out)] == ["sous vide"]
    assert open_queries(out).corpus_id == dl_hard.CORPUS_ID
