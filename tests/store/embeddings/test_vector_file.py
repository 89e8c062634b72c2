"""Vectors lie in Parquet so that they can be mapped; any other Parquet gives the same vectors."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypestore.embeddings.page_header import read_data_page

Vectors = Callable[..., np.ndarray]
ROWS = 16_384


def written(path: Path, values: np.ndarray) -> hs.VectorFile:
    hs.write_vector_file(path, [f"d{row}" for row in range(len(values))], values)
    return hs.VectorFile(path)


def read_back(file: hs.VectorFile) -> np.ndarray:
    return np.concatenate([block for _, block in file.blocks()])


def base_of(array: np.ndarray) -> object:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base.obj if isinstance(array.base, memoryview) else array.base


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_vectors_are_views_of_the_mapped_file(
    tmp_path: Path, vectors: Vectors, dtype: type
) -> None:
    values = vectors(2 * ROWS + 100, 4).astype(dtype)
    file = written(tmp_path / "v.parquet", values)
    assert file.in_place
    assert (file.n, file.dim, file.dtype) == (len(values), 4, np.dtype(dtype))
    firsts = []
    for first, block in file.blocks():
        firsts.append(first)
        mapped = base_of(block)
        assert isinstance(mapped, mmap.mmap)
        start = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
        address = block.__array_interface__["data"][0]
        assert start <= address
        assert address + block.nbytes <= start + len(mapped)
        assert not block.flags.writeable
        assert not block.flags.owndata
        np.testing.assert_array_equal(block, values[first : first + len(block)])
    assert firsts == [0, ROWS, 2 * ROWS]


def test_the_layout_is_the_one_specified(tmp_path: Path, vectors: Vectors) -> None:
    path = tmp_path / "v.parquet"
    values = vectors(ROWS + 5, 3).astype(np.float16)
    written(path, values)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [ROWS, 5]
    content = path.read_bytes()
    for index, rows in enumerate([values[:ROWS], values[ROWS:]]):
        chunk = metadata.row_group(index).column(0)
        assert chunk.path_in_schema.startswith("vector.")
        assert chunk.compression == "UNCOMPRESSED"
        assert not chunk.has_dictionary_page
        assert chunk.statistics is None
        end = chunk.data_page_offset + chunk.total_compressed_size
        assert content[end - rows.nbytes : end] == rows.tobytes()
        page = read_data_page(
            memoryview(content)[chunk.data_page_offset : end],
            repetition_levels=True,
            definition_levels=True,
        )
        assert page is not None
        assert page.header_bytes + page.page_bytes == chunk.total_compressed_size
        assert metadata.row_group(index).column(1).compression == "ZSTD"
    schema = pq.read_schema(path)
    assert schema.field("vector").type == pa.list_(pa.field("element", pa.float16(), False), 3)
    assert not schema.field("vector").nullable
    assert not schema.field("doc_id").nullable


def test_every_page_has_its_checksum(tmp_path: Path, vectors: Vectors) -> None:
    path = tmp_path / "v.parquet"
    values = vectors(200).astype(np.float16)
    written(path, values)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    end = chunk.data_page_offset + chunk.total_compressed_size
    content = path.read_bytes()
    page = read_data_page(
        memoryview(content)[chunk.data_page_offset : end],
        repetition_levels=True,
        definition_levels=True,
    )
    start = chunk.data_page_offset + page.header_bytes
    crc = zlib.crc32(content[start:end])
    signed = crc - 2**32 if crc >= 2**31 else crc
    zigzag = (signed << 1) ^ (signed >> 31)
    varint = bytearray()
    value = zigzag & 0xFFFFFFFF
    while value >= 0x80:
        varint.append(value & 0x7F | 0x80)
        value >>= 7
    varint.append(value)
    assert bytes(varint) in content[chunk.data_page_offset : start]
    # And pyarrow, which verifies it, notices a flipped bit.
    flipped = bytearray(content)
    flipped[end - 3] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.read_table(path, page_checksum_verification=True)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_other_readers_see_the_same(tmp_path: Path, vectors: Vectors, dtype: str) -> None:
    path = tmp_path / "v.parquet"
    values = vectors(ROWS + 7, 4).astype(dtype)
    written(path, values)
    table = pq.read_table(path, page_checksum_verification=True)
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(flat.reshape(-1, 4), values)
    frame = pl.read_parquet(path)
    np.testing.assert_array_equal(frame["vector"].to_numpy(), values)
    assert frame["doc_id"][ROWS] == f"d{ROWS}"
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT doc_id, vector::FLOAT[4] FROM read_parquet(?)", [str(path)]
        ).fetchall()
    assert [doc_id for doc_id, _ in rows] == [f"d{row}" for row in range(len(values))]
    np.testing.assert_array_equal(np.array([row for _, row in rows]), values)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 120),
    dim=st.integers(1, 9),
    dtype=st.sampled_from([np.float16, np.float32]),
    compression=st.sampled_from(["none", "snappy", "zstd", "gzip"]),
    dictionary=st.booleans(),
    page_bytes=st.sampled_from([16, 100, 2**31 - 1]),
    page_version=st.sampled_from(["1.0", "2.0"]),
    row_group=st.sampled_from([1, 7, 50, 1000]),
    nullable=st.booleans(),
    nullable_element=st.booleans(),
    kind=st.sampled_from(["fixed", "list", "large"]),
    byte_stream_split=st.booleans(),
    first=st.sampled_from(["vector", "doc_id"]),
    seed=st.integers(0, 2**16),
)
def test_every_layout_gives_the_same_vectors(
    tmp_path: Path,
    n: int,
    dim: int,
    dtype: type,
    compression: str,
    dictionary: bool,
    page_bytes: int,
    page_version: str,
    row_group: int,
    nullable: bool,
    nullable_element: bool,
    kind: str,
    byte_stream_split: bool,
    first: str,
    seed: int,
) -> None:
    values = np.random.default_rng(seed).standard_normal((n, dim)).astype(dtype)
    element = pa.field("element", pa.from_numpy_dtype(dtype), nullable_element)
    types = {"fixed": pa.list_(element, dim), "list": pa.list_(element)}
    column_type = types.get(kind, pa.large_list(element))
    flat = pa.array(values.reshape(-1))
    if kind == "fixed":
        column = pa.FixedSizeListArray.from_arrays(flat, type=column_type)
    else:
        offsets = np.arange(n + 1) * dim
        factory = pa.ListArray if kind == "list" else pa.LargeListArray
        width = np.int32 if kind == "list" else np.int64
        column = factory.from_arrays(pa.array(offsets.astype(width)), flat, type=column_type)
    ids = pa.array([f"d{row}" for row in range(n)])
    fields = {
        "vector": (pa.field("vector", column_type, nullable), column),
        "doc_id": (pa.field("doc_id", pa.string(), nullable), ids),
    }
    order = [first, *({"vector", "doc_id"} - {first})]
    schema = pa.schema([fields[name][0] for name in order])
    table = pa.table([fields[name][1] for name in order], schema=schema)
    path = tmp_path / "foreign.parquet"
    pq.write_table(
        table,
        path,
        compression=compression,
        use_dictionary=dictionary,
        data_page_size=page_bytes,
        data_page_version=page_version,
        row_group_size=row_group,
        write_batch_size=8,
        use_byte_stream_split=["vector.list.element"]
        if byte_stream_split and not dictionary
        else False,
    )
    file = hs.VectorFile(path, dim=dim)
    np.testing.assert_array_equal(read_back(file), values)
    assert file.doc_ids.to_pylist() == ids.to_pylist()
    rows = np.random.default_rng(seed).integers(0, n, 5)
    np.testing.assert_array_equal(file.take(rows), values[rows])
    if compression != "none" or dictionary or kind != "fixed" or byte_stream_split:
        assert not file.in_place


@pytest.mark.parametrize("page_version", ["1.0", "2.0"])
@pytest.mark.parametrize("nullable", [False, True])
def test_both_page_versions_and_nullable_schemas_are_mapped(
    tmp_path: Path, vectors: Vectors, page_version: str, nullable: bool
) -> None:
    values = vectors(300, 4)
    element = pa.field("element", pa.float32(), nullable)
    column_type = pa.list_(element, 4)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=column_type)
    schema = pa.schema([pa.field("vector", column_type, nullable), pa.field("doc_id", pa.string())])
    table = pa.table([column, pa.array([str(i) for i in range(300)])], schema=schema)
    path = tmp_path / "v.parquet"
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        data_page_version=page_version,
        data_page_size=2**31 - 1,
    )
    file = hs.VectorFile(path)
    assert file.in_place
    np.testing.assert_array_equal(read_back(file), values)


def test_what_duckdb_writes_is_read(tmp_path: Path, vectors: Vectors) -> None:
    values = vectors(40, 4)
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    written(ours, values)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{ours}') TO '{theirs}' (FORMAT parquet)")
    file = hs.VectorFile(theirs, dim=4)
    assert not file.in_place
    np.testing.assert_array_equal(read_back(file), values)
    with pytest.raises(hs.DamagedArtifact, match="fixed"):
        hs.VectorFile(theirs)


def list_file(path: Path, lists: list[object], element: pa.DataType | None = None) -> Path:
    ids = [f"d{row}" for row in range(len(lists))]
    column = pa.array(lists, pa.list_(element or pa.float32()))
    pq.write_table(pa.table({"vector": column, "doc_id": ids}), path)
    return path


@pytest.mark.parametrize(
    "lists",
    [[[1.0, 2.0], None], [[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, None]], [[1.0], [2.0, 3.0, 4.0]]],
    ids=["null-vector", "short", "null-value", "same-total"],
)
def test_ragged_and_missing_vectors_are_damage(tmp_path: Path, lists: list[object]) -> None:
    file = hs.VectorFile(list_file(tmp_path / "v.parquet", lists), dim=2)
    with pytest.raises(hs.DamagedArtifact, match=r"v\.parquet"):
        read_back(file)


def test_a_fixed_size_column_with_nulls_is_damage(tmp_path: Path) -> None:
    column = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
    path = tmp_path / "v.parquet"
    table = pa.table({"vector": column, "doc_id": ["a", "b", "c"]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    file = hs.VectorFile(path)
    assert not file.in_place
    with pytest.raises(hs.DamagedArtifact):
        read_back(file)


def test_other_columns_and_types_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table({"vector": [[1.0]]}), path)
    with pytest.raises(hs.DamagedArtifact, match="doc_id"):
        hs.VectorFile(path, dim=1)
    pq.write_table(pa.table({"vector": [1.0], "doc_id": ["a"]}), path)
    with pytest.raises(hs.DamagedArtifact, match="lists"):
        hs.VectorFile(path, dim=1)
    with pytest.raises(hs.DamagedArtifact, match="float16 or float32"):
        hs.VectorFile(list_file(path, [[1]], pa.int64()), dim=1)
    with pytest.raises(hs.DamagedArtifact, match="missing"):
        hs.VectorFile(tmp_path / "absent.parquet")


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_truncated_file_is_damage(tmp_path: Path, vectors: Vectors, cut: int) -> None:
    path = tmp_path / "v.parquet"
    written(path, vectors(50))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(hs.DamagedArtifact, match=r"v\.parquet"):
        hs.VectorFile(path)


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_no_bytes_make_the_header_reader_fail(data: bytes, first: bool, second: bool) -> None:
    page = read_data_page(memoryview(data), repetition_levels=first, definition_levels=second)
    assert page is None or page.header_bytes <= len(data)


def test_a_damaged_header_is_never_believed(tmp_path: Path, vectors: Vectors) -> None:
    """With any one byte of the header changed, the vectors are the same, or reading fails."""
    path = tmp_path / "v.parquet"
    values = vectors(30, 4).astype(np.float16)
    written(path, values)
    content = path.read_bytes()
    for position in range(4, 40):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(content)
            changed[position] ^= mask
            path.write_bytes(changed)
            try:
                actual = read_back(hs.VectorFile(path))
            except hs.DamagedArtifact:
                continue
            np.testing.assert_array_equal(actual, values)
