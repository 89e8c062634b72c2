"""Defects of the published code around data, none of which may come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.queries import open_queries
from hypencli.data.runs import read_run
from hypencli.errors import DataError
from hypencli.evaluation.measures import evaluate, parse_measures


@pytest.mark.timeout(20)
def test_a_malformed_line_ends_reading_and_does_not_hang_it(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"id": str(i), "text": "x"}) for i in range(100)]
    lines[57] = lines[57][:-3]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"corpus\.jsonl, line 58: not valid JSON"):
        list(open_corpus(path))


def test_integer_ids_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": 1, "text": "x"}\n{"id": -2, "text": "y"}\n', encoding="utf-8")
    assert [document.doc_id for document in open_corpus(path)] == ["1", "-2"]
    assert [query.query_id for query in open_queries(path)] == ["1", "-2"]


def test_a_run_without_content_can_be_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record = {"query": {"id": "q"}, "items": [{"id": "a", "score": 2.0}, {"id": "b", "score": 1.0}]}
    path.write_text(json.dumps(record), encoding="utf-8")
    evaluated = evaluate(read_run(path).results, {"q": {"b": 1}}, parse_measures(["RR"]))
    assert evaluated.aggregates == {"RR": 0.5}


def test_two_files_of_one_stem_keep_their_names(tmp_path: Path) -> None:
    for name in ("hyp.6_layer", "hyp.8_layer"):
        (tmp_path / name).write_text('{"id": 1, "text": "x"}\n', encoding="utf-8")
    six, eight = open_corpus(tmp_path / "hyp.6_layer"), open_corpus(tmp_path / "hyp.8_layer")
    assert six.id != eight.id
    assert six.id_prefix != eight.id_prefix


def test_measures_do_not_disagree_about_ties() -> None:
    """Providers break ties differently, so that RR and RR@10 of one run could contradict."""
    measures = parse_measures(["RR", "RR@10"])
    for ranking in ([("a", 1.0), ("b", 1.0)], [("b", 1.0), ("a", 1.0)]):
        evaluated = evaluate({"q": ranking}, {"q": {"a": 1}}, measures).aggregates
        expected = 1.0 if ranking[0][0] == "a" else 0.5
        assert evaluated == {"RR": expected, "RR@10": expected}
