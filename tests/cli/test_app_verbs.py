"""Each verb on a real store, as text and as JSON."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import hypencli

Hype = Callable[..., Any]


def test_init_makes_a_store_that_is_found_from_below(
    hype: Hype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = hype("init", tmp_path / "new")
    assert outcome.code == 0
    assert str(tmp_path / "new") in outcome.out
    below = tmp_path / "new" / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert "is empty" in hype("ls").out


def test_the_store_is_taken_from_the_environment(
    hype: Hype, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPE_STORE", str(study))
    assert "hyper-run" in hype("ls").out


def test_ls_lists_everything_or_a_kind(hype: Hype, study: Path) -> None:
    listed = hype("ls", "--store", study, "--json").json
    kinds = [one["kind"] for one in listed]
    assert sorted(set(kinds)) == ["embeddings", "evaluation", "model", "run"]
    runs = hype("ls", "runs", "--store", study, "--json").json
    assert {one["name"] for one in runs} == {"hyper-run", "plain-run"}
    assert "hyper-run" in hype("ls", "run", "--store", study).out


def test_show_draws_a_model_with_its_curve(hype: Hype, study: Path) -> None:
    shown = hype("show", "hyper", "--store", study)
    assert "recipe: tiny" in shown.out
    assert "▁" in shown.out
    curves = hype("show", "hyper", "--store", study, "--json").json["curves"]
    assert all(len(points) > 1 for points in curves.values())


def test_show_gives_a_run_its_lineage_and_measures(hype: Hype, study: Path) -> None:
    shown = hype("show", "hyper-run", "--store", study, "--json").json
    assert {one["name"] for one in shown["parents"]} == {"hyper", "hyper-docs"}
    (measures,) = shown["metrics"].values()
    assert set(measures) >= {"nDCG@10", "RR", "R@10"}
    assert "R@1000" not in measures, "the run has 20 results per query"
    assert "nDCG@10" in hype("show", "hyper-run", "--store", study).out


def test_train_twice_does_the_work_once(
    hype: Hype, study: Path, tiny_recipe_settings: list[str]
) -> None:
    again = hype("train", "tiny", "--store", study, *tiny_recipe_settings, "--json").json
    assert again["existing"]
    assert again["name"] == "hyper"


def test_train_takes_a_path_and_tells_what_it_did(
    hype: Hype, study: Path, repository: Path, tiny_recipe_settings: list[str]
) -> None:
    recipe = repository / "recipes" / "tiny.toml"
    quick = ["--set", "training.steps=3", "--name", "quick"]
    done = hype("train", recipe, *tiny_recipe_settings, *quick, "--store", study)
    assert done.code == 0
    assert "Trained quick on 96 rows: 3 steps" in done.out
    assert "hype encode" in done.out


def test_encode_dry_run_changes_nothing(hype: Hype, study: Path, tiny_collection: Path) -> None:
    arguments = ["encode", tiny_collection / "corpus.jsonl", "--model", "hyper", "--limit", 50]
    before = sorted(study.rglob("*"))
    plan = hype(*arguments, "--dry-run", "--store", study, "--json").json
    assert (plan["n_documents"], plan["n_shards"], plan["finished"]) == (50, 1, False)
    assert [path for path in sorted(study.rglob("*")) if path not in before] == []


def test_encode_in_parts_by_several_processes(
    hype: Hype, study: Path, tiny_collection: Path
) -> None:
    arguments = ["encode", tiny_collection / "corpus.jsonl", "--model", "hyper", "--shard-rows", 25]
    arguments += ["--storage-dtype", "float32"]
    arguments += ["--name", "parts", "--store", study, "--json"]
    first = hype(*arguments, "--shard", "2/2").json
    assert (first["finished"], first["missing_shards"]) == (False, [0, 2, 4])
    second = hype(*arguments, "--shard", "1/2").json
    assert second["finished"]
    whole = hypencli.open_store(study).store
    assert whole.embeddings("parts").ids(range(120)) == whole.embeddings("hyper-docs").ids(
        range(120)
    )


def test_encode_reads_tsv_gzip_and_keys(hype: Hype, study: Path, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "docs.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write('{"docno": 7, "body": "river bank"}\n{"docno": 8, "body": "the moon"}\n')
    (tmp_path / "docs.tsv").write_text("a\triver bank\nb\tthe moon\n", encoding="utf-8")
    keys = ["--id-key", "docno", "--text-key", "body"]
    common = ["--model", "hyper", "--store", study, "--json"]
    assert hype("encode", tmp_path / "docs.jsonl.gz", *keys, *common).json["n_documents"] == 2
    assert hype("encode", tmp_path / "docs.tsv", *common).json["n_documents"] == 2


def test_search_reads_standard_input(
    hype: Hype, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = io.TextIOWrapper(io.BytesIO(b"what is river and boat\nwhat is moon\n"))
    monkeypatch.setattr("sys.stdin", asked)
    outcome = hype("search", "-", "--model", "hyper", "--k", 3, "--store", study, "--json").json
    assert (outcome["n_queries"], outcome["n_results"]) == (2, 6)
    assert outcome["evaluation"] is None


def test_search_says_what_it_took_and_where_time_went(
    hype: Hype, study: Path, tiny_collection: Path
) -> None:
    done = hype(
        *("search", tiny_collection / "queries.jsonl", "--model", "plain", "--k", 5),
        *("--qrels", tiny_collection / "qrels.txt", "--measures", "P@5 nDCG@5", "--store", study),
    )
    assert "plain-docs" in done.err
    for word in ("query encoding", "scoring", "top-k", "writing", "P@5", "nDCG@5"):
        assert word in done.out
    assert "R@1000" not in done.out


def test_a_recipe_with_nested_widths_is_searched_at_one(
    hype: Hype, study: Path, tiny_collection: Path, tiny_recipe_settings: list[str]
) -> None:
    in_store = ["--store", study]
    nested = ["--set", "model.converter.name=matryoshka", "--set", "training.steps=3"]
    nested += ["--set", "model.converter.options={widths = [8, 16]}", "--name", "nested"]
    assert hype("train", "tiny", *tiny_recipe_settings, *nested, *in_store).code == 0
    assert (
        hype("encode", tiny_collection / "corpus.jsonl", "--model", "nested", *in_store).code == 0
    )
    asked = ["search", tiny_collection / "queries.jsonl", "--model", "nested", "--k", 5, *in_store]
    done = hype(*asked, "--width", 8, "--name", "narrow")
    assert "(exact, k=5, width=8)" in done.out
    assert "width: 8\n" in hype("show", "narrow", *in_store).out
    assert hype(*asked, "--width", 8, "--json").json["width"] == 8
    assert hype(*asked, "--json").json["width"] is None
    top = {
        width: hype("query", "river boat", "--model", "nested", "--width", width, *in_store).out
        for width in (8, 32)
    }
    assert top[8] != top[32]
    refused = hype(*asked, "--width", 9)
    assert refused.code == 6
    assert "widths: 8, 16, 32" in refused.err


def test_query_shows_documents_with_text(hype: Hype, study: Path) -> None:
    asked = ["query", "what is river and boat", "--model", "hyper", "-k", 3, "--store", study]
    answer = hype(*asked, "--json").json
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert all(hit["text"] for hit in answer["hits"])
    drawn = hype(*asked).out
    assert answer["hits"][0]["text"] in drawn


def test_query_without_kept_text(hype: Hype, study: Path, tiny_collection: Path) -> None:
    common = ["--model", "hyper", "--store", study]
    corpus = tiny_collection / "corpus.jsonl"
    assert hype("encode", corpus, *common, "--no-keep-text", "--name", "bare").code == 0
    answer = hype("query", "river", "--embeddings", "bare", "-k", 2, *common, "--json").json
    assert [hit["text"] for hit in answer["hits"]] == [None, None]


def test_eval_with_other_measures_is_kept_beside(
    hype: Hype, study: Path, tiny_collection: Path
) -> None:
    arguments = ["eval", "hyper-run", "--qrels", tiny_collection / "qrels.txt", "--store", study]
    outcome = hype(*arguments, "--measures", "AP(rel=2), nDCG@3", "--json").json
    assert set(outcome["aggregates"]) == {"AP(rel=2)", "nDCG@3"}
    assert not outcome["existing"]
    assert hype(*arguments, "--measures", "AP(rel=2), nDCG@3", "--json").json["existing"]
    assert len(hype("show", "hyper-run", "--store", study, "--json").json["children"]) == 2


def test_eval_counts_judged_queries_without_results_as_zero(
    hype: Hype, study: Path, tmp_path: Path, tiny_collection: Path
) -> None:
    qrels = (tiny_collection / "qrels.txt").read_text(encoding="utf-8")
    (tmp_path / "more.txt").write_text(qrels + "q99 0 d1 1\n", encoding="utf-8")
    arguments = ["eval", "hyper-run", "--measures", "P@10", "--store", study]
    expected_names = hype(*arguments, "--qrels", tiny_collection / "qrels.txt", "--json").json
    more = hype(*arguments, "--qrels", tmp_path / "more.txt", "--json").json
    assert more["missing_queries"] == ["q99"]
    assert more["aggregates"]["P@10"] == pytest.approx(
        expected_names["aggregates"]["P@10"] * 12 / 13
    )
    assert "q99" in hype(*arguments, "--qrels", tmp_path / "more.txt").out


def test_report_ranks_runs(hype: Hype, study: Path) -> None:
    (board,) = hype("report", "--store", study, "--json").json
    assert {row[0] for row in board["rows"]} == {"hyper-run", "plain-run"}
    values = [row[board["columns"].index("nDCG@10")] for row in board["rows"]]
    by_first_measure = [row[3] for row in board["rows"]]
    assert by_first_measure == sorted(by_first_measure, reverse=True)
    assert all(0 < value <= 1 for value in values)
    narrow = hype("report", "--measures", "RR@10", "--store", study).out
    assert "RR@10" in narrow
    assert "nDCG@10" not in narrow


def test_report_of_two_runs_tests_the_difference(hype: Hype, study: Path) -> None:
    outcome = hype("report", "plain-run", "hyper-run", "--store", study, "--json").json
    assert (outcome["run_a"], outcome["run_b"], outcome["n_queries"]) == (
        "plain-run",
        "hyper-run",
        12,
    )
    for test in outcome["tests"]:
        assert test["wins"] + test["losses"] + test["ties"] == 12
        assert set(test["corrected"]) == {"t", "wilcoxon", "randomisation"}
        assert test["difference"] == pytest.approx(test["mean_b"] - test["mean_a"])
    drawn = hype("report", "plain-run", "hyper-run", "--store", study).out
    assert "Holm" in drawn


def test_report_sql_in_every_format(hype: Hype, study: Path) -> None:
    sql = "SELECT name, value FROM leaderboard WHERE measure = 'P@10' ORDER BY name"
    arguments = ["report", "--sql", sql, "--store", study]
    rows = hype(*arguments, "--json").json["rows"]
    assert [row["name"] for row in rows] == ["hyper-run", "plain-run"]
    read = list(csv.DictReader(io.StringIO(hype(*arguments, "--format", "csv").out)))
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows]
    for format in ("table", "markdown", "latex"):
        assert "hyper-run" in hype(*arguments, "--format", format).out


def test_report_schema_documents_tables_and_views(hype: Hype, study: Path) -> None:
    out = hype("report", "--schema", "--store", study).out
    for relation in ("artifacts", "runs", "metrics", "per_query_metrics", "leaderboard"):
        assert relation in out


@pytest.mark.parametrize("format", ["trec", "jsonl"])
def test_a_run_goes_out_and_comes_back(
    hype: Hype, study: Path, tmp_path: Path, format: str
) -> None:
    path = tmp_path / f"out.{format}"
    assert hype("export", "run", "hyper-run", "--output", path, "--store", study).code == 0
    taken = hype("import", "run", path, "--name", "back", "--store", study, "--json").json
    assert taken["n_results"] == 240
    store = hypencli.open_store(study).store
    assert store.run("back").results() == store.run("hyper-run").results()
    again = hype("import", "run", path, "--name", "back", "--store", study, "--json").json
    assert again["existing"]


def test_trec_ranks_start_at_one_and_parquet_is_parquet(
    hype: Hype, study: Path, tmp_path: Path
) -> None:
    common = ["--store", study]
    hype("export", "run", "hyper-run", "--output", tmp_path / "a.trec", *common)
    first = (tmp_path / "a.trec").read_text(encoding="utf-8").splitlines()[0].split()
    assert (first[0], first[1], first[3], first[5]) == ("q0", "Q0", "1", "hyper-run")
    hype("export", "run", "hyper-run", "--output", tmp_path / "a.parquet", *common)
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 240


def test_published_jsonl_has_the_query_text(hype: Hype, study: Path, tmp_path: Path) -> None:
    hype("export", "run", "hyper-run", "-o", tmp_path / "a.jsonl", "--store", study)
    row = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["query"]["content"].startswith("what is")
    assert set(row["items"][0]) >= {"id", "score"}


def test_a_model_goes_out_and_comes_back(hype: Hype, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["--store", study]
    done = hype("export", "model", "hyper", "--output", out, *common)
    assert done.code == 0
    assert "config.json, model.safetensors" in done.out
    assert "Warning: the published code loads the encoder by its name" in done.out
    assert "--backbone-name" in done.out
    refused = hype("export", "model", "hyper", "-o", out, *common, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (2, "UsageError")
    named = ["--backbone-name", "owner/tiny", "--bin", "--overwrite"]
    again = hype("export", "model", "hyper", "-o", out, *named, *common, "--json").json
    assert again["backbones"] == ["owner/tiny"]
    assert again["local_backbones"] == again["obstacles"] == []
    assert "pytorch_model.bin" in again["files"]
    taken = hype("import", "model", out, "--name", "back", "--copy", *common)
    assert "Copied in: back" in taken.out
    assert "hype search QUERIES --model back --embeddings hyper-docs" in taken.out
    assert "a copy of" in hype("ls", "models", *common).out
    assert hype("query", "river", "--model", "back", "-k", 1, *common, "--json").json["hits"]
    assert "Registered: ref" in hype("import", "model", out, "--name", "ref", *common).out
    assert hype("import", "model", out, "--name", "ref", *common, "--json").json["existing"]


def test_a_bi_encoder_goes_out_with_a_word_on_published_code(
    hype: Hype, study: Path, tmp_path: Path
) -> None:
    done = hype("export", "model", "plain", "-o", tmp_path / "out", "--store", study)
    assert (done.code, "The published code cannot load it" in done.out) == (0, True)


def test_doctor_tells_of_caches_and_cleans_them(hype: Hype, study: Path) -> None:
    store = hypencli.open_store(study).store

    def make(folder: Path) -> None:
        (folder / "tokens.bin").write_bytes(bytes(2000))

    store.cached("tokens-1", make)
    told = hype("doctor", "--store", study)  # trainings left caches there, too
    assert (told.code, f"\nCaches: {len(store.caches())}, " in told.out) == (0, True)
    assert "No problems" in told.out
    assert hype("doctor", "--clean", "--store", study, "--json").json["caches"] == 1  # in use
    del store
    gc.collect()
    assert hype("doctor", "--clean", "--store", study, "--json").json["caches"] == 0


def test_rm_refuses_what_is_needed_and_removes_when_forced(hype: Hype, study: Path) -> None:
    refused = hype("rm", "hyper-docs", "--store", study)
    assert refused.code == 4
    assert "hyper" in refused.err
    removed = hype("rm", "hyper-docs", "--force", "--store", study, "--json").json["removed"]
    assert len(removed) == 3
    assert {one["name"] for one in hype("ls", "runs", "--store", study, "--json").json} == {
        "plain-run"
    }


def test_doctor_is_content_and_finds_damage(hype: Hype, study: Path) -> None:
    fine = hype("doctor", "--checksums", "--store", study)
    assert (fine.code, "No problems" in fine.out) == (0, True)
    store = hypencli.open_store(study).store
    shard = next(store.path(store.get("hyper-docs", kind="embeddings")).glob("vectors-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(content)
    damaged = hype("doctor", "--checksums", "--store", study)
    assert damaged.code == 4
    assert shard.name in damaged.out


def test_doctor_rebuilds_the_catalog(hype: Hype, study: Path) -> None:
    before = hype("report", "--store", study, "--json").json
    (study / "catalog.duckdb").unlink()
    assert hype("doctor", "--rebuild", "--store", study).code == 0
    assert (study / "catalog.duckdb").exists()
    assert hype("report", "--store", study, "--json").json == before


def test_recipes_are_listed_and_explained(hype: Hype) -> None:
    assert "tiny" in hype("recipes").out
    fields = {one["key"]: one for one in hype("recipes", "show", "tiny", "--json").json}
    assert fields["training.batch_size"]["meaning"]
    changed = hype("recipes", "show", "tiny", "--set", "training.batch_size=3", "--toml").out
    assert "batch_size = 3" in changed
