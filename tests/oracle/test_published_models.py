"""Models against goldens of the published code: embeddings, q-nets, scores, losses, gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli import HypencoderDualEncoder
from hypencli.models.checkpoints.backbone import empty_backbone, resolve_backbone
from hypencli.models.checkpoints.config import LossConfig
from hypencli.models.losses.registry import make_losses
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter
from tests.oracle.test_sequential_q_nets import sequential

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
GRADIENTS = {"atol": 1e-4, "rtol": 1e-4}
"""The goldens are of one processor. Others sum in another order: 3e-5 was seen between two."""

LOSSES: dict[str, list[LossConfig]] = {
    "margin_mse": [LossConfig("margin_mse")],
    "margin_mse_scale0.5": [LossConfig("margin_mse", {"scale": 0.5})],
    "ce_inbatch": [LossConfig("cross_entropy")],
    "ce_inbatch_first": [LossConfig("cross_entropy", {"only_use_first_item": True})],
    "ce_noinbatch": [LossConfig("cross_entropy", {"use_in_batch_negatives": False})],
    "ce_noinbatch_first": [
        LossConfig("cross_entropy", {"use_in_batch_negatives": False, "only_use_first_item": True})
    ],
    "margin_mse+ce_inbatch_first": [
        LossConfig("margin_mse"),
        LossConfig("cross_entropy", {"only_use_first_item": True}),
    ],
}
GRADIENTS_OF = "margin_mse+ce_inbatch_first"

Read = Callable[[str], torch.Tensor]


@pytest.fixture(scope="module")
def folder(goldens: Path) -> Path:
    return goldens / "a_shared_cls"


@pytest.fixture(scope="module")
def read(folder: Path) -> Read:
    arrays = np.load(folder / "golden.npz")
    return lambda name: torch.from_numpy(arrays[name])


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    actual: dict[str, Any] = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return actual


@pytest.fixture(params=["checkpoint", "checkpoint_dedup", "bin"])
def dual(
    request: pytest.FixtureRequest, folder: Path, goldens: Path, tmp_path: Path
) -> HypencoderDualEncoder:
    """The tiny published model, from each kind of file that there is."""
    source = folder / request.param
    if request.param == "bin":
        source = tmp_path
        for name in ("config.json", "pytorch_model.bin"):
            (source / name).write_bytes((folder / "checkpoint" / name).read_bytes())
    return HypencoderDualEncoder.from_pretrained(source, backbone=goldens / "backbones/tiny-bert")


@pytest.fixture
def safetensors_dual(folder: Path, goldens: Path) -> HypencoderDualEncoder:
    return HypencoderDualEncoder.from_pretrained(
        folder / "checkpoint", backbone=goldens / "backbones/tiny-bert"
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@torch.no_grad()
def test_passage_vectors(dual: HypencoderDualEncoder, read: Read, facts: dict[str, Any]) -> None:
    encode = dual.passage_encoder
    padded = encode(read("p_input_ids"), read("p_attention_mask")).representation
    torch.testing.assert_close(padded, read("passage_emb_padded"), **TOLERANCE)
    single = [encode(torch.tensor([ids])).representation for ids in facts["passage_token_ids"]]
    torch.testing.assert_close(torch.cat(single), read("passage_emb_single"), **TOLERANCE)


@torch.no_grad()
def test_q_net_matrices_and_vectors(dual: HypencoderDualEncoder, read: Read) -> None:
    nets = dual.query_encoder(
        input_ids=read("q_input_ids"), attention_mask=read("q_attention_mask")
    ).representation
    for query in range(2):
        for layer, matrix in enumerate(nets.matrices):
            expected = read(f"qnet{query}_W{layer}")
            torch.testing.assert_close(matrix[query], expected, **TOLERANCE)
        for layer, vector in enumerate(nets.vectors):
            expected = read(f"qnet{query}_b{layer}")
            torch.testing.assert_close(vector[query, :, 0], expected, **TOLERANCE)


@torch.no_grad()
def test_activations_of_every_layer(dual: HypencoderDualEncoder, read: Read) -> None:
    """Of the first passage: ordinary layers of our weights give what the published q-net gave."""
    nets = dual.query_encoder(
        input_ids=read("q_input_ids"), attention_mask=read("q_attention_mask")
    ).representation
    options = {
        "activation_type": "relu",
        "do_layer_norm": True,
        "layer_norm_before_residual": True,
        "do_residual": True,
        "do_residual_on_last": False,
    }
    passage = read("passage_emb_padded")[:1]
    for query in range(2):
        state = passage
        for number, layer in enumerate(sequential(nets, query, options)):
            state = layer(state)
            torch.testing.assert_close(state[0], read(f"qnet{query}_act{number}"), **TOLERANCE)
        assert number == 2
        torch.testing.assert_close(nets.score(passage)[query], state[0], **TOLERANCE)


@torch.no_grad()
def test_scores(safetensors_dual: HypencoderDualEncoder, read: Read, facts: dict[str, Any]) -> None:
    nets = safetensors_dual.query_encoder(
        read("q_input_ids"), read("q_attention_mask")
    ).representation
    single = QNetBatch.concatenate(
        [
            safetensors_dual.query_encoder(torch.tensor([ids])).representation
            for ids in facts["query_token_ids"]
        ]
    )
    for passages in ("padded", "single"):
        items = read(f"passage_emb_{passages}")
        for scored, queries in ((nets, "batch"), (single, "single")):
            expected = read(f"scores_q{queries}_{passages}")
            torch.testing.assert_close(scored.score(items), expected, **TOLERANCE)
            copies = items.repeat(len(scored), 1, 1)
            torch.testing.assert_close(scored(copies)[..., 0], expected, **TOLERANCE)


def run(dual: HypencoderDualEncoder, read: Read, losses: list[LossConfig]) -> Any:
    dual.loss_functions = make_losses(losses)
    dual.settings = replace(dual.settings, losses=tuple(losses))
    return dual(
        **{
            f"{side}_{kind}": read(f"loss_{side}_{kind}")
            for side in ("query", "passage")
            for kind in ("input_ids", "attention_mask")
        },
        labels=read("loss_labels"),
        full_output=True,
    )


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses(
    safetensors_dual: HypencoderDualEncoder, read: Read, facts: dict[str, Any], name: str
) -> None:
    output = run(safetensors_dual, read, LOSSES[name])
    expected = torch.tensor(facts["losses"][name])
    torch.testing.assert_close(output.loss.detach(), expected, **TOLERANCE)
    similarity = read(f"loss_similarity_{name}")
    torch.testing.assert_close(output.similarity.detach(), similarity, **TOLERANCE)
    assert output.to_log == pytest.approx(facts["to_log"][name], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_norms(
    safetensors_dual: HypencoderDualEncoder, read: Read, facts: dict[str, Any], name: str
) -> None:
    expected = facts["grad_norms"].get(name)
    if expected is None:
        pytest.skip("no golden gradients for this loss")
    run(safetensors_dual, read, LOSSES[name]).loss.backward()
    actual = {
        key: None if tensor.grad is None else tensor.grad.norm().item()
        for key, tensor in safetensors_dual.named_parameters()
    }
    assert {key for key, norm in actual.items() if norm is None} == {
        key for key, norm in expected.items() if norm is None
    }
    for key, norm in expected.items():
        if norm is not None:
            assert actual[key] == pytest.approx(norm, rel=1e-4, abs=1e-4), key


def test_gradients(safetensors_dual: HypencoderDualEncoder, read: Read, folder: Path) -> None:
    names = [k for k in np.load(folder / "golden.npz") if k.startswith("grad_")]
    run(safetensors_dual, read, LOSSES[GRADIENTS_OF]).loss.backward()
    parameters = dict(safetensors_dual.named_parameters())
    for name in names:
        gradient = parameters[name.removeprefix("grad_")].grad
        torch.testing.assert_close(gradient, read(name), **GRADIENTS)


@pytest.mark.parametrize("case", range(14))
def test_q_nets_alone_under_every_option(goldens: Path, case: int) -> None:
    options = json.loads((goldens / "qnet" / "golden.json").read_text(encoding="utf-8"))[case]
    arrays = np.load(goldens / "qnet" / "golden.npz")
    converter = RepeatedDenseBlockConverter(**options["converter_kwargs"])
    assert [list(shape) for shape in converter.weight_shapes] == options["weight_shapes"]
    assert [list(shape) for shape in converter.bias_shapes] == options["bias_shapes"]
    nets = QNetBatch(
        tuple(
            torch.from_numpy(arrays[f"c{case}_W{i}"]) for i in range(len(converter.weight_shapes))
        ),
        tuple(torch.from_numpy(arrays[f"c{case}_b{i}"]) for i in range(len(converter.bias_shapes))),
        converter,
    )
    actual = nets(torch.from_numpy(arrays[f"c{case}_x"]))
    torch.testing.assert_close(actual, torch.from_numpy(arrays[f"c{case}_y"]), **TOLERANCE)


def test_the_six_layer_model_has_the_published_keys_and_size() -> None:
    raw = {
        "architectures": ["HypencoderDualEncoder"],
        "query_encoder_kwargs": {
            "model_name_or_path": "google-bert/bert-base-uncased",
            "converter_kwargs": {"vector_dimensions": [768] * 7 + [1]},
        },
        "passage_encoder_kwargs": {"model_name_or_path": "google-bert/bert-base-uncased"},
        "shared_encoder": True,
    }
    backbone = empty_backbone(
        resolve_backbone("google-bert/bert-base-uncased").config, with_pooler=True
    )
    settings = HypencoderDualEncoder.read_settings(raw)
    dual = HypencoderDualEncoder.assemble(settings, {"query": backbone, "passage": backbone})
    assert len(dual.state_dict()) == 502
    assert sum(p.numel() for p in dual.parameters()) == 139_603_968
    assert sum(p.numel() for p in dual.query_encoder.transformer.parameters()) == 109_482_240
