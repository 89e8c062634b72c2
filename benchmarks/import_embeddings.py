"""`hype import embeddings` of a .npy file: time, processor time and private memory.

    python benchmarks/import_embeddings.py --documents 3000000    # what docs/benchmarks.md quotes
    python benchmarks/import_embeddings.py                        # a third of it; 4 GB of disk
    python benchmarks/import_embeddings.py --quick                # 20,000 documents

The other side copies the file and hashes the copy, which is the least that an import can do: it
hashes what it reads, and writes it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import threading
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Sides, Stopwatch, check, folder_of, in_turn, medians, options_of, tell

DIM, BLOCK = 384, 10_000


def prepare(folder: Path, *, documents: int) -> None:
    """An array, its ids, and a store that knows the encoder of `hype demo`."""
    from hypencli.ops.demo import encoder_folder
    from hypencli.ops.models import ModelSource, register_model
    from hypestore import Store

    shape = (documents, DIM)
    array = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=shape)
    block = np.random.default_rng(0).standard_normal((BLOCK, DIM), dtype=np.float32)
    for start in range(0, documents, BLOCK):
        array[start : start + BLOCK] = block[: documents - start]
    array.flush()
    with (folder / "ids.txt").open("w", encoding="utf-8") as out:
        out.writelines(f"doc-{place}\n" for place in range(documents))
    store = Store.create(folder / "store")
    register_model(store, ModelSource(str(encoder_folder()), label="encoder"))


def import_hype(folder: Path) -> None:
    from hypencli.ops.models import ModelSource
    from hypencli.ops.transfer.embeddings import ImportOptions, import_embeddings
    from hypestore import Store

    store, memory, watch = Store.open(folder / "store"), PrivateMemory(), Stopwatch()
    options = ImportOptions(ids=folder / "ids.txt")
    done = import_embeddings(store, folder / "x.npy", ModelSource("encoder"), options)
    figures = watch.figures()
    check(not done.existing)
    store.remove(done.embeddings, force=True)
    tell(**figures, private_mb=memory.most())


def import_copy(folder: Path) -> None:
    memory, watch = PrivateMemory(), Stopwatch()
    copy = Path(shutil.copyfile(folder / "x.npy", folder / "copy.npy"))
    with copy.open("rb") as stream:
        hashlib.file_digest(stream, "sha256")
    figures = watch.figures()
    copy.unlink()
    tell(**figures, private_mb=memory.most())


class PrivateMemory:
    """The most memory of this process that is not of files, looked at 20 times a second."""

    def __init__(self) -> None:
        self._most, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def most(self) -> float:
        """Stop looking; return the most in MB."""
        self._ended.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
            self._most = max(self._most, int(line.split()[1]) * 1024 / 1e6)


SIDES: Sides = {"import-hype": import_hype, "import-copy": import_copy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    options = options_of(parser, SIDES, repeat=1, quick={"documents": 20_000})
    with folder_of(options, partial(prepare, documents=options.documents)) as folder:
        actual = in_turn(__file__, "import", folder, repeat=options.repeat, sides=("hype", "copy"))
        print(json.dumps({"job": "import", "median": medians(actual)}))


if __name__ == "__main__":
    main()
