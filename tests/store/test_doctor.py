from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

Start = Callable[..., Any]


def problems(store: hs.Store, **options: bool) -> list[tuple[str, str | None, str | None, str]]:
    report = hs.Store.open(store.root).doctor(**options)
    assert all(finding.remedy for finding in report.findings)
    return [(f.severity, f.artifact, f.file, f.problem) for f in report.findings]


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_healthy_store_has_no_findings(filled: Any) -> None:
    report = filled.store.doctor(checksums=True)
    assert report.findings == ()
    assert report.healthy
    assert report.artifacts == 4
    assert report.files == 1 + 6 + 2 + 2
    assert report.bytes == sum(m.size_bytes for m in filled.store.artifacts())
    json.dumps(report.bytes)


@pytest.mark.parametrize("file", ["vectors-00001.parquet", "text-00000.parquet"])
def test_a_truncated_file_is_found_by_its_size(filled: Any, file: str) -> None:
    path = filled.store.path(filled.embeddings) / file
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert problems(filled.store) == [
        (
            "error",
            filled.embeddings.id,
            f"embeddings/{filled.embeddings.id}/{file}",
            f"is {len(content) - 1} bytes long, expected {len(content)}",
        )
    ]


def test_a_flipped_bit_is_found_by_its_checksum(filled: Any) -> None:
    path = filled.store.path(filled.embeddings) / "vectors-00002.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert problems(filled.store) == []
    (finding,) = problems(filled.store, checksums=True)
    assert finding[:3] == (
        "error",
        filled.embeddings.id,
        f"embeddings/{filled.embeddings.id}/vectors-00002.parquet",
    )
    assert "SHA-256" in finding[3]


def test_a_deleted_shard_is_found(filled: Any) -> None:
    (filled.store.path(filled.embeddings) / "vectors-00000.parquet").unlink()
    (finding,) = problems(filled.store)
    assert finding[0] == "error"
    assert finding[2].endswith("vectors-00000.parquet")
    assert finding[3] == "is missing"


def test_a_file_that_nobody_knows_is_mentioned(filled: Any) -> None:
    (filled.store.path(filled.run) / "notes.txt").write_text("mine")
    (finding,) = problems(filled.store)
    assert finding[0] == "warning"
    assert finding[2] == f"runs/{filled.run.id}/notes.txt"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}'])
def test_a_damaged_manifest_is_found(filled: Any, text: str) -> None:
    (filled.store.path(filled.evaluation) / "manifest.json").write_text(text)
    actual = problems(filled.store)
    assert actual[0][:3] == (
        "error",
        filled.evaluation.id,
        f"evaluations/{filled.evaluation.id}/manifest.json",
    )
    assert [finding[0] for finding in actual] == ["error", "warning"]  # and the catalog is behind
    assert "not in step" in actual[1][3]
    assert len(problems(filled.store, rebuild=True)) == 1


def test_a_manifest_of_a_newer_version_is_found(filled: Any) -> None:
    edit(filled.store.path(filled.evaluation) / "manifest.json", format_version=2)
    assert "version 2 is needed" in problems(filled.store)[0][3]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "mine"},
        {"stats": {"judged_queries": 3}},
        {"parents": []},
        {"created": "2020-01-01T00:00:00Z"},
        {"provenance": {"manifest_sha256": "0" * 64}},
    ],
    ids=lambda change: str(*change),
)
def test_a_manifest_that_was_changed_is_found(filled: Any, change: dict[str, Any]) -> None:
    path = filled.store.path(filled.evaluation) / "manifest.json"
    seal = json.loads(path.read_text())["provenance"]
    edit(path, **{"provenance": seal, **change})
    with pytest.raises(hs.DamagedArtifact, match="changed after it was written"):
        filled.store.get(filled.evaluation.id)
    finding = problems(filled.store)[0]
    assert finding[2] == f"evaluations/{filled.evaluation.id}/manifest.json"
    assert "changed after it was written" in finding[3]


def test_changed_inputs_are_found_without_a_seal(filled: Any) -> None:
    path = filled.store.path(filled.evaluation) / "manifest.json"
    edit(path, inputs={"run": "another"}, provenance={})
    (finding,) = problems(filled.store)
    assert finding[0] == "error"
    assert "do not give its id" in finding[3]


def test_a_missing_parent_is_found(filled: Any) -> None:
    for path in filled.store.path(filled.embeddings).iterdir():
        path.unlink()
    filled.store.path(filled.embeddings).rmdir()
    actual = [finding for finding in problems(filled.store) if finding[0] == "error"]
    assert actual == [
        ("error", filled.run.id, None, f"its parent {filled.embeddings.id} is not in the store")
    ]


def test_what_to_do_about_a_manifest_that_cannot_be_read(filled: Any) -> None:
    """It goes by its id; what was made from it waits for it."""
    (filled.store.path(filled.embeddings) / "manifest.json").write_text("{")
    store = hs.Store.open(filled.store.root)
    remedies = {finding.artifact: finding.remedy for finding in store.doctor().findings}
    assert f"hype rm {filled.embeddings.id} --force" in remedies[filled.embeddings.id]
    assert remedies[filled.run.id].startswith(f"Mend {filled.embeddings.id} first")
    store.remove(filled.embeddings.id, force=True)
    assert not store.path(filled.embeddings).exists()


def test_two_artifacts_of_one_name_are_found(
    filled: Any, tmp_path: Path, make_model: Callable[..., hs.Manifest]
) -> None:
    other = hs.Store.create(tmp_path / "other")
    model = make_model(other, "tiny", seed=2)
    other.path(model).rename(filled.root / "models" / model.id)
    actual = problems(filled.store, rebuild=True)
    assert actual == [
        ("warning", model.id, None, f"its name 'tiny' is also that of {filled.model.id}")
    ]


@pytest.mark.parametrize("inside", [None, "checkpoint-3/model.safetensors"])
def test_a_folder_that_was_half_removed_within_an_artifact_is_cleaned(
    filled: Any, inside: str | None
) -> None:
    """As a kill leaves it that comes while the checkpoints of a finished training go."""
    folder = filled.store.path(filled.model) / ".removed-unfinished-0a1b2c3d.tmp"
    folder.mkdir()
    if inside is not None:
        (folder / inside).parent.mkdir()
        (folder / inside).write_bytes(b"x")
    (finding,) = filled.store.doctor(checksums=True).findings
    assert finding.problem == "left over from a command that was killed"
    assert str(finding.file).endswith(folder.name)
    filled.store.doctor(clean=True)
    assert not folder.exists()
    assert filled.store.doctor(checksums=True).findings == ()


def test_leftover_temporary_files_are_found_and_cleaned(filled: Any) -> None:
    left = [
        filled.root / ".hype.toml.12-00ff00ff.tmp",
        filled.store.path(filled.run) / ".results.parquet.12-00ff00ff.tmp",
    ]
    for path in left:
        path.write_text("half")
    removed = filled.root / "runs" / ".removed-old-0123456789-00ff00ff.tmp"
    removed.mkdir()
    (removed / "results.parquet").write_text("x")
    actual = problems(filled.store)
    expected = {path.relative_to(filled.root).as_posix() for path in [*left, removed]}
    assert {finding[2] for finding in actual} == expected
    assert {finding[0] for finding in actual} == {"warning"}
    assert problems(filled.store, clean=True) == []
    assert not any(path.exists() for path in [*left, removed])
    assert len(filled.store.artifacts()) == 4


def test_unfinished_work_is_reported_and_cleaned_only_when_asked(filled: Any) -> None:
    with filled.store.draft("model", "half", {"half": 1}) as draft:
        (draft.path / "weights").write_text("12345")
        (live,) = problems(filled.store, clean=True)
        assert live[0] == "info"
        assert "being made by process" in live[3]
        assert (draft.path / "weights").exists()
    (left,) = problems(filled.store)
    assert left[:3] == ("warning", draft.id, f"models/{draft.id}")
    assert "unfinished model, 1 files of 5 bytes, begun 20" in left[3]
    assert draft.path.exists()
    assert problems(filled.store, clean=True) == []
    assert not draft.path.exists()


def test_work_of_another_process_is_not_cleaned(filled: Any, python: Start) -> None:
    code = """
        import sys, numpy as np, hypestore as hs
        store = hs.Store.open(sys.argv[1])
        spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, dim=2, shard_rows=1, keep_text=False)
        with store.embedding_work(spec, part=(1, 2)) as work:
            work.write_shard(0, ["a"], np.zeros((1, 2)))
            (work.path / ".vectors-00001.parquet.1-aaaaaaaa.tmp").write_text("being written")
            print(work.path, flush=True)
            sys.stdin.readline()
    """
    other = python(code, filled.root)
    path = Path(other.stdout.readline().strip())
    (finding,) = problems(filled.store, clean=True)
    assert finding[0] == "info"
    assert f"process {other.pid}" in finding[3]
    assert {actual.name for actual in path.iterdir()} == {
        "work.json",
        "vectors-00000.parquet",
        ".vectors-00001.parquet.1-aaaaaaaa.tmp",
    }
    other.kill()
    other.wait()
    assert problems(filled.store, clean=True) == []
    assert not path.exists()


def test_files_on_their_way_in_are_not_cleaned(filled: Any, python: Start) -> None:
    code = """
        import sys, hypestore as hs
        with hs.Store.open(sys.argv[1]).staging() as folder:
            (folder / "file").write_text("unpacked")
            print(folder, flush=True)
            sys.stdin.readline()
    """
    other, killed = python(code, filled.root), python(code, filled.root)
    folder, left = (Path(one.stdout.readline().strip()) for one in (other, killed))
    assert problems(filled.store, clean=True) == []
    assert (folder / "file").read_text() == "unpacked"
    killed.kill()
    killed.wait()
    (finding,) = problems(filled.store)
    assert finding == ("warning", None, left.name, "left over from a command that was killed")
    assert problems(filled.store, clean=True) == []
    assert (left.exists(), folder.exists()) == (False, True)
    assert other.communicate("\n", timeout=60)[1] == ""
    assert not folder.exists()
    assert list((filled.root / "locks").glob("staging*")) == []


def test_references_that_come_in_are_not_forgotten(filled: Any, python: Start) -> None:
    """A study's references are there before the runs that need them."""
    code = """
        import sys, hypestore as hs
        from hypestore.layout import Layout
        from hypestore.work.locks import hold
        from pathlib import Path
        layout = Layout(Path(sys.argv[1]))
        with hold(layout.store_lock, what="it"):
            folder = layout.references.artifact("model", "coming-0123456789")
            folder.mkdir(parents=True)
            print("in", flush=True)
            sys.stdin.readline()
            folder.rename(layout.root / "taken")
    """
    other = python(code, filled.root)
    assert other.stdout.readline() == "in\n"
    with ThreadPoolExecutor(1) as pool:
        cleaning = pool.submit(filled.store.doctor, clean=True)
        with pytest.raises(TimeoutError):
            cleaning.result(timeout=1)
        assert other.communicate("\n", timeout=60)[1] == ""
        assert cleaning.result(timeout=60).findings == ()
    assert (filled.root / "taken").is_dir()


def test_cleaning_brings_the_catalog_in_step(filled: Any) -> None:
    filled.store.catalog.path.unlink()
    assert problems(filled.store, clean=True) == []
    assert filled.store.catalog.in_step() is True


def test_a_forgotten_work_record_is_cleaned(filled: Any) -> None:
    record = filled.store.path(filled.model) / "work.json"
    record.write_text("{}")
    (finding,) = problems(filled.store)
    assert finding[0] == "info"
    assert problems(filled.store, clean=True) == []
    assert not record.exists()


def test_a_catalog_out_of_step_is_found_and_rebuilt(filled: Any) -> None:
    filled.store.catalog.path.unlink()
    (finding,) = problems(filled.store)
    assert finding == (
        "warning",
        None,
        "catalog.duckdb",
        "the catalog is not in step with the artifacts",
    )
    assert problems(filled.store, rebuild=True) == []
    assert problems(filled.store) == []


def test_errors_come_first(filled: Any) -> None:
    filled.store.catalog.path.unlink()
    (filled.store.path(filled.run) / "queries.parquet").unlink()
    assert [finding[0] for finding in problems(filled.store)] == ["error", "warning"]
    assert not filled.store.doctor().healthy
