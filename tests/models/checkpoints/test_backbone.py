from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RobertaConfig,
    T5Config,
)

from hypencli import HypencoderDualEncoder
from hypencli.errors import ModelError
from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.checkpoints.backbone import (
    KNOWN_BACKBONES,
    backbone_width,
    describe_backbone,
    empty_backbone,
    load_backbone,
    resolve_backbone,
)
from hypencli.models.fingerprint import model_fingerprint

COMMON = {
    "vocab_size": 90,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
ENCODERS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(**COMMON),
    "mpnet": MPNetConfig(**COMMON),
    "roberta": RobertaConfig(**COMMON, type_vocab_size=1, pad_token_id=1),
    "modernbert": ModernBertConfig(
        **COMMON,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        global_attn_every_n_layers=2,
        local_attention=8,
    ),
    "distilbert": DistilBertConfig(
        vocab_size=90, dim=24, n_layers=2, n_heads=3, hidden_dim=32, max_position_embeddings=40
    ),
}


@pytest.fixture(params=sorted(ENCODERS))
def encoder_folder_of_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        AutoModel.from_config(ENCODERS[request.param]).save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_every_kind_of_encoder_trains_saves_and_loads(
    encoder_folder_of_kind: Path, tmp_path: Path
) -> None:
    spec = ModelSpec(
        backbone=str(encoder_folder_of_kind),
        pooling="mean",
        converter_options={"hidden_layers": 1},
    )
    dual = build_dual_encoder(spec)
    ids = torch.randint(5, 90, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    inputs = dict(zip(("query_input_ids", "query_attention_mask"), (ids, mask), strict=True))
    inputs |= {key.replace("query", "passage"): value for key, value in inputs.items()}
    dual.train()(**inputs).loss.backward()
    dual.eval().save_pretrained(tmp_path / "saved")
    for file in encoder_folder_of_kind.iterdir():
        file.unlink()  # the checkpoint needs nothing but itself
    loaded = HypencoderDualEncoder.from_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).similarity, dual(**inputs).similarity)
    assert model_fingerprint(loaded) == model_fingerprint(dual)


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_the_width_comes_from_the_config(kind: str) -> None:
    assert backbone_width(ENCODERS[kind]) == 24


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_a_description_is_json_and_builds_the_same_backbone(kind: str) -> None:
    described = json.loads(json.dumps(describe_backbone(ENCODERS[kind])))
    resolved = resolve_backbone("", saved=described)
    shapes = [
        {
            name: tensor.shape
            for name, tensor in empty_backbone(c, with_pooler=True).state_dict().items()
        }
        for c in (ENCODERS[kind], resolved.config)
    ]
    assert shapes[0] == shapes[1]
    assert describe_backbone(resolved.config) == describe_backbone(ENCODERS[kind])


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (GPT2Config(n_embd=24, n_layer=1, n_head=2), "is a decoder"),
        (BertConfig(**COMMON, is_decoder=True), "is a decoder"),
        (T5Config(d_model=24, num_layers=1, num_heads=2), "encoder with a decoder"),
    ],
)
def test_what_is_not_an_encoder_is_refused(
    config: PretrainedConfig, what: str, tmp_path: Path
) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=what):
        load_backbone(str(tmp_path))
    with pytest.raises(ModelError, match=what):
        resolve_backbone("x", named=str(tmp_path))


def test_no_pooler_is_made_where_the_file_has_none() -> None:
    names = empty_backbone(ENCODERS["bert"], with_pooler=False).state_dict()
    assert not any("pooler" in name for name in names)


def test_an_empty_backbone_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    for config in ENCODERS.values():
        empty_backbone(config, with_pooler=True)
    assert torch.equal(before, torch.get_rng_state())


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = describe_backbone(ENCODERS["bert"])
    ENCODERS["roberta"].save_pretrained(tmp_path / "named")
    ENCODERS["mpnet"].save_pretrained(tmp_path / "local")
    actual: list[Any] = [
        resolve_backbone("bert-base-uncased", saved=saved, named="named"),
        resolve_backbone("bert-base-uncased", saved=saved),
        resolve_backbone("bert-base-uncased"),
        resolve_backbone("local"),
    ]
    assert [each.config.model_type for each in actual] == ["roberta", "bert", "bert", "mpnet"]
    assert [each.config.hidden_size for each in actual[1:3]] == [24, 768]


def test_a_backbone_that_is_nowhere_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match="num_attention_heads") as error:
        resolve_backbone("someone/unknown-encoder")
    assert error.value.hint is not None
    assert "`backbone=" in str(error.value.hint)
    with pytest.raises(
        ModelError, match=r"No checkpoint 'no/such-backbone'.*HF_HUB_OFFLINE is set"
    ):
        resolve_backbone("bert-base-uncased", named="no/such-backbone")


@pytest.mark.parametrize("name", sorted(KNOWN_BACKBONES))
def test_known_backbones_have_heads_of_a_whole_width(name: str) -> None:
    config = resolve_backbone(name).config
    assert backbone_width(config) % config.num_attention_heads == 0


def test_loading_says_what_an_encoder_lacks(tiny_backbone: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(tiny_backbone / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((tiny_backbone / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"lacks weights: encoder.layer.1.output.dense.weight"):
        load_backbone(str(tmp_path))


def test_a_missing_pooler_is_no_loss(
    tiny_backbone: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(tiny_backbone / "model.safetensors")
    without = {key: value for key, value in state.items() if "pooler" not in key}
    save_file(without, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((tiny_backbone / "config.json").read_bytes())
    before = torch.get_rng_state()
    load_backbone(str(tmp_path))
    assert torch.equal(before, torch.get_rng_state())
    assert capfd.readouterr() == ("", "")
