"""``hype report --html`` on a study: where the page is, JSON, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

Hype = Callable[..., Any]


def words(page: Path) -> str:
    """What a person reads, without tags."""
    text = page.read_text(encoding="utf-8")
    body = text[text.index("<body>") : text.index("<script>")]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_a_page_of_a_study(
    hype: Hype, finished_study: Path, tmp_path: Path, tiny_collection: Path
) -> None:
    page = tmp_path / "report.html"
    qrels = tiny_collection / "qrels.txt"
    shown = hype("report", "--html", page, "--qrels", qrels, "--store", finished_study)
    assert (shown.code, shown.err) == (0, "")
    assert f"Wrote {page} (" in shown.out
    assert f"Open it in a browser: {page.absolute().as_uri()}\n" in shown.out
    assert "query by query: " in shown.out
    said = words(page)
    for name in ("hyper-run", "plain-run", "hyper", "plain", "hyper-docs"):
        assert name in said
    for title in ("Leaderboards", "Query by query", "Recall against cost", "Training", "Lineage"):
        assert title in said
    store = hs.Store.open(finished_study)
    (evaluation,) = store.evaluations("hyper-run")
    assert f"{store.aggregates(evaluation.id)['nDCG@10']:.4f}" in said
    assert evaluation.id in said
    assert "grade " in said
    assert 'name = "tiny"' in said  # the recipe
    assert any(text in said for text in store.run("hyper-run").queries().values())


def test_as_json(hype: Hype, finished_study: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    arguments = ["report", "plain-run", "hyper-run", "--html", page, "--measures", "RR nDCG@10"]
    outcome = hype(*arguments, "--store", finished_study, "--json").json
    assert outcome["path"] == str(page)
    assert outcome["size_bytes"] == page.stat().st_size
    assert outcome["pairs"] == [["plain-run", "hyper-run"]]
    assert (outcome["leaderboards"], outcome["runs"], outcome["searches"], outcome["models"]) == (
        1,
        2,
        2,
        2,
    )
    assert len(outcome["remarks"]) == 1  # where the judgements are
    said = words(page)
    assert "nDCG@5" not in said
    assert said.index("RR") < said.index("nDCG@10")


def test_a_depth_of_recall(hype: Hype, finished_study: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    hype("report", "--html", page, "--k", 7, "--store", finished_study)
    assert "front at 7" in words(page)


def test_a_page_is_not_replaced_unasked(hype: Hype, finished_study: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("mine", encoding="utf-8")
    refused = hype("report", "--html", page, "--store", finished_study)
    assert (refused.code, refused.out) == (2, "")
    assert "--overwrite" in refused.err
    assert page.read_text(encoding="utf-8") == "mine"
    assert hype("report", "--html", page, "--overwrite", "--store", finished_study).code == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_an_empty_store_has_a_page_that_says_what_to_do(hype: Hype, tmp_path: Path) -> None:
    hs.Store.create(tmp_path / "store")
    page = tmp_path / "report.html"
    assert hype("report", "--html", page, "--store", tmp_path / "store").code == 0
    assert "No run has been evaluated yet" in words(page)


def test_names_that_steer_are_harmless_in_text_and_json(hype: Hype, tmp_path: Path) -> None:
    store = hs.Store.create(tmp_path / "store")
    for name in ("<script>alert(1)", "evil\u202egnp"):
        with store.run_writer("run", {"corpus": "c", "of": name}, name=name) as writer:
            writer.queries([("q1", "<b>one</b>")])
            writer.append(["q1"], ["d1"], [1], [1.0])
            writer.commit(stats={"n_queries": 1, "seconds": {"scoring": 0.5}})
        per_query = [("q1", "RR", 1.0 if "evil" in name else 0.0)]
        store.write_evaluation(
            name,
            qrels_id="qrels",
            inputs={"qrels_fingerprint": "f"},
            per_query=per_query,
            aggregates={"RR": per_query[0][2]},
            stats={"judged_queries": 1},
        )
    page = tmp_path / "report.html"
    shown = hype("report", "--html", page, "--store", store.root)
    assert shown.code == 0
    assert "evilgnp" in shown.out
    assert "\u202e" not in shown.out
    text = page.read_text(encoding="utf-8")
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in text
    assert "\u202e" not in text
    assert "&lt;b&gt;one&lt;/b&gt;" in text
    outcome = hype("report", "--html", page, "--overwrite", "--json", "--store", store.root).json
    assert outcome["pairs"] == [["<script>alert(1)", "evil\u202egnp"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--html", "{page}", "--sql", "SELECT 1"], "exclude each other"),
        (["--html", "{page}", "--schema"], "exclude each other"),
        (["--html", "{page}", "--format", "csv"], "exclude each other"),
        (["--html", "{page}", "hyper-run"], "hype report RUN_A RUN_B --html"),
        (["--html", "{page}", "a", "b", "c"], "3 runs are named"),
        (["--overwrite"], "hype report --html FILE --overwrite"),
    ],
)
def test_contradictions_are_usage_errors(
    hype: Hype, finished_study: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    page = tmp_path / "report.html"
    filled = [one.format(page=page) for one in arguments]
    refused = hype("report", *filled, "--store", finished_study)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err.replace("\n", " ")
    assert not page.exists()


def test_other_errors_have_their_codes(hype: Hype, finished_study: Path, tmp_path: Path) -> None:
    in_store = ["--store", finished_study]
    page = tmp_path / "report.html"
    unknown = hype("report", "hyper-run", "nobody", "--html", page, *in_store)
    assert (unknown.code, unknown.out) == (4, "")
    other = tmp_path / "other.txt"
    other.write_text("q0 0 d0 1\n", encoding="utf-8")
    refused = hype("report", "--html", page, "--qrels", other, *in_store)
    assert refused.code == 2
    assert "hype eval RUN --qrels" in refused.err
    missing = hype("report", "--html", page, "--qrels", tmp_path / "none.txt", *in_store)
    assert missing.code == 5
    nowhere = hype("report", "--html", tmp_path / "no" / "page.html", *in_store)
    assert nowhere.code == 5
    assert "cannot be written" in nowhere.err
    assert not page.exists()
