"""Footers of Parquet files on which pyarrow ends the process."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hypestore.errors import DamagedArtifact
from hypestore.footer import refuse_odd_footer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    table = pa.table({"doc_id": ["a", "b"], "vector": [[1.0, 2.0], [3.0, 4.0]]})
    pq.write_table(table, path)
    return path


def test_a_whole_file_passes(path: Path) -> None:
    refuse_odd_footer(path, pq.read_metadata(path))


def test_a_row_group_of_other_columns_is_refused(path: Path, tmp_path: Path) -> None:
    """The schema of one file, and the row groups of another one."""
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"doc_id": ["a"]}), other)
    with pytest.raises(DamagedArtifact, match="has 2 columns, and the schema 1"):
        refuse_odd_footer(path, pq.read_metadata(other))


def test_levels_that_do_not_fit_the_schema_are_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"doc_id": [["a"], ["b"]], "vector": [1.0, 2.0]}), other)
    with pytest.raises(DamagedArtifact, match="other counts than its schema"):
        refuse_odd_footer(path, pq.read_metadata(other))


def test_a_column_of_another_type_is_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]])
    pq.write_table(pa.table({"doc_id": [True, False], "vector": vectors}), other)
    with pytest.raises(DamagedArtifact, match="another type than its schema"):
        refuse_odd_footer(path, pq.read_metadata(other))


def test_a_compression_that_the_format_does_not_have_is_refused(path: Path) -> None:
    """Each byte of the footer becomes 72, which is how the number 36 is written."""
    metadata, whole = pq.read_metadata(path), path.read_bytes()
    said = []
    for place in range(len(whole) - 8 - metadata.serialized_size, len(whole) - 8):
        path.write_bytes(whole[:place] + b"\x48" + whole[place + 1 :])
        try:
            refuse_odd_footer(path, metadata)
        except DamagedArtifact as error:
            said.append(str(error))
    assert sum("has the unknown compression 36" in one for one in said) == metadata.num_columns


@pytest.mark.parametrize("cut", [9, 20, 60])
def test_a_footer_that_is_cut_is_refused(path: Path, cut: int) -> None:
    metadata = pq.read_metadata(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DamagedArtifact, match=r"footer|levels|columns"):
        refuse_odd_footer(path, metadata)
