"""Files with an inner structure that the fuzzer feeds to readers: Parquet, archives, tokenizers."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from hypothesis import strategies as st

import hypestore
from hypencli.data.exchange.graph_file import read_graph
from hypencli.data.runs import write_run
from hypencli.data.training import read_training_rows
from hypencli.data.training.writing import write_training_rows
from hypencli.errors import DataError, HypeError, ModelError
from hypencli.models.checkpoints.sentence import load_tokenizer
from hypencli.models.checkpoints.weights import read_weights
from hypencli.models.encoding import tokenise
from hypencli.ops.transfer.study_export import export_study
from hypencli.ops.transfer.study_import import import_study
from hypencli.records import Query, TrainingItem, TrainingRow
from hypestore import StoreError
from hypestore.embeddings.stored import _read_texts
from hypestore.embeddings.vector_file import VectorFile, write_vector_file
from tests.contract.fuzzing import Reader, edit
from tests.hostile import sealed, small_store, zipped


def made(write: Callable[[Path], object], name: str) -> bytes:
    """The bytes of a file that a function writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def bend(content: bytes, chosen: Random) -> bytes:
    """A file with a few bytes changed, often near its end, or edited."""
    if chosen.randint(0, 1):
        return edit(content, chosen)
    actual = bytearray(content)
    for _ in range(chosen.randint(1, 4)):
        footer = chosen.randint(0, 1)
        first = max(0, len(actual) - 400) if footer else 0
        place = chosen.randint(first, len(actual) - 1)
        actual[place] = chosen.randint(0, 255)
    return bytes(actual)


def one_of(whole: Callable[[], list[bytes]]) -> st.SearchStrategy[bytes]:
    """One of some whole files, which are made when the first is needed."""
    return st.deferred(lambda: st.sampled_from(whole()))


@cache
def vector_shards() -> list[bytes]:
    """Shards of float16 and float32, of one vector, several, and several row groups."""
    ids = [f"doc{i}" for i in range(40)]
    drawn = np.random.default_rng(0).normal(size=(40, 4))

    def written(n: int, dtype: str) -> bytes:
        vectors = drawn[:n].astype(dtype)
        return made(lambda path: write_vector_file(path, ids[:n], vectors), "v.parquet")

    several = io.BytesIO()
    column = pa.array(drawn.tolist(), pa.list_(pa.float32(), 4))
    table = pa.table({"vector": column, "doc_id": ids})
    pq.write_table(table, several, row_group_size=16, compression="none")
    return [written(40, "f2"), written(3, "f4"), written(1, "f2"), several.getvalue()]


def check_vectors(path: Path) -> None:
    file = VectorFile(path, dim=4)
    read = 0
    for first, block in file.blocks():
        assert first == read
        assert block.shape[1:] == (4,)
        assert block.dtype == file.dtype
        read += len(block)
    assert len(file.doc_ids) == file.n == read
    assert all(isinstance(one, str) for one in file.doc_ids.to_pylist())
    file.check()


@cache
def text_shards() -> list[bytes]:
    """Shards of texts, of one row group and of several."""
    table = pa.table({"text": [f"a text of number {i}" for i in range(40)]})
    made_of = []
    for rows in (40, 16):
        out = io.BytesIO()
        pq.write_table(table, out, row_group_size=rows, write_page_checksum=True)
        made_of.append(out.getvalue())
    return made_of


def check_texts(path: Path) -> None:
    assert len(_read_texts(path, np.array([0, 39, 7]))) == 3


@cache
def row_files() -> list[bytes]:
    """Training rows in Parquet."""
    items = tuple(TrainingItem(f"d{i}", f"text {i}", i / 2, "positive") for i in range(3))
    rows = [TrainingRow(Query(f"q{i}", f"what is {i}"), items) for i in range(5)]
    return [made(lambda path: write_training_rows(path, rows), "rows.parquet")]


def check_row_file(path: Path) -> None:
    for row in read_training_rows(path):
        assert row.query.query_id
        assert row.items
        assert all(item.score is None or np.isfinite(np.float32(item.score)) for item in row.items)


@cache
def row_streams() -> list[bytes]:
    """Training rows as a stream of Arrow messages."""
    table = pq.read_table(io.BytesIO(row_files()[0]))
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    return [out.getvalue()]


@cache
def run_files() -> list[bytes]:
    """Runs in Parquet."""
    results = {"q1": [("d1", 2.0), ("d2", 1.0)], "q2": [("d3", 0.5)]}
    texts = {"q1": "one", "q2": "two"}
    return [made(lambda path: write_run(path, results, texts, format="parquet"), "run.parquet")]


graph_lines = st.lists(
    st.fixed_dictionaries(
        {"item_id": st.sampled_from(["d1", "d2", "", 3, None])},
        optional={"neighbors": st.lists(st.sampled_from(["d1", "d2", "x\x00", 1])) | st.text()},
    ).map(json.dumps),
    max_size=5,
).map(lambda lines: "\n".join(lines).encode())


def check_graph(path: Path) -> None:
    for line in read_graph(path):
        assert line.doc_id
        assert all(line.neighbours)


@cache
def studies() -> list[bytes]:
    """The archive of a small study."""
    with tempfile.TemporaryDirectory() as folder:
        store = small_store(Path(folder) / "store")
        return [export_study(store, Path(folder) / "study.zip").path.read_bytes()]


ODD: list[Any] = [
    *(None, True, -1, 0, 1.5, 1e308, 10**30, "", "x" * 99, "../../x", "\x00", "0001-01-01", [], {}),
]


def tables_in(value: Any) -> list[Any]:
    """All tables and lists in a JSON value that are not empty."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if inside else []), *(one for each in inside for one in tables_in(each))]


def alter(content: bytes, chosen: Random) -> bytes:
    """A JSON file with one or two values replaced or left out; a manifest may be sealed again."""
    value = json.loads(content)
    for _ in range(chosen.randint(1, 2)):
        table = chosen.choice(tables_in(value))
        if not table:
            continue
        key = chosen.choice(list(table) if isinstance(table, dict) else range(len(table)))
        if chosen.randint(0, 3):
            table[key] = chosen.choice(ODD)
        else:
            del table[key]
    if (
        isinstance(value, dict)
        and isinstance(value.get("provenance"), dict)
        and chosen.randint(0, 1)
    ):
        sealed(value)
    return json.dumps(value).encode()


def alter_archive(content: bytes, chosen: Random) -> bytes:
    """An archive with one file edited, altered, renamed or left out; or with bent bytes."""
    if chosen.randint(0, 3) == 0:
        return bend(content, chosen)
    with zipfile.ZipFile(io.BytesIO(content)) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    name = chosen.choice(sorted(files))
    match chosen.randint(0, 3):
        case 0:
            files[name] = edit(files[name], chosen)
        case 1:
            moved = chosen.choice(["../x", "runs/x/y", "a" * 300, "/x", "runs", name * 2])
            files[moved] = files.pop(name)
        case 2:
            del files[name]
        case _:
            name = chosen.choice([one for one in sorted(files) if one.endswith(".json")])
            files[name] = alter(files[name], chosen)
    return zipped(files)


SOUND: set[frozenset[tuple[str, int]]] = set()
"""Names and checksums in archives whose stores were sound: looking takes longer than importing."""


def check_study(path: Path) -> None:
    """A study comes in whole, and the store is sound; or nothing comes in."""
    root = path.with_name("store")
    store = hypestore.Store.open(root) if root.is_dir() else hypestore.Store.create(root)
    try:
        import_study(store, path)
        look_at(store, path)
    except (HypeError, StoreError):
        assert not store.artifacts()
        assert not (root / "references").exists()
        raise
    finally:
        left = list(root.glob(".*.tmp"))
        if store.artifacts() or (root / "references").exists():
            shutil.rmtree(root)
        assert not left


def look_at(store: hypestore.Store, path: Path) -> None:
    """The store is sound after the import of an archive."""
    with zipfile.ZipFile(path) as archive:
        content = frozenset((one.filename, one.CRC) for one in archive.infolist())
    if content not in SOUND:
        assert store.doctor(checksums=True).healthy
        assert store.catalog.query("FROM artifacts SELECT id").rows
        SOUND.add(content)


TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {
            **{"id": i, "content": token, "special": True, "normalized": False},
            **{"single_word": False, "lstrip": False, "rstrip": False},
        }
        for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    ],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {
                **{"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True},
                **{"strip_accents": None, "lowercase": True},
            },
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
        ],
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for name, number in (("[CLS]", 2), ("[SEP]", 3))
        },
    },
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {
            token: i
            for i, token in enumerate(
                ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "river", "##s", "boat"]
            )
        },
    },
}

CONFIG: dict[str, Any] = {
    "tokenizer_class": "BertTokenizerFast",
    "model_max_length": 32,
    **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
}


def check_tokenizer(path: Path) -> None:
    """It gives the ids of a text, or is refused; the other file beside it is whole."""
    folder = path.parent
    for name, content in (("tokenizer.json", TOKENIZER), ("tokenizer_config.json", CONFIG)):
        if path.name != name:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    tokenizer = load_tokenizer(folder)
    for ids in tokenise(tokenizer, ["a river with boats", "", "\u0000``"], 16):
        assert len(ids) <= 16
        assert all(isinstance(one, int) and one >= 0 for one in ids)


def alter_or_edit(content: bytes, chosen: Random) -> bytes:
    """A JSON file, altered mostly, at times edited."""
    return (alter if chosen.randint(0, 3) else edit)(content, chosen)


def part_of_tokenizer(name: str, whole: dict[str, Any]) -> Reader:
    """The reader of one file of a tokenizer."""
    files, more = st.just(json.dumps(whole).encode()), {"names_file": False, "vary": alter_or_edit}
    return Reader(name, files, check_tokenizer, ANY, ModelError, **more)


@cache
def weights() -> list[bytes]:
    """A safetensors file of two tensors."""
    tensors = {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}
    return [safetensors.numpy.save(tensors)]


def check_weights(path: Path) -> None:
    for name, tensor in read_weights(path.parent).items():
        assert isinstance(name, str)
        assert tensor.numel() * tensor.element_size() <= path.stat().st_size


ANY = r"."


def bending(file: str, whole: Callable[[], list[bytes]], *rest: Any) -> Reader:
    """The reader of a file with an inner structure."""
    return Reader(file, one_of(whole), *rest, vary=bend)


FILES = {
    "vector shard": bending("v.parquet", vector_shards, check_vectors, ANY, StoreError),
    "text shard": bending("t.parquet", text_shards, check_texts, ANY, StoreError),
    "training rows arrow": bending("t.arrow", row_streams, check_row_file, ANY),
    "graph": Reader("g.jsonl", graph_lines, check_graph, r"line \d|empty|gzip data"),
    "study": Reader(
        "study.zip",
        one_of(studies),
        check_study,
        ANY,
        (DataError, StoreError),
        names_file=False,
        vary=alter_archive,
    ),
    "tokenizer": part_of_tokenizer("tokenizer.json", TOKENIZER),
    "tokenizer config": part_of_tokenizer("tokenizer_config.json", CONFIG),
    "weights": bending("model.safetensors", weights, check_weights, ANY, ModelError),
    "training rows parquet": bending("t.parquet", row_files, check_row_file, ANY),
}
"""Name -> reader."""
