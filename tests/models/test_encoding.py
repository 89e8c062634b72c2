"""Texts to vectors and q-nets: the same whatever the batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.errors import ModelError
from hypencli.models.encoding import (
    EncodingOptions,
    encode_passages,
    encode_queries,
    encode_tokens,
    pad,
    tokenise,
    tokenise_counting,
)
from hypencli.models.load import ModelSpec, build_dual_encoder, load_tokenizer

TEXTS = [
    "river bank",
    "the old boat near the bridge of the river with a fish",
    "",
    "moon",
    "a violin and a piano in concert under the stars",
    "price of bread",
]


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone: Path) -> Any:
    return load_tokenizer(str(tiny_backbone))


def dual(backbone: Path, **settings: Any) -> Any:
    spec = ModelSpec(backbone=str(backbone), converter_options={"hidden_layers": 2}, **settings)
    return build_dual_encoder(spec)


@pytest.mark.parametrize("pooling", ["cls", "mean", "mean-unmasked"])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 100])
def test_a_vector_is_that_of_the_text_alone(
    tiny_backbone: Path, tokenizer: Any, pooling: Any, batch_size: int | None
) -> None:
    encoder = dual(tiny_backbone, pooling=pooling).passage_encoder
    options = EncodingOptions(max_length=32, batch_size=batch_size)
    vectors = encode_passages(encoder, tokenizer, TEXTS, options)
    for text, vector in zip(TEXTS, vectors, strict=True):
        inputs = tokenizer([text], return_tensors="pt", truncation=True, max_length=32)
        with torch.no_grad():
            alone = encoder(inputs["input_ids"], inputs["attention_mask"]).representation[0]
        np.testing.assert_allclose(vector, alone.numpy(), atol=2e-6)


def test_long_texts_are_cut(tiny_backbone: Path, tokenizer: Any) -> None:
    encoder = dual(tiny_backbone, pooling="mean").passage_encoder
    options = EncodingOptions(max_length=6)
    long, short = encode_passages(
        encoder, tokenizer, ["river bank of the old bridge", "river bank of the"], options
    )
    np.testing.assert_allclose(long, short, atol=1e-6)


def test_nothing_gives_nothing(tiny_backbone: Path, tokenizer: Any) -> None:
    model = dual(tiny_backbone, pooling="cls")
    options = EncodingOptions(max_length=8)
    assert encode_passages(model.passage_encoder, tokenizer, [], options).shape == (0, 32)
    assert len(encode_queries(model.query_encoder, tokenizer, [], options)) == 0


def test_progress_counts_every_text(tiny_backbone: Path, tokenizer: Any) -> None:
    counts: list[int] = []
    encoder = dual(tiny_backbone, pooling="cls").passage_encoder
    options = EncodingOptions(max_length=8, batch_size=4)
    encode_passages(
        encoder, tokenizer, TEXTS, options, on_encoded=lambda rows: counts.append(len(rows))
    )
    assert counts == [4, 2]


def test_bfloat16_is_near(tiny_backbone: Path, tokenizer: Any) -> None:
    encoder = dual(tiny_backbone, pooling="mean").passage_encoder
    whole = encode_passages(encoder, tokenizer, TEXTS, EncodingOptions(max_length=32))
    options = EncodingOptions(max_length=32, dtype=torch.bfloat16)
    coarse = encode_passages(encoder, tokenizer, TEXTS, options)
    cosines = (
        (whole * coarse).sum(1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(coarse, axis=1)
    )
    assert cosines.min() > 0.999
    assert not np.array_equal(whole, coarse)


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_cast_once_give_what_autocast_gives(
    tiny_backbone: Path, tokenizer: Any, frozen: bool
) -> None:
    encoder = dual(tiny_backbone, pooling="mean", freeze_encoder=frozen).passage_encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    options = EncodingOptions(max_length=32, batch_size=2, dtype=torch.bfloat16)
    vectors = encode_passages(encoder, tokenizer, TEXTS, options)
    tokens = tokenise(tokenizer, TEXTS, 32)
    longest_first = sorted(range(len(TEXTS)), key=lambda i: -len(tokens[i]))
    for start in range(0, len(TEXTS), 2):
        batch = longest_first[start : start + 2]
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            expected = encoder(*pad([tokens[i] for i in batch], 0)).representation
        np.testing.assert_array_equal(vectors[batch], expected.float().numpy())
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.dtype == before[name].dtype


@pytest.mark.parametrize("converter", [None, "warm-start"])
def test_q_nets_score_as_the_model_does(
    tiny_backbone: Path, tokenizer: Any, converter: str | None
) -> None:
    model = dual(tiny_backbone, pooling="mean", converter=converter)
    items = torch.randn((7, 32), generator=torch.Generator().manual_seed(1))
    encoded = encode_queries(model.query_encoder, tokenizer, TEXTS, EncodingOptions(max_length=32))
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = model.query_encoder(
            inputs["input_ids"], inputs["attention_mask"]
        ).representation.score(items)
        actual = torch.cat([net.score(items) for net in encoded.q_nets()])
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)
    assert encoded.q_net_bytes == (2 * 32 * 32 + 32 + 2 * 32) * 4


def test_a_q_net_is_bit_equal_for_every_part_of_the_query_set(
    tiny_backbone: Path, tokenizer: Any
) -> None:
    model = dual(tiny_backbone, pooling="mean")
    encoded = encode_queries(model.query_encoder, tokenizer, TEXTS, EncodingOptions(max_length=32))
    together = encoded.q_nets()
    for i in range(len(TEXTS)):
        (alone,) = encoded.q_nets(i, i + 1)
        for one, other in zip(alone.matrices, together[i].matrices, strict=True):
            assert torch.equal(one, other)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("count", [2, 3])
def test_the_number_of_threads_changes_no_bit(
    tiny_backbone: Path, tokenizer: Any, count: int
) -> None:
    model = dual(tiny_backbone, pooling="mean")
    options = EncodingOptions(max_length=32, batch_size=2)

    def everything() -> list[torch.Tensor]:
        passages = encode_passages(model.passage_encoder, tokenizer, TEXTS, options)
        nets = encode_queries(model.query_encoder, tokenizer, TEXTS, options).q_nets()
        matrices = [matrix for net in nets for matrix in (*net.matrices, *net.vectors)]
        return [torch.from_numpy(passages), *matrices]

    with threads(1):
        expected = everything()
    with threads(count):
        actual = everything()
    assert all(map(torch.equal, actual, expected))
    assert len(actual) == len(expected)


def test_queries_of_many_lengths_share_a_batch_and_leave_no_padding(
    tiny_backbone: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = dual(tiny_backbone, pooling="mean").query_encoder
    texts = [
        " ".join(["river bank of the old"] * (1 + i % 5) + ["moon"] * (i % 4)) for i in range(60)
    ]
    shapes: list[tuple[int, ...]] = []
    encode = encoder.token_states

    def recorded(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(input_ids.shape))
        states: torch.Tensor = encode(input_ids, attention_mask)
        return states

    monkeypatch.setattr(encoder, "token_states", recorded)
    encoded = encode_queries(encoder, tokenizer, texts, EncodingOptions(max_length=32))
    tokens = tokenise(tokenizer, texts, 32)
    assert len({len(row) for row in tokens}) > len(shapes)
    assert sum(n for n, _ in shapes) == 60
    assert all(n * width <= 1_024 for n, width in shapes)
    for row, states in zip(tokens, encoded._states, strict=True):
        with torch.no_grad():
            (alone,) = encode(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long))
        torch.testing.assert_close(states, alone, atol=2e-5, rtol=1e-4)


def test_query_vectors_of_a_pooling_that_counts_padding_are_those_of_the_query_alone(
    tiny_backbone: Path, tokenizer: Any
) -> None:
    spec = ModelSpec(
        architecture="bi-encoder", backbone=str(tiny_backbone), pooling="mean-unmasked"
    )
    encoder = build_dual_encoder(spec).query_encoder
    options = EncodingOptions(max_length=32)
    together = encode_queries(encoder, tokenizer, TEXTS, options).vectors()
    for text, vector in zip(TEXTS, together, strict=True):
        (alone,) = encode_queries(encoder, tokenizer, [text], options).vectors()
        torch.testing.assert_close(vector, alone, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_a_batch_ends_the_encoding(
    tiny_backbone: Path, tokenizer: Any, count: int
) -> None:
    encoder = dual(tiny_backbone, pooling="cls").passage_encoder
    tokens = [*tokenise(tokenizer, TEXTS, 32), [10_000_000]]
    out = np.zeros((len(tokens), 32), dtype=np.float32)
    options = EncodingOptions(max_length=32, batch_size=1)
    with threads(count), pytest.raises(ModelError, match=r"10,?000,?000"):
        encode_tokens(encoder, tokens, 0, options, out=out)


def test_a_bi_encoder_gives_vectors(tiny_backbone: Path, tokenizer: Any) -> None:
    spec = ModelSpec(architecture="bi-encoder", backbone=str(tiny_backbone), pooling="mean")
    model = build_dual_encoder(spec)
    options = EncodingOptions(max_length=32)
    encoded = encode_queries(model.query_encoder, tokenizer, TEXTS, options)
    assert not encoded.has_q_nets
    passages = encode_passages(model.passage_encoder, tokenizer, TEXTS, options)
    np.testing.assert_allclose(encoded.vectors().numpy(), passages, atol=2e-6)
    assert encoded.vectors(2, 4).shape == (2, 32)


def test_padding_is_masked(tokenizer: Any) -> None:
    rows = tokenise(tokenizer, ["river", "river bank of"], 16)
    ids, mask = pad(rows, 0)
    assert ids.shape == mask.shape == (2, 5)
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


class InPython:
    """A tokenizer that does not keep what it cuts off, as those in Python do not."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, texts: list[str], **options: Any) -> Any:
        from transformers import BatchEncoding

        return BatchEncoding(dict(self._tokenizer(texts, **options)))


@pytest.mark.parametrize("max_length", [2, 3, 4, 8, 9, 32])
def test_cut_texts_are_counted(tokenizer: Any, max_length: int) -> None:
    whole = [len(row) for row in tokenise(tokenizer, TEXTS, 1_000)]
    expected = sum(length > max_length for length in whole)
    for each in (tokenizer, InPython(tokenizer)):
        counted = tokenise_counting(each, TEXTS, max_length)
        assert counted.n_cut == expected
        assert counted.ids == tokenise(tokenizer, TEXTS, max_length)
    assert tokenise_counting(tokenizer, [], max_length) == ([], 0)


def test_rows_that_are_done_are_left_and_the_others_are_the_same(
    tiny_backbone: Path, tokenizer: Any
) -> None:
    encoder = dual(tiny_backbone, pooling="mean").passage_encoder
    options = EncodingOptions(max_length=32, batch_size=2)
    whole = encode_passages(encoder, tokenizer, TEXTS, options)
    tokens = tokenise(tokenizer, TEXTS, 32)
    batches: list[list[int]] = []
    out = np.zeros_like(whole)
    encode_tokens(encoder, tokens, 0, options, out=out, on_encoded=batches.append)
    np.testing.assert_array_equal(out, whole)
    done = np.zeros(len(TEXTS), dtype=bool)
    done[batches[0]] = True
    rest: list[list[int]] = []
    out = np.full_like(whole, 7)
    encode_tokens(encoder, tokens, 0, options, out=out, done=done, on_encoded=rest.append)
    assert rest == batches[1:]
    np.testing.assert_array_equal(out[~done], whole[~done])
    assert (out[done] == 7).all()
