"""``hype encode --on-error skip``: lines that hold no document are left out and counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import hypestore
from hypencli.data.corpus import open_corpus
from hypencli.errors import DataError, UsageError
from tests.conftest import Hype

USAGE, DATA = 2, 5

BROKEN = (
    b'{"id": "a", "text": "river"}\n'
    b'{"id": "b", "text": \n'  # line 2
    b'{"id": "c", "text": "na\xefve"}\n'  # line 3
    b'{"id": "d"}\n'  # line 4
    b"\n"
    b'{"id": "e", "text": "bread"}\n'
    b"[1]\n"  # line 7
    b'{"id": null, "text": "x"}\n'  # line 8
    b'{"id": "g", "text": "\\ud800"}\n'  # line 9
    b'{"id": "h", "text": "star"}\n'
)
LEFT = ["a", "e", "h"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that no other test has: equal content is one embedding set."""
    path = tmp_path / f"{tmp_path.name}.jsonl"
    path.write_bytes(BROKEN.replace(b'"river"', f'"river {tmp_path.name}"'.encode()))
    return path


def test_lines_that_hold_no_document_are_counted_and_the_first_are_told(path: Path) -> None:
    corpus = open_corpus(path, on_error="skip")
    assert [document.doc_id for document in corpus] == LEFT
    assert corpus.count is None  # it takes a reading to know
    for _ in range(2):  # every reading counts anew
        assert len(list(corpus)) == 3
        assert corpus.skipped is not None
        assert corpus.skipped.count == 6
    lines = [message.partition(", line ")[2][0] for message in corpus.skipped.first]
    assert lines == ["2", "3", "4", "7", "8"]


def test_a_gzip_and_a_tsv_are_read_alike(tmp_path: Path) -> None:
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(BROKEN))
    assert [one.doc_id for one in open_corpus(packed, on_error="skip")] == LEFT
    tsv = tmp_path / "c.tsv"
    tsv.write_bytes(b"id\ttext\na\tone\nb\nc\tthree\tmore\n\tfour\ne\tna\xefve\nf\tsix\n")
    corpus = open_corpus(tsv, on_error="skip")
    assert [one.doc_id for one in corpus] == ["a", "f"]
    assert corpus.skipped is not None
    assert corpus.skipped.count == 4


def test_to_stop_is_the_default_and_says_what_goes_on(path: Path, hype_in_bench: Hype) -> None:
    outcome = hype_in_bench("encode", path, "--model", "hyper")
    assert outcome.code == DATA
    assert f"{path}, line 2: not valid JSON" in outcome.err
    assert "leave such lines out: --on-error skip" in outcome.err


def test_what_was_left_out_is_said_and_recorded(
    path: Path, hype_in_bench: Hype, bench: Path
) -> None:
    command = ["encode", path, "--model", "hyper", "--on-error", "skip"]
    outcome = hype_in_bench(*command, "--json").json
    assert (outcome["n_documents"], outcome["skipped"]) == (3, 6)
    assert f"{path}, line 2: not valid JSON" in outcome["first_skipped"][0]
    manifest = hypestore.Store.open(bench).get(outcome["embeddings"])
    assert manifest.inputs["on_error"] == "skip"
    assert manifest.stats["skipped"] == {"count": 6, "first": outcome["first_skipped"]}
    again = hype_in_bench(*command)
    assert "Already there" in again.out
    assert "Skipped 6 lines that hold no document" in " ".join(again.out.split())
    assert hype_in_bench(*command, "--json").json["skipped"] == 6


def test_the_set_is_another_one_than_that_of_the_mended_file(
    path: Path, hype_in_bench: Hype
) -> None:
    """Same documents, made another way: whoever reads the manifest must see which."""
    good = b"".join(line for line in BROKEN.splitlines(keepends=True) if b'"a"' in line)
    path.write_bytes(good)
    command = ["encode", path, "--model", "hyper", "--json"]
    stopped = hype_in_bench(*command).json
    skipping = hype_in_bench(*command, "--on-error", "skip").json
    assert stopped["embeddings"] != skipping["embeddings"]
    assert (stopped["skipped"], skipping["skipped"]) == (0, 0)
    assert (
        "Skipped" not in hype_in_bench("encode", path, "--model", "hyper", "--on-error", "skip").out
    )


def test_parts_of_a_plan_leave_the_same_lines_out(path: Path, hype_in_bench: Hype) -> None:
    command = ["encode", path, "--model", "hyper", "--on-error", "skip", "--shard-rows", "2"]
    first = hype_in_bench(*command, "--shard", "1/2", "--json").json
    assert (first["finished"], first["skipped"]) == (False, 6)
    last = hype_in_bench(*command, "--shard", "2/2", "--json").json
    assert (last["finished"], last["n_documents"], last["skipped"]) == (True, 3, 6)


def test_an_id_that_comes_twice_is_refused_all_the_same(path: Path) -> None:
    path.write_bytes(BROKEN + b'{"id": "a", "text": "other"}\n')
    corpus = open_corpus(path, on_error="skip")
    with pytest.raises(DataError, match="the id 'a' is there twice, at lines 1 and 11"):
        list(corpus)
    assert corpus.skipped is not None
    assert corpus.skipped.count == 6  # the search for both places counts nothing anew


def test_a_file_of_nothing_but_broken_lines_is_refused(path: Path, hype_in_bench: Hype) -> None:
    path.write_bytes(b"{\n[\n")
    outcome = hype_in_bench("encode", path, "--model", "hyper", "--on-error", "skip")
    assert (outcome.code, "no documents" in outcome.err) == (DATA, True)


def test_keys_that_are_not_clear_are_never_guessed(path: Path) -> None:
    path.write_bytes(b'{"id": "a", "text": "x", "contents": "y"}\n' + BROKEN)
    with pytest.raises(DataError, match="several of 'text'"):
        list(open_corpus(path, on_error="skip"))


def test_a_dataset_without_lines_has_none_to_skip(hype_in_bench: Hype) -> None:
    outcome = hype_in_bench("encode", "vaswani", "--model", "hyper", "--on-error", "skip")
    assert (outcome.code, "no file of lines" in outcome.err) == (USAGE, True)
    with pytest.raises(UsageError):
        open_corpus("irds:vaswani", on_error="skip")


def test_a_dry_run_counts_the_documents_that_are_left(path: Path, hype_in_bench: Hype) -> None:
    command = ["encode", path, "--model", "hyper", "--on-error", "skip", "--dry-run", "--json"]
    assert hype_in_bench(*command).json["n_documents"] == 3
