"""A checkpoint on a hub: the real client against a server of this test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch

from hypencli.errors import ModelError
from hypencli.hub import hub_answers, reach_hub
from hypencli.models.checkpoints.backbone import load_backbone
from hypencli.models.load import load_dual_encoder, load_tokenizer, locate
from hypencli.models.paraphrase import paraphrases

Build = Callable[..., Any]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository, ``owner/name``, whose files lie in a folder; and what was asked for."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    signs_of_life: int = 0


@pytest.fixture
def own_hub(tmp_path: Path, serve_hub: Callable[..., None]) -> Hub:
    hub = Hub(tmp_path / "repository")
    hub.folder.mkdir()

    def answer(address: str) -> tuple[dict[str, str], bytes] | None:
        if address == "/":
            hub.signs_of_life += 1
            return {}, b""
        _, _, file = unquote(address).partition("/resolve/")
        path = hub.folder / file.partition("/")[2]
        hub.asked.append(path.relative_to(hub.folder).as_posix())
        if not path.is_file():
            return None
        body = path.read_bytes()
        return {"X-Repo-Commit": COMMIT, "ETag": f'"{sha1(body).hexdigest()}"'}, body

    absent = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    serve_hub(answer, cache=tmp_path / "hub-cache", absent=absent)
    return hub


def test_a_checkpoint_comes_whole(
    own_hub: Hub, build: Build, tiny_backbone: Path, batch: dict[str, torch.Tensor]
) -> None:
    """The folder in the cache needs nothing else: weights and tokenizer, of one revision."""
    model = build()
    model.save_pretrained(own_hub.folder, tokenizer=load_tokenizer(tiny_backbone))
    folder = locate("owner/name")
    assert folder.name == COMMIT
    loaded, tokenizer = load_dual_encoder(folder)
    assert tokenizer("river")["input_ids"] == load_tokenizer(tiny_backbone)("river")["input_ids"]
    with torch.inference_mode():
        pairs = [each(**batch, full_output=True).similarity for each in (model, loaded)]
    assert torch.equal(*pairs)


def test_what_is_there_is_not_asked_for_again(
    own_hub: Hub, build: Build, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build().save_pretrained(own_hub.folder, tokenizer=load_tokenizer(tiny_backbone))
    folder = locate("owner/name")
    own_hub.asked.clear()
    assert locate("owner/name") == folder
    assert own_hub.asked == ["config.json"]  # which may be of a newer revision
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert locate("owner/name") == folder
    assert own_hub.asked == ["config.json"]


def test_a_hub_is_asked_once_whether_it_is_there(
    own_hub: Hub, build: Build, tiny_backbone: Path
) -> None:
    """Not by every step of reading a model: where nothing answers, each would wait."""
    build().save_pretrained(own_hub.folder, tokenizer=load_tokenizer(tiny_backbone))
    locate("owner/name")
    own_hub.signs_of_life = 0
    for load in (locate, load_tokenizer, locate, load_tokenizer):
        load("owner/name")
    assert own_hub.signs_of_life <= 2, "a minute may have ended meanwhile"


@pytest.mark.encoder
def test_a_sentence_encoder_declares_how_it_pools(own_hub: Hub, encoder_folder: Path) -> None:
    for path in encoder_folder.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".txt", ".safetensors"):
            copy = own_hub.folder / path.relative_to(encoder_folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)
    loaded, _ = load_dual_encoder(locate("owner/name"))
    assert (loaded.settings.passage.pooling, loaded.settings.passage.normalize) == ("mean", True)


def test_an_absent_repository_is_said(own_hub: Hub) -> None:
    with pytest.raises(ModelError, match="the hub gives no model"):
        locate("owner/absent")


def write_paraphrases(name: str) -> None:
    paraphrases(name, ["a river"], device=torch.device("cpu"))


def test_a_hub_that_cannot_be_reached_is_said_at_once(
    silent_hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client would try again for half a minute, a warning each time."""
    for load in (locate, load_backbone, load_tokenizer, write_paraphrases):
        with pytest.raises(ModelError, match=r"hub cannot be reached \(ConnectError") as caught:
            load("owner/name")
        assert str(silent_hub) in caught.value.message
        assert "hf download owner/name" in str(caught.value.hint)
    assert caplog.records == []


def test_without_a_hub_the_cache_serves(
    silent_hub: Path, build: Build, tiny_backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a download leaves there does not say which files the repository lacks."""
    repository = silent_hub / "models--owner--name"
    folder = repository / "snapshots" / COMMIT
    build().save_pretrained(folder, tokenizer=load_tokenizer(tiny_backbone))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    assert locate("owner/name") == folder
    _, tokenizer = load_dual_encoder("owner/name")
    assert tokenizer("river")["input_ids"] == load_tokenizer(tiny_backbone)("river")["input_ids"]
    assert caplog.records == []


def test_a_hub_that_comes_back_is_waited_for(silent_hub: Path) -> None:
    from huggingface_hub import constants

    port = int(constants.ENDPOINT.rpartition(":")[2])
    servers: list[HTTPServer] = []

    def open_again() -> None:
        servers.append(HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler))
        servers[0].handle_request()

    later = threading.Timer(0.3, open_again)
    later.start()
    try:
        assert not hub_answers()
        reach_hub(patience_seconds=30.0)
    finally:
        later.join()
        servers[0].server_close()
