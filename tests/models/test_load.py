from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hypencli import Hypencoder, HypencoderDualEncoder, TextDualEncoder, TextEncoder
from hypencli.errors import ModelError
from hypencli.models.checkpoints.weights import PASSAGE_BACKBONE, QUERY_BACKBONE
from hypencli.models.load import (
    load_dual_encoder,
    load_tokenizer,
    model_fingerprint,
    passage_fingerprint,
    tokenizer_fingerprint,
)

Build = Any


@pytest.fixture
def saved(build: Build, tiny_backbone: Path, tmp_path: Path) -> Path:
    build().save_pretrained(tmp_path / "model", tokenizer=load_tokenizer(tiny_backbone))
    return tmp_path / "model"


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(
        json.dumps({k: v for k, v in config.items() if v is not None}), encoding="utf-8"
    )


def edit_weights(folder: Path, change: Any) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    save_file(change(state), path, metadata={"format": "pt"})


VARIANTS: list[dict[str, Any]] = [
    {},
    {"shared_encoder": False, "pooling": "cls"},
    {"pooling": "mean-unmasked", "normalize": True, "freeze_encoder": True},
    {"converter": "warm-start", "converter_options": {"hidden_layers": 2, "gate_init": 0.1}},
    {"embedding_representation": "cls", "losses": (("margin_mse", {"scale": 0.5}),)},
    {"architecture": "bi-encoder", "normalize": True, "query_projection": 2.0},
    {"architecture": "bi-encoder", "shared_encoder": False, "pooling": "cls"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: ",".join(variant) or "plain")
def test_what_is_saved_loads_the_same(
    build: Build, batch: dict[str, Any], tmp_path: Path, variant: dict[str, Any]
) -> None:
    dual = build(**variant)
    dual.save_pretrained(tmp_path)
    loaded = type(dual).from_pretrained(tmp_path)
    assert loaded.settings == dual.settings
    assert not loaded.training
    assert {k: v.shape for k, v in loaded.state_dict().items()} == {
        k: v.shape for k, v in dual.state_dict().items()
    }
    with torch.no_grad():
        assert torch.equal(loaded(**batch).loss, dual(**batch).loss)
    assert model_fingerprint(loaded) == model_fingerprint(dual)


def test_the_file_has_the_published_keys(build: Build, tmp_path: Path) -> None:
    build().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    ours = config.pop("hype")
    assert set(config) == {
        *("architectures", "query_encoder_type", "passage_encoder_type", "shared_encoder"),
        *("query_encoder_kwargs", "passage_encoder_kwargs", "loss_type", "loss_kwargs"),
        *("torch_dtype", "transformers_version"),
    }
    assert set(config["query_encoder_kwargs"]) == {
        *("model_name_or_path", "freeze_transformer", "embedding_representation"),
        *("base_encoder_output_dim", "converter_kwargs"),
    }
    assert config["passage_encoder_kwargs"]["pooling_type"] == "mean"
    assert ours["passage"]["pooling"] == "mean"
    assert ours["passage"]["backbone"]["num_attention_heads"] == 4


@pytest.mark.parametrize(
    ("losses", "published"),
    [
        ((("margin_mse", {"scale": 2.0}), ("cross_entropy", {})), ["margin_mse", "cross_entropy"]),
        ((("self_distillation", {"scale": 2.0}), ("cross_entropy", {})), ["cross_entropy"]),
        ((("self_distillation", {}),), []),
    ],
)
def test_losses_come_back_and_published_code_is_told_of_its_own(
    build: Build, tmp_path: Path, losses: Any, published: list[str]
) -> None:
    build(losses=losses, embedding_representation="mean").save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    assert raw["loss_type"] == published
    assert len(raw["loss_kwargs"]) == len(published)
    loaded = HypencoderDualEncoder.from_pretrained(tmp_path)
    assert [(loss.name, loss.options) for loss in loaded.settings.losses] == list(losses)


def test_a_shared_backbone_is_stored_once(saved: Path) -> None:
    keys = load_file(saved / "model.safetensors")
    assert any(key.startswith(PASSAGE_BACKBONE) for key in keys)
    assert not any(key.startswith(QUERY_BACKBONE) for key in keys)


def test_whoever_reads_the_config_reads_the_weights(saved: Path) -> None:
    modes = {(saved / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def both(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    twins = {
        key.replace(PASSAGE_BACKBONE, QUERY_BACKBONE): tensor.clone()
        for key, tensor in state.items()
    }
    return state | twins


def query_only(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.replace(PASSAGE_BACKBONE, QUERY_BACKBONE): tensor for key, tensor in state.items()}


@pytest.mark.parametrize("layout", ["passage only", "query only", "cloned", "bin"])
def test_every_layout_of_a_shared_backbone_loads(saved: Path, layout: str) -> None:
    expected = HypencoderDualEncoder.from_pretrained(saved).state_dict()
    if layout in ("query only", "cloned"):
        edit_weights(saved, query_only if layout == "query only" else both)
    if layout == "bin":
        state = HypencoderDualEncoder.from_pretrained(saved).state_dict()
        (saved / "model.safetensors").unlink()
        torch.save(state, saved / "pytorch_model.bin")
    loaded = HypencoderDualEncoder.from_pretrained(saved)
    assert loaded.query_encoder.transformer is loaded.passage_encoder.transformer
    actual = loaded.state_dict()
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


def test_shards_listed_by_an_index_load(saved: Path) -> None:
    state = load_file(saved / "model.safetensors")
    halves = [dict(list(state.items())[i::2]) for i in range(2)]
    (saved / "model.safetensors").unlink()
    weight_map = {}
    for i, half in enumerate(halves):
        save_file(half, saved / f"part-{i}.safetensors")
        weight_map |= dict.fromkeys(half, f"part-{i}.safetensors")
    index = saved / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    assert sum(one.numel() for one in HypencoderDualEncoder.from_pretrained(saved).parameters()) > 0


def test_position_ids_of_old_files_are_tolerated(saved: Path) -> None:
    key = f"{PASSAGE_BACKBONE}embeddings.position_ids"
    edit_weights(saved, lambda state: state | {key: torch.arange(128)[None]})
    HypencoderDualEncoder.from_pretrained(saved)


def without(state: dict[str, torch.Tensor], key: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if name != key}


HEAD = "query_encoder.hyper_base_matrices.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, HEAD), rf"1 missing: {HEAD}"),
        (
            lambda s: s | {"query_encoder.extra": torch.ones(1)},
            r"1 unexpected: query_encoder.extra",
        ),
        (
            lambda s: s | {HEAD: torch.ones(1, 2, 2)},
            rf"{HEAD} \[1, 2, 2\] instead of \[1, 32, 32\]",
        ),
        (lambda s: without(s, f"{PASSAGE_BACKBONE}embeddings.LayerNorm.bias"), "2 missing"),
    ],
)
def test_weights_that_do_not_fit_are_named(saved: Path, change: Any, message: str) -> None:
    edit_weights(saved, change)
    with pytest.raises(ModelError, match=message):
        HypencoderDualEncoder.from_pretrained(saved)


def test_sides_that_differ_cannot_be_shared(saved: Path) -> None:
    def differ(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        state = both(state)
        state[f"{QUERY_BACKBONE}embeddings.LayerNorm.bias"] += 1
        return state

    edit_weights(saved, differ)
    with pytest.raises(ModelError, match="says shared_encoder, but"):
        HypencoderDualEncoder.from_pretrained(saved)


def test_a_backbone_of_another_size_is_refused_saying_whose_it_is(saved: Path) -> None:
    with pytest.raises(ModelError, match="width"):
        HypencoderDualEncoder.from_pretrained(saved, backbone="bert-base-uncased")
    described = json.loads((saved / "config.json").read_text(encoding="utf-8"))["hype"]
    described["query"]["backbone"]["num_hidden_layers"] = 3
    edit_config(saved, hype=described)
    with pytest.raises(ModelError, match=r"backbone: the checkpoint's config.json\) do not fit"):
        HypencoderDualEncoder.from_pretrained(saved)


def test_a_pickle_that_names_code_is_refused(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    torch.save({"weights": Path("x")}, saved / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds more than tensors"):
        HypencoderDualEncoder.from_pretrained(saved)


def test_damaged_or_absent_files_are_named(saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match=r"model.safetensors cannot be read"):
        HypencoderDualEncoder.from_pretrained(saved)
    (saved / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights; looked for"):
        HypencoderDualEncoder.from_pretrained(saved)
    (saved / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="not a JSON object"):
        HypencoderDualEncoder.from_pretrained(saved)
    (saved / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is not JSON"):
        HypencoderDualEncoder.from_pretrained(saved)
    with pytest.raises(ModelError, match=r"has no config\.json"):
        HypencoderDualEncoder.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match="there is no such folder"):
        HypencoderDualEncoder.from_pretrained("nobody/no-such-model")


def test_a_newer_format_is_refused(saved: Path) -> None:
    edit_config(saved, hype={"format": 2})
    with pytest.raises(ModelError, match="hype format 2; this version reads 1"):
        HypencoderDualEncoder.from_pretrained(saved)


def test_the_wrong_class_says_which_is_right(saved: Path) -> None:
    with pytest.raises(ModelError, match="TextDualEncoder loads TextDualEncoder"):
        TextDualEncoder.from_pretrained(saved)


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_the_dtype_is_float32_unless_asked(saved: Path, dtype: torch.dtype | None) -> None:
    edit_weights(saved, lambda state: {key: tensor.half() for key, tensor in state.items()})
    loaded = HypencoderDualEncoder.from_pretrained(saved, dtype=dtype, device="cpu")
    assert {p.dtype for p in loaded.parameters()} == {dtype or torch.float32}


def test_one_side_loads_from_the_whole(saved: Path, batch: dict[str, Any]) -> None:
    dual = HypencoderDualEncoder.from_pretrained(saved)
    queries = Hypencoder.from_pretrained(saved)
    passages = TextEncoder.from_pretrained(saved)
    expected = dual(**batch)
    created = passages(batch["passage_input_ids"], batch["passage_attention_mask"])
    assert torch.equal(created.representation, expected.passage_output.representation)
    nets = queries(batch["query_input_ids"], batch["query_attention_mask"]).representation
    assert torch.equal(nets.matrices[0], expected.query_output.representation.matrices[0])


@pytest.mark.parametrize("side", ["query_encoder", "passage_encoder"])
def test_an_encoder_saves_and_loads_by_itself(
    build: Build, batch: dict[str, Any], tmp_path: Path, side: str
) -> None:
    encoder = getattr(build(normalize=True), side)
    encoder.save_pretrained(tmp_path)
    loaded = type(encoder).from_pretrained(tmp_path)
    assert loaded.settings == encoder.settings
    state = encoder.state_dict()
    assert all(torch.equal(loaded.state_dict()[key], state[key]) for key in state)


def test_other_processes_of_a_run_write_nothing(build: Build, tmp_path: Path) -> None:
    build().save_pretrained(tmp_path / "model", is_main_process=False)
    assert not (tmp_path / "model").exists()


def test_a_published_config_has_defaults_for_what_it_omits(
    saved: Path, tiny_backbone: Path
) -> None:
    raw = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    query = raw["query_encoder_kwargs"]
    edit_config(
        saved,
        hype=None,
        loss_type="cross_entropy",
        loss_kwargs={},
        query_encoder_kwargs={
            "model_name_or_path": str(tiny_backbone),
            "base_encoder_output_dim": 32,
            "converter_kwargs": query["converter_kwargs"],
        },
        passage_encoder_kwargs={"model_name_or_path": str(tiny_backbone)},
    )
    settings = HypencoderDualEncoder.from_pretrained(saved).settings
    assert settings.passage.pooling == "cls"
    assert settings.query.embedding_representation is None
    assert [loss.name for loss in settings.losses] == ["cross_entropy"]


def test_loading_by_source_gives_model_and_tokenizer(saved: Path, tiny_backbone: Path) -> None:
    dual, tokenizer = load_dual_encoder(saved)
    assert isinstance(dual, HypencoderDualEncoder)
    ours, theirs = (
        tokenizer_fingerprint(tokenizer),
        tokenizer_fingerprint(load_tokenizer(tiny_backbone)),
    )
    assert ours == theirs
    tokenizer(["river bank"], padding="max_length", max_length=9, truncation=True)
    assert tokenizer_fingerprint(tokenizer) == ours
    (saved / "tokenizer.json").unlink()
    (saved / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="No tokenizer at"):
        load_dual_encoder(saved)


def test_a_plain_encoder_becomes_a_bi_encoder(tiny_backbone: Path, batch: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="does not declare how it pools"):
        load_dual_encoder(tiny_backbone)
    dual, _ = load_dual_encoder(tiny_backbone, pooling="mean", normalize=True)
    assert isinstance(dual, TextDualEncoder)
    vectors = dual(**batch).passage_output.representation
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(6), atol=1e-5)
    with pytest.raises(ModelError, match="Unknown pooling 'max'"):
        load_dual_encoder(tiny_backbone, pooling="max")  # type: ignore[arg-type]


def declare(folder: Path, *kinds: str, **pooling: Any) -> None:
    modules = [{"path": f"{i}_{kind}", "type": f"models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_a_sentence_encoder_says_how_it_pools(
    tiny_backbone: Path, tmp_path: Path, pooling: dict[str, Any], expected: str
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_backbone, folder)
    declare(folder, "Transformer", "Pooling", **pooling)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 17}', encoding="utf-8")
    dual, tokenizer = load_dual_encoder(folder)
    assert dual.passage_encoder.pooling == expected
    assert not dual.passage_encoder.settings.normalize
    assert tokenizer.model_max_length == 17


@pytest.mark.parametrize(
    ("kinds", "pooling", "message"),
    [
        (("Transformer", "Pooling", "Dense"), {"pooling_mode": "mean"}, "a step .*: Dense"),
        (("Transformer", "Pooling"), {"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        (("Transformer", "Pooling"), {"pooling_mode": "lasttoken"}, "lasttoken"),
        (("Transformer", "Pooling"), {}, "nothing named"),
    ],
)
def test_steps_that_cannot_be_reproduced_are_refused(
    tiny_backbone: Path, tmp_path: Path, kinds: Any, pooling: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_backbone, folder)
    declare(folder, *kinds, **pooling)
    with pytest.raises(ModelError, match=message):
        load_dual_encoder(folder)


def test_a_config_of_nothing_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="neither a dual encoder's nor a plain"):
        load_dual_encoder(tmp_path)


def test_pooling_can_be_overridden_and_is_part_of_the_fingerprint(
    saved: Path, batch: dict[str, Any]
) -> None:
    declared, _ = load_dual_encoder(saved)
    changed, _ = load_dual_encoder(saved, pooling="cls", normalize=True)
    assert changed.settings.passage.pooling == changed.passage_encoder.pooling == "cls"
    assert passage_fingerprint(changed) != passage_fingerprint(declared)
    vectors = [dual(**batch).passage_output.representation for dual in (declared, changed)]
    assert not torch.allclose(*vectors)


def test_passage_fingerprints_ignore_the_query_side(build: Build, tmp_path: Path) -> None:
    frozen = build(freeze_encoder=True)
    other_head = build(freeze_encoder=True, seed=1)
    warm = build(
        freeze_encoder=True, converter="warm-start", converter_options={"hidden_layers": 1}
    )
    bi_encoder = build(architecture="bi-encoder", query_projection=1.0)
    passages = {passage_fingerprint(dual) for dual in (frozen, other_head, warm, bi_encoder)}
    assert len(passages) == 1
    models = {model_fingerprint(dual) for dual in (frozen, other_head, warm, bi_encoder)}
    assert len(models) == 4


def test_passage_fingerprints_see_every_weight_that_counts(build: Build) -> None:
    dual = build()
    before = passage_fingerprint(dual)
    state = dual.passage_encoder.transformer.state_dict()
    with torch.no_grad():
        state["pooler.dense.weight"] += 1
        assert passage_fingerprint(dual) == before
        state["encoder.layer.1.output.LayerNorm.bias"][3] += 1e-3
    assert passage_fingerprint(dual) != before


def test_heads_are_part_of_the_fingerprint(saved: Path) -> None:
    before = passage_fingerprint(HypencoderDualEncoder.from_pretrained(saved))
    described = json.loads((saved / "config.json").read_text(encoding="utf-8"))["hype"]
    described["query"]["backbone"]["num_attention_heads"] = 2
    edit_config(saved, hype=described)
    assert passage_fingerprint(HypencoderDualEncoder.from_pretrained(saved)) != before


@pytest.mark.hub
@pytest.mark.usefixtures("hub")
def test_a_published_checkpoint_loads_from_the_hub() -> None:
    dual, tokenizer = load_dual_encoder("jfkback/hypencoder.2_layer")
    assert dual.passage_encoder.width == 768
    assert tokenizer.vocab_size == 30522
