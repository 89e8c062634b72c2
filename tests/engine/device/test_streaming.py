"""Blocks on a device: the stored vectors in order, streamed or resident."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.device.streaming import DeviceCorpus, DeviceOptions, _Copier, on_device
from hypencli.errors import ModelError


class Shards(VectorCorpus):
    """A corpus in shards of 7 documents; it counts how often it is read."""

    reads = 0

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        self.reads += 1
        for start in range(0, self.n, 7):
            yield start, self._vectors[start : start + 7]


def vectors_of(dtype: type) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 5)).astype(dtype)


def read(corpus: DeviceCorpus, device: torch.device) -> np.ndarray:
    blocks = list(corpus.blocks().on_device())
    firsts = [first for first, _ in blocks]
    assert firsts == list(np.cumsum([0, *(len(block) for _, block in blocks)])[:-1])
    assert all(block.device.type == device.type for _, block in blocks)
    return torch.cat([block for _, block in blocks]).cpu().numpy()


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("block_rows", [1, 16, 100, 1000])
def test_all_vectors_come_in_order(
    device: torch.device, dtype: type, block_rows: int, resident: bool
) -> None:
    """Also if all blocks are kept until the end: no buffer is used again too early."""
    vectors = vectors_of(dtype)
    shards = Shards(vectors)
    options = DeviceOptions(block_rows=block_rows, resident=resident)
    corpus = DeviceCorpus(shards, device, options)
    for _ in range(2):
        np.testing.assert_array_equal(read(corpus, device), vectors)
    assert shards.reads == (1 if resident else 2)
    assert corpus.blocks().resident == resident


def test_views_of_a_file_need_no_alignment(device: torch.device) -> None:
    stored = np.zeros(1 + 40 * 5 * 2, dtype=np.uint8)
    stored[1:] = vectors_of(np.float16)[:40].view(np.uint8).ravel()
    vectors = stored[1:].view(np.float16).reshape(40, 5)
    assert not vectors.flags.aligned
    corpus = DeviceCorpus(VectorCorpus(vectors), device, DeviceOptions(block_rows=16))
    np.testing.assert_array_equal(read(corpus, device), vectors)


def test_a_pass_that_ends_early_keeps_nothing(device: torch.device) -> None:
    corpus = DeviceCorpus(
        Shards(vectors_of(np.float32)), device, DeviceOptions(block_rows=16, resident=True)
    )
    for _ in corpus.blocks().on_device():
        break
    assert not corpus.blocks().resident
    np.testing.assert_array_equal(read(corpus, device), vectors_of(np.float32))


def test_vectors_that_do_not_fit_are_streamed_and_it_is_said(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The third copy finds no memory, as long as the first two stay on the device."""
    vectors = vectors_of(np.float32)
    corpus = DeviceCorpus(Shards(vectors), device, DeviceOptions(block_rows=16, resident=True))
    copy = _Copier._to_device
    _raise_while_kept(monkeypatch, corpus, blocks=2)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read(corpus, device), vectors)
    assert not corpus.blocks().resident
    assert caplog.messages == [f"the vectors do not fit on {device}: they are streamed to it"]
    assert copy is _Copier._to_device


def test_a_block_that_does_not_fit_is_an_error(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = DeviceCorpus(Shards(vectors_of(np.float32)), device, DeviceOptions(block_rows=16))
    _raise_while_kept(monkeypatch, corpus, blocks=0)
    with pytest.raises(ModelError, match="has no memory for a block of 16 vectors"):
        read(corpus, device)


def _raise_while_kept(monkeypatch: pytest.MonkeyPatch, corpus: DeviceCorpus, blocks: int) -> None:
    """Let copies to the device fail while so many blocks, or more, are kept on it."""
    copy = torch.Tensor.to

    def limited(tensor: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        if options.get("copy") and len(corpus.blocks()._kept) >= blocks:
            raise torch.OutOfMemoryError("no memory")
        return copy(tensor, *args, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(torch.Tensor, "to", limited)


def test_only_other_devices_than_the_cpu_need_it() -> None:
    corpus = VectorCorpus(vectors_of(np.float32))
    assert on_device(corpus, torch.device("cpu")) is corpus
    wrapped = on_device(corpus, torch.device("cuda:1"))
    assert isinstance(wrapped, DeviceCorpus)
    assert wrapped.blocks().device == torch.device("cuda", 1)
    assert on_device(wrapped, torch.device("cuda:1")) is wrapped


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_vectors_that_fit_stay_on_a_gpu() -> None:
    corpus = DeviceCorpus(Shards(vectors_of(np.float16)), torch.device("cuda"))
    read(corpus, torch.device("cuda"))
    assert corpus.blocks().resident
