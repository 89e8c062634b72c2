"""``hype replicate``: text, JSON, tables for programs, every way out."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest

from hypestore import Store
from tests.conftest import Hype

TABLE = """
description = "Two ways on the tiny collection"
measures = ["nDCG@10", "R@20"]
k = 20

[models.hype]
source = "hyper"

[models.bi]
source = "plain"

[datasets.tiny]
queries = "COLLECTION/queries.jsonl"
corpus = "COLLECTION/corpus.jsonl"
qrels = "COLLECTION/qrels.txt"

[published]
source = "A paper, table 1"

[[published.figures]]
model = "hype"
dataset = "tiny"
values = { "nDCG@10" = 0.5 }

[[published.figures]]
model = "BM25"
dataset = "tiny"
values = { "nDCG@10" = 0.25 }
"""


def hype_dtype(study: Path) -> str:
    """The arithmetic that `hype encode` chose on this processor."""
    return str(Store.open(study).get("hyper-docs", "embeddings").inputs["dtype"])


@pytest.fixture
def table(study: Path, tiny_collection: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in the folder of a store that has its vectors and its runs, measured otherwise."""
    monkeypatch.chdir(study)
    path = study / "small.toml"
    own = hype_dtype(study)
    text = f'{TABLE}\n[encoding]\ndtype = "{own}"\n'.replace("COLLECTION", str(tiny_collection))
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_stands_beside_the_paper(hype: Hype, table: Path) -> None:
    done = hype("replicate", table, "--references")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    (row,) = (line for line in lines if line[:4] == ["tiny", "nDCG@10", "exact", "hype"])
    here, paper, difference, agreement = row[4:]
    assert (paper, agreement) == ("0.5000", "differs")
    assert float(here) - 0.5 == pytest.approx(float(difference), abs=1e-4)
    assert ["tiny", "nDCG@10", "exact", "BM25", "–", "0.2500", "–"] in lines
    assert "paper: A paper, table 1." in done.out
    assert "8 steps: 2 done now, 6 before, 0 failed" in done.out
    assert "[1/8] model hyper" in done.err
    assert "[8/8] eval tiny with plain (exact)" in done.err
    again = hype("replicate", table)
    assert "8 steps: 0 done now, 8 before, 0 failed" in again.out
    assert "BM25" not in again.out


def test_it_is_json_and_csv_for_programs(hype: Hype, table: Path) -> None:
    outcome = hype("replicate", table, "--models", "hype", "--json").json
    assert (outcome["recipe"], outcome["steps"], outcome["failures"]) == ("small", 4, [])
    first = outcome["figures"][0]
    assert (first["model"], first["measure"], first["published"]) == ("hype", "nDCG@10", 0.5)
    assert first["difference"] == pytest.approx(first["value"] - 0.5)
    written = hype("replicate", table, "--models", "hype", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(written)))
    assert [row["measure"] for row in rows] == ["nDCG@10", "R@20"]
    assert float(rows[0]["difference"]) == pytest.approx(first["difference"])
    assert hype("replicate", table, "--format", "markdown").out.count("\n| tiny |") == 4


def test_a_dry_run_lists_the_steps_and_does_none(hype: Hype, table: Path, study: Path) -> None:
    before = sorted(study.glob("*/*/*"))
    shown = hype("replicate", table, "--dry-run", "--set", "k=10")
    assert shown.code == 0, shown.err
    assert re.search(r"^ +done +encode …/\S+/corpus.jsonl with hyper *$", shown.out, re.MULTILINE)
    assert re.search(r"^ +to do +search tiny with hyper \(exact\) +\d", shown.out, re.MULTILINE)
    assert "4 of 8 steps are done, 4 to do" in shown.out
    assert "measured: hyper-run" in shown.out
    assert sorted(study.glob("*/*/*")) == before
    outcome = hype("replicate", table, "--dry-run", "--json").json
    assert [step["kind"] for step in outcome["steps"]] == [
        *("model", "model"),
        *("encode", "search", "eval"),
        *("encode", "search", "eval"),
    ]


LOSS = """
[datasets.misspelt]
queries = "COLLECTION/queries.jsonl"
corpus = "COLLECTION/corpus.jsonl"
qrels = "COLLECTION/qrels.txt"
perturb = "misspelling"
loss_against = "tiny"

[datasets.reworded]
queries = "COLLECTION/queries.jsonl"
corpus = "COLLECTION/corpus.jsonl"
qrels = "COLLECTION/qrels.txt"
perturb = "synonym"
loss_against = "tiny"
"""


def test_a_loss_is_shown_with_its_base_and_what_lacks_something_is_named(
    hype: Hype, table: Path, tiny_collection: Path, study: Path
) -> None:
    more = LOSS.replace("COLLECTION", str(tiny_collection))
    table.write_text(table.read_text(encoding="utf-8") + more, encoding="utf-8")
    rows = ("--models", "hype")
    planned = hype("replicate", table, *rows, "--dry-run")
    assert re.search(r"^ +to do +perturb \S+/queries.jsonl \(misspelling\) *$", planned.out, re.M)
    left_out = "Left out: reworded: synonyms come from a word list of yours: --set perturb.words="
    assert left_out in planned.out
    assert not (study / "data").exists()
    done = hype("replicate", table, *rows, "--datasets", "misspelt")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[4] for line in lines if line[:4] == ["tiny", "nDCG@10", "exact", "hype"]]
    assert [line for line in lines if line[:5] == ["misspelt", "loss", "of", "nDCG@10", "(%)"]]
    assert "12 queries changed: " in done.err
    assert "Left out" not in done.out
    assert left_out in hype("replicate", table, *rows).out
    refused = hype("replicate", table, *rows, "--datasets", "reworded")
    assert refused.code == 2
    assert "The queries of reworded cannot be perturbed: synonyms" in refused.err
    outcome = hype("replicate", table, *rows, "--json").json
    assert outcome["left_out"][0]["datasets"] == ["reworded"]


def test_what_an_estimate_lacks_is_said(hype: Hype, table: Path) -> None:
    far = ("--set", "models.bi.source=someone/somewhere", "--set", "models.bi.pooling=cls")
    shown = hype("replicate", table, "--dry-run", *far, "--set", "k=10")
    assert re.search(
        r"^To do: about \S+ s \(without 1 step of unknown cost\); about", shown.out, re.M
    )
    assert "vectors 768 wide, assumed: a BERT base" in shown.out
    blocked = hype("replicate", table, "--dry-run", "--set", "models.bi.source=absent")
    assert "1 missing, 3 waiting." in blocked.out


def test_without_a_name_the_shipped_tables_are_listed(hype: Hype) -> None:
    listed = hype("replicate")
    assert listed.code == 0
    assert "in-domain" in listed.out
    assert "robustness" in listed.out
    assert {one["name"] for one in hype("replicate", "--json").json} >= {"hard", "efficient"}


def test_a_step_that_fails_ends_with_its_code(hype: Hype, table: Path) -> None:
    absent = ("--set", "models.bi.source=absent")
    stopped = hype("replicate", table, *absent)
    assert stopped.code == 6
    assert stopped.out == ""
    assert "No model 'absent'" in stopped.err
    assert "[2/8] failed" in stopped.err
    went_on = hype("replicate", table, *absent, "--keep-going")
    assert went_on.code == 6
    assert "8 steps: 1 done now, 3 before, 1 failed" in went_on.out
    assert "Failed: model absent: No model 'absent'" in went_on.out
    assert went_on.out.count("not done without it:") == 3
    outcome = hype("replicate", table, *absent, "--keep-going", "--json")
    assert (outcome.code, outcome.json["failures"][0]["exit_code"]) == (6, 6)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["in-domian"], 3, "Did you mean 'in-domain'"),
        (["absent.toml"], 3, "No recipe file absent.toml"),
        (["small.toml", "--set", "models.hype.sauce=x"], 3, "unknown key 'models.hype.sauce'"),
        (["small.toml", "--set", "measures=['nDGC@10']"], 3, "small: Not measures"),
        (["small.toml", "--models", "hpye"], 2, "no hpye among its models"),
        (["small.toml", "--datasets", "tyni", "--dry-run"], 2, "Did you mean 'tiny'"),
        (["small.toml", "--searches", "fast"], 2, "Known: exact"),
        (["small.toml", "--set", "datasets.tiny.queries=gone.jsonl"], 5, "gone.jsonl"),
        (["small.toml", "--set", "datasets.tiny.qrels=gone.txt"], 5, "gone.txt"),
        (["small.toml", "--set", "datasets.tiny.corpus=gone.jsonl"], 5, "gone.jsonl"),
        (["small.toml", "--set", "k=7", "--device", "tpu"], 6, "Unknown device"),
    ],
)
def test_errors(hype: Hype, table: Path, arguments: list[str], code: int, said: str) -> None:
    done = hype("replicate", *arguments)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_it_needs_a_store(hype: Hype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hype("replicate", "in-domain", "--dry-run").code == 4


def test_code_of_a_model_runs_only_where_the_command_says_so(
    hype: Hype, study: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    assert hype("export", "model", "hyper", "--output", folder).code == 0
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["query_encoder_kwargs"]["converter"] = "a_q_net_of_mine:Mine"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shipped = "from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter\n"
    code = f"{shipped}\n\nclass Mine(RepeatedDenseBlockConverter):\n    pass\n"
    (tmp_path / "a_q_net_of_mine.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["replicate", table, "--models", "hype", "--set", f"models.hype.source={folder}"]
    refused = hype(*command)
    assert (refused.code, "a_q_net_of_mine" in sys.modules) == (6, False)
    assert "--trust-code" in refused.err
    done = hype(*command, "--trust-code", "--json")
    assert (done.code, "a_q_net_of_mine" in sys.modules) == (0, True), done.err
    as_shipped = hype("replicate", table, "--models", "hype", "--json").json
    assert [one["value"] for one in done.json["figures"]] == [
        one["value"] for one in as_shipped["figures"]
    ]
