"""A server under load: latency and throughput at 1, 4, 16 and 64 clients, from another process.

    python benchmarks/serve_load.py --folder /tmp/serve-load          # what docs/serving.md quotes
    python benchmarks/serve_load.py --folder /tmp/serve-load --soak 600
    python benchmarks/serve_load.py --quick

The corpus is the docstrings of this Python's standard library, encoded by all-MiniLM-L6-v2, and
near-copies of their vectors with the same texts, up to ``--documents``. The model is a Hypencoder
as in the recipe ``demo``, with a new head: what it ranks means little, what it computes is the same.
The server is ``hype serve`` in a process of its own; the clients are one asyncio process without
any library, each with one connection and one question at a time. One JSON line for each number of
clients; with ``--soak`` one line a minute, with the memory of the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

SHARD_ROWS = 16_384
NOISE = 0.02
"""Standard deviation of a component of the noise of a copy; vectors have length 1."""

CLIENTS = (1, 4, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the store is, or is made and kept")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--engine", default="guided")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS))
    parser.add_argument("--soak", type=float, default=0.0, help="seconds with 16 clients instead")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        plan = json.loads(options.load)
        print(json.dumps(asyncio.run(load(**plan))), flush=True)
        return
    if options.quick:
        options.documents, options.seconds, options.clients = 2_000, 1.0, [1, 4]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        store = prepare(folder, options.documents)
        measure(store, options)


def prepare(folder: Path, documents: int) -> Path:
    """A store with a model, its vectors and questions; made if the folder has none."""
    root = folder / f"store-{documents}"
    if (root / "questions.json").is_file():
        return root
    import numpy as np

    from hypencli.data.demo import build_docstring_collection
    from hypencli.models.encoding import EncodingOptions, encode_passages
    from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer
    from hypencli.ops.demo import encoder_folder
    from hypencli.ops.models import ModelSource, find_model
    from hypestore import EmbeddingSpec, Store

    folder.mkdir(parents=True, exist_ok=True)
    encoder = str(encoder_folder())
    converter = {"vector_dimensions": [384, 64, 1], "projection_scale": 20.0, "gate_init": 1.0}
    spec = ModelSpec(
        backbone=encoder,
        converter="warm-start",
        converter_options=converter,
        embedding_representation="mean",
    )
    dual, tokenizer = build_dual_encoder(spec), load_tokenizer(encoder)
    dual.save_pretrained(folder / "model", tokenizer=tokenizer)
    store = Store.create(root)
    model = find_model(store, ModelSource(str(folder / "model"), label="hyper"))
    collection = build_docstring_collection()
    texts = [document.text for document in collection.documents][:documents]
    base = encode_passages(dual.passage_encoder, tokenizer, texts, EncodingOptions(max_length=64))
    wanted = EmbeddingSpec(
        id_prefix="near-copies",
        inputs={
            "passage_fingerprint": model.stats["passage_fingerprint"],
            "corpus": "near-copies",
            "n": documents,
        },
        parents=(model.id,),
        dim=base.shape[1],
        shard_rows=SHARD_ROWS,
        keep_text=True,
    )
    drawn = np.random.default_rng(0)
    with store.embedding_work(wanted, name="near-copies") as work:
        for shard, start in enumerate(range(0, documents, SHARD_ROWS)):
            places = np.arange(start, min(start + SHARD_ROWS, documents))
            noise = drawn.standard_normal((len(places), base.shape[1])) * NOISE
            vectors = base[places % len(base)] + np.where(places[:, None] < len(base), 0, noise)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            ids = [f"d{place}" for place in places]
            work.write_shard(shard, ids, vectors, [texts[place % len(base)] for place in places])
        work.finish(documents)
    asked = [query.text for query in (*collection.questions.queries, *collection.heldout.queries)]
    (root / "questions.json").write_text(json.dumps(asked), encoding="utf-8")
    return root


def measure(store: Path, options: argparse.Namespace) -> None:
    """Start a server, put load on it, print what came of it."""
    command = [sys.executable, "-m", "hypencli", "serve", "--store", str(store), "--port", "0"]
    command += ["--engine", options.engine, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            wait_until_ready(url)
            run_load(url, store, clients=1, seconds=min(3.0, options.seconds))  # warm
            if options.soak:
                soak(url, store, server.pid, options.soak)
                return
            for clients in options.clients:
                report = run_load(url, store, clients=clients, seconds=options.seconds)
                report["server_rss_mib"] = resident_mib(server.pid)
                about = {"engine": options.engine, "documents": options.documents}
                print(json.dumps({"job": "load", **about, **report}), flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def soak(url: str, store: Path, pid: int, seconds: float) -> None:
    """16 clients for a long time; one line a minute."""
    ended = time.monotonic() + seconds
    while time.monotonic() < ended:
        report = run_load(url, store, clients=16, seconds=min(60.0, ended - time.monotonic()))
        line = {"job": "soak", "left": round(ended - time.monotonic()), **report}
        print(json.dumps({**line, "server_rss_mib": resident_mib(pid)}), flush=True)


def run_load(url: str, store: Path, *, clients: int, seconds: float) -> dict[str, Any]:
    """Run the clients in a process of their own."""
    plan = {"url": url, "questions": str(store / "questions.json")}
    text = json.dumps({**plan, "clients": clients, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, __file__, "--load", text], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


async def load(url: str, questions: str, clients: int, seconds: float) -> dict[str, Any]:
    """Ask as many questions as the server answers."""
    texts = json.loads(Path(questions).read_text(encoding="utf-8"))
    host, port = url.removeprefix("http://").split(":")
    latencies: list[float] = []
    errors: list[str] = []
    batches: list[int] = []
    started = time.perf_counter()
    ended = started + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        place = number * 37
        while time.perf_counter() < ended:
            sent = time.perf_counter()
            status, reply = await ask(reader, writer, host, texts[place % len(texts)])
            latencies.append(time.perf_counter() - sent)
            if status == 200:
                batches.append(json.loads(reply)["batch"])
            else:
                errors.append(str(status))
            place += 1
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    took = time.perf_counter() - started
    ranked = sorted(latencies)

    def quantile(share: float) -> float:
        return round(1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

    return {
        "clients": clients,
        "questions": len(latencies),
        "per_second": round((len(latencies) - len(errors)) / took, 1),
        "p50_ms": quantile(0.5),
        "p95_ms": quantile(0.95),
        "p99_ms": quantile(0.99),
        "errors": len(errors),
        "mean_batch": round(statistics.mean(batches), 1) if batches else None,
        "load_average": round(os.getloadavg()[0], 1),
    }


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, text: str
) -> tuple[int, bytes]:
    """Ask one question; return status and body."""
    path = f"/v1/search?q={quote(text)}&k=10"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(fields[b"content-length"]))


def wait_until_ready(url: str) -> None:
    from hypencli.client import ServerError, connect

    ended = time.monotonic() + 120
    while time.monotonic() < ended:
        try:
            connect(url)._get("/readyz")
        except ServerError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("the server is not ready after two minutes")


def resident_mib(pid: int) -> int:
    """Memory of a process that is in RAM, without pages of mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) // 1024


if __name__ == "__main__":
    main()
