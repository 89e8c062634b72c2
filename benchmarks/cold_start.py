"""The start of `hype`: a first question, the help and two reading verbs, beside their imports.

    python benchmarks/cold_start.py              # what docs/benchmarks.md quotes
    python benchmarks/cold_start.py --quick      # each once

Each run is a process of its own, all in turn, after one round that is not counted. The store is
small: 64 texts, encoded by the encoder of `hype demo`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import Figures, check, folder_of, medians, options_of

IMPORTS: Mapping[str, str] = {
    "torch": "import torch",
    "torch and transformers": "import torch, transformers.models.bert.modeling_bert",
    "typer and rich": "import typer, typer.rich_utils, rich.markdown, rich.table",
    "typer, rich, duckdb, pyarrow": "import typer, typer.rich_utils, rich.table, numpy, duckdb, "
    "pyarrow.parquet",
}
VERBS: Mapping[str, list[str]] = {
    "hype query": ["query", "which texts are about rivers?"],
    "hype --help": ["--help"],
    "hype ls": ["ls"],
    "hype report": ["report"],
}


def prepare(folder: Path) -> None:
    """A store with an encoder and the vectors of a few texts."""
    from hypencli.ops.demo import encoder_folder

    lines = [json.dumps({"id": f"d{i}", "text": f"text {i} about rivers"}) for i in range(64)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    store = str(folder / "store")
    for arguments in (
        ["init", store],
        ["import", "model", str(encoder_folder()), "--name", "encoder", "--store", store],
        ["encode", str(folder / "texts.jsonl"), "--model", "encoder", "--store", store],
    ):
        subprocess.run([sys.executable, "-m", "hypencli", *arguments], check=True)


def run(command: list[str]) -> Figures:
    """Seconds of a process, and its processor time."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = os.times()
    check(done.returncode == 0)
    used = after.children_user + after.children_system
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used - before.children_user - before.children_system,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options = options_of(parser, {}, repeat=7, quick={})
    with folder_of(options, prepare) as folder:
        commands = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
        for name, arguments in VERBS.items():
            in_store = [] if "--help" in arguments else ["--store", str(folder / "store")]
            commands[name] = [sys.executable, "-m", "hypencli", *arguments, *in_store]
        runs: dict[str, list[Figures]] = {name: [] for name in commands}
        for counted in range(options.repeat + 1):
            for name, command in commands.items():
                figures = run(command)
                if counted:
                    runs[name].append(figures)
        for name, of_side in medians(runs).items():
            print(json.dumps({"what": name, **{k: round(v, 3) for k, v in of_side.items()}}))


if __name__ == "__main__":
    main()
