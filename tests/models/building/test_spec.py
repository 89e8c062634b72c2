from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, BertConfig, BertModel

from hypencli import HypencoderDualEncoder
from hypencli.errors import ModelError
from hypencli.models.building.spec import ModelSpec, build_dual_encoder
from hypencli.models.checkpoints import backbone as backbones
from hypencli.models.checkpoints.backbone import resolve_backbone
from hypencli.models.fingerprint import model_fingerprint, passage_fingerprint
from hypencli.models.hypernet import HEAD_KEYS

HEAD = ("hyper_base_", "weight_query_", "bias_query_", "weight_hyper_", "bias_hyper_")
HEAD += ("key_projections", "value_projections")
OWN_CONVERTER = """
from hypencli.models.qnets.registry import RepeatedDenseBlockConverter
from torch import nn
import torch


class Scaled(nn.Module):
    def __init__(self, vector_dimensions, start=1.0):
        super().__init__()
        self.dense = RepeatedDenseBlockConverter(vector_dimensions)
        self.weight_shapes, self.bias_shapes = self.dense.weight_shapes, self.dense.bias_shapes
        self.scale = nn.Parameter(torch.tensor(start))

    def __call__(self, matrices, vectors, is_training):
        net = self.dense(matrices, vectors, is_training)
        return lambda items: self.scale * net(items)
"""


def test_the_seed_alone_decides_new_weights(build: Any) -> None:
    prints = [model_fingerprint(build(seed=seed)) for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_hidden_layers_stand_for_widths(build: Any) -> None:
    dual = build(converter_options={"hidden_layers": 3, "activation_type": "gelu"})
    options = {"vector_dimensions": [32, 32, 32, 32, 1], "activation_type": "gelu"}
    assert dual.settings.query.converter_kwargs == options
    with pytest.raises(ModelError, match="not both"):
        build(converter_options={"hidden_layers": 3, "vector_dimensions": [32, 1]})


def test_a_warm_start_ranks_as_its_backbone_does(build: Any, batch: dict[str, Any]) -> None:
    options = {"hidden_layers": 2, "gate_init": 0.0, "projection_scale": 3.0}
    warm = build(converter="warm-start", converter_options=options, normalize=True)
    plain = build(architecture="bi-encoder", normalize=True)
    scores = [dual(**batch).similarity for dual in (warm, plain)]
    assert torch.allclose(scores[0], 3 * scores[1], atol=1e-5)
    assert warm.settings.query.embedding_representation == "mean"


def test_a_model_can_start_from_a_trained_one(build: Any, tmp_path: Path) -> None:
    trained = build(architecture="bi-encoder", normalize=True)
    with torch.no_grad():
        trained.passage_encoder.transformer.state_dict()["encoder.layer.0.output.dense.bias"] += 1
    trained.save_pretrained(tmp_path)
    started = build(backbone=str(tmp_path), pooling=None, freeze_encoder=True)
    assert passage_fingerprint(started) == passage_fingerprint(trained)


def test_pooling_must_be_known(tiny_backbone: Path) -> None:
    with pytest.raises(ModelError, match="does not declare how it pools") as error:
        build_dual_encoder(ModelSpec(backbone=str(tiny_backbone)))
    assert "mean-unmasked" in str(error.value.hint)
    with pytest.raises(ModelError, match="Unknown pooling 'max'"):
        build_dual_encoder(ModelSpec(backbone=str(tiny_backbone), pooling="max"))  # type: ignore[arg-type]


def test_a_backbone_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="No checkpoint 'no/such-encoder'"):
        build_dual_encoder(ModelSpec(backbone="no/such-encoder", pooling="cls"))


def on_file(folder: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint's own file holds, read without this package."""
    published = folder / "pytorch_model.bin"
    if published.is_file():
        return dict(torch.load(published, weights_only=True))
    return load_file(folder / "model.safetensors")


def head_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    named = {k.removeprefix("query_encoder."): v for k, v in state.items()}
    return {k: v for k, v in named.items() if k.startswith(HEAD)}


def assert_all_equal(model: Any, expected: dict[str, torch.Tensor]) -> None:
    assert expected
    state = model.state_dict()
    for key, tensor in expected.items():
        assert torch.equal(state[key], tensor), key


def as_published(saved: Path, *, backbone: str) -> Path:
    """The same checkpoint as published ones are: a ``.bin`` file, and of its backbone a name."""
    state = HypencoderDualEncoder.from_pretrained(saved).state_dict()
    torch.save(state, saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    del config["hype"]
    for side in ("query", "passage"):
        config[f"{side}_encoder_kwargs"]["model_name_or_path"] = backbone
    (saved / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return saved


@pytest.fixture
def trained(build: Any, tmp_path: Path) -> Path:
    """A Hypencoder with settings unlike the defaults, all weights changed, trained frozen."""
    dual = build(
        seed=5,
        pooling="mean-unmasked",
        normalize=True,
        shared_encoder=False,
        freeze_encoder=True,
        embedding_representation="cls",
        losses=(("margin_mse", {}),),
    )
    with torch.no_grad():
        for i, parameter in enumerate(dual.parameters()):
            parameter.add_(0.001 * (i + 1))
    dual.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


def test_an_initial_model_goes_on_as_it_says_itself(trained: Path) -> None:
    dual = build_dual_encoder(ModelSpec(initial=str(trained), seed=99))
    assert_all_equal(dual, on_file(trained))
    settings = dual.settings
    assert (settings.passage.pooling, settings.passage.normalize) == ("mean-unmasked", True)
    assert settings.query.embedding_representation == "cls"
    assert not settings.shared_encoder
    assert dual.query_encoder.transformer is not dual.passage_encoder.transformer
    assert settings.query.converter_kwargs == {"vector_dimensions": [32, 32, 32, 1]}
    assert not dual.training


def test_losses_and_freezing_are_those_of_the_specification(
    trained: Path, batch: dict[str, Any]
) -> None:
    losses = (("cross_entropy", {"scale": 2.0}), ("margin_mse", {}))
    dual = build_dual_encoder(ModelSpec(initial=str(trained), losses=losses))
    dual.train()(**batch).loss.backward()
    touched = {name for name, p in dual.named_parameters() if p.grad is not None}
    assert any(name.startswith("passage_encoder.transformer.encoder") for name in touched)
    assert set(dual(**batch).to_log) >= {"similarity_loss_cross_entropy"}
    frozen = build_dual_encoder(ModelSpec(initial=str(trained), freeze_encoder=True))
    trainable = {name for name, p in frozen.named_parameters() if p.requires_grad}
    assert trainable == {f"query_encoder.{name}" for name in head_of(frozen.state_dict())}


def test_a_shared_initial_model_stays_shared(build: Any, tmp_path: Path) -> None:
    build(architecture="bi-encoder", query_projection=3.0).save_pretrained(tmp_path)
    spec = ModelSpec(initial=str(tmp_path), architecture="bi-encoder", shared_encoder=False)
    dual = build_dual_encoder(spec)
    assert dual.query_encoder.transformer is dual.passage_encoder.transformer
    assert_all_equal(dual, on_file(tmp_path))


def test_the_callers_random_state_stays(trained: Path, tiny_backbone: Path) -> None:
    layers = {"hidden_layers": 2}
    specs = [
        ModelSpec(initial=str(trained)),
        ModelSpec(initial=str(trained), converter_options=layers),
        ModelSpec(
            backbone=str(tiny_backbone),
            pooling="cls",
            converter_options=layers,
            hyper_head_from=str(trained),
        ),
    ]
    before = torch.random.get_rng_state()
    for spec in specs:
        build_dual_encoder(spec)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_initial_model_takes_another_converter_of_its_shapes(
    trained: Path, batch: dict[str, Any]
) -> None:
    options = {"hidden_layers": 2, "activation_type": "gelu"}
    dual = build_dual_encoder(ModelSpec(initial=str(trained), converter_options=options))
    assert dual.settings.query.converter_kwargs["activation_type"] == "gelu"
    assert_all_equal(dual, on_file(trained))
    plain = build_dual_encoder(ModelSpec(initial=str(trained)))
    assert not torch.equal(dual(**batch).similarity, plain(**batch).similarity)


def test_a_converters_own_weights_are_new_where_the_model_has_none(
    trained: Path, tmp_path: Path, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "converter_for_test_build.py").write_text(OWN_CONVERTER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    options = {"vector_dimensions": [32, 32, 32, 1], "start": 3.0}
    name = "converter_for_test_build:Scaled"
    spec = ModelSpec(initial=str(trained), converter=name, converter_options=options)
    dual = build_dual_encoder(spec)
    assert_all_equal(dual, on_file(trained))
    plain = build_dual_encoder(ModelSpec(initial=str(trained)))
    assert torch.allclose(dual(**batch).similarity, 3 * plain(**batch).similarity)
    with torch.no_grad():
        dual.query_encoder.weight_to_model_converter.scale.fill_(5.0)
    dual.save_pretrained(tmp_path / "scaled")
    with pytest.raises(ModelError, match="converter of its own"):
        build_dual_encoder(ModelSpec(initial=str(tmp_path / "scaled")))
    again = build_dual_encoder(ModelSpec(initial=str(tmp_path / "scaled"), trust_code=True))
    assert again.query_encoder.weight_to_model_converter.scale.item() == 5.0
    with pytest.raises(ModelError, match=r"1 unexpected: .*converter\.scale"):
        build_dual_encoder(
            ModelSpec(
                initial=str(tmp_path / "scaled"),
                converter_options={"hidden_layers": 2},
                trust_code=True,
            )
        )


def test_a_warm_start_can_go_on_from_a_published_head(trained: Path) -> None:
    options = {"hidden_layers": 2, "gate_init": 0.5}
    spec = ModelSpec(initial=str(trained), converter="warm-start", converter_options=options)
    dual = build_dual_encoder(spec)
    assert_all_equal(dual, on_file(trained))
    assert dual.query_encoder.weight_to_model_converter.gate.item() == 0.5


def test_an_initial_model_of_another_shape_than_the_converter_is_refused(trained: Path) -> None:
    with pytest.raises(ModelError, match=r"initial model .* do not fit: \d+ missing") as error:
        build_dual_encoder(ModelSpec(initial=str(trained), converter_options={"hidden_layers": 3}))
    assert "of other shapes" in str(error.value.hint)


def test_an_initial_model_of_the_other_architecture_is_refused(trained: Path) -> None:
    with pytest.raises(ModelError, match="is a hypencoder; a bi-encoder is asked for") as error:
        build_dual_encoder(ModelSpec(initial=str(trained), architecture="bi-encoder"))
    assert "`model.architecture=hypencoder`" in str(error.value.hint)


def test_a_plain_encoder_is_no_initial_model(tiny_backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no trained model: .*BertModel") as error:
        build_dual_encoder(ModelSpec(initial=str(tiny_backbone)))
    assert "`model.backbone=" in str(error.value.hint)
    with pytest.raises(ModelError, match="No checkpoint 'no/such-model'"):
        build_dual_encoder(ModelSpec(initial="no/such-model"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "from a backbone or from an initial model"),
        ({"initial": "x", "pooling": "cls"}, "brings its own pooling"),
        ({"initial": "x", "normalize": False}, "brings its own normalize"),
        ({"initial": "x", "hyper_head_from": "y"}, "brings its own hyper_head_from"),
        (
            {"backbone": "x", "architecture": "bi-encoder", "hyper_head_from": "y"},
            "A bi-encoder has no hyper-head",
        ),
    ],
)
def test_contradictions_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_dual_encoder(ModelSpec(**fields))


def test_a_published_checkpoint_starts_without_the_network(
    build: Any, tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(seed=3, pooling="cls").save_pretrained(tmp_path)
    name = "google-bert/bert-base-uncased"
    published = as_published(tmp_path, backbone=name)
    with pytest.raises(ModelError, match="got width 768, expected 32"):
        build_dual_encoder(ModelSpec(initial=str(published)))  # the table's sizes, not the file's
    tiny = json.loads((tiny_backbone / "config.json").read_text(encoding="utf-8"))
    expected_names = {
        **backbones.KNOWN_BACKBONES[name],
        **{k: tiny[k] for k in tiny.keys() & SIZES},
    }
    monkeypatch.setattr(backbones, "KNOWN_BACKBONES", {name: expected_names})
    dual = build_dual_encoder(ModelSpec(initial=str(published)))
    assert_all_equal(dual, on_file(published))
    assert dual.settings.passage.pooling == "cls"


def test_a_published_checkpoint_of_an_unknown_backbone_needs_its_configuration(
    build: Any, tmp_path: Path, tiny_backbone: Path
) -> None:
    build(seed=3).save_pretrained(tmp_path)
    published = as_published(tmp_path, backbone="nobody/has-this")
    with pytest.raises(ModelError, match="does not say how its backbone 'nobody/has-this'"):
        build_dual_encoder(ModelSpec(initial=str(published)))
    dual = build_dual_encoder(ModelSpec(initial=str(published), backbone=str(tiny_backbone)))
    assert_all_equal(dual, on_file(published))


SIZES = {
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings"),
}


@pytest.mark.parametrize(
    ("name", "kind", "heads"),
    [
        ("google-bert/bert-base-uncased", "bert", 12),
        ("facebook/contriever-msmarco", "bert", 12),
        ("Shitao/RetroMAE_MSMARCO_finetune", "bert", 12),
        ("sebastian-hofstaetter/distilbert-dot-tas_b-b256-msmarco", "distilbert", 12),
    ],
)
def test_backbones_of_shipped_recipes_are_known(name: str, kind: str, heads: int) -> None:
    config = resolve_backbone(name).config
    assert (config.model_type, config.num_attention_heads, config.hidden_size) == (kind, heads, 768)
    default = AutoConfig.for_model(kind)  # the base size is what the library has by default
    assert config.num_hidden_layers == default.num_hidden_layers
    assert config.vocab_size == default.vocab_size


def test_golden_published_weights_are_the_start(goldens: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(goldens / "a_shared_cls" / "checkpoint", published)
    (published / "model.safetensors").unlink()
    backbone = str(goldens / "backbones" / "tiny-bert")
    dual = build_dual_encoder(ModelSpec(initial=str(published), backbone=backbone))
    assert_all_equal(dual, on_file(published))
    assert [loss.name for loss in dual.settings.losses] == ["cross_entropy"]
    onto = ModelSpec(
        backbone=backbone,
        pooling="mean",
        converter_options={"hidden_layers": 2},
        hyper_head_from=str(published),
    )
    transplanted = build_dual_encoder(onto)
    assert_all_equal(transplanted.query_encoder, head_of(on_file(published)))
    assert transplanted.settings.passage.pooling == "mean"


def test_a_transplant_copies_the_head_and_nothing_else(
    trained: Path, tiny_backbone: Path, build: Any
) -> None:
    plain = build(seed=1)
    dual = build(seed=1, hyper_head_from=str(trained))
    head = head_of(on_file(trained))
    assert {key.partition(".")[0] for key in head} == set(HEAD_KEYS)
    assert_all_equal(dual.query_encoder, head)
    rest = {k: v for k, v in plain.state_dict().items() if "transformer." in k}
    assert_all_equal(dual, rest)
    assert rest.keys() | {f"query_encoder.{k}" for k in head} == dual.state_dict().keys()
    assert dual.settings == plain.settings


def test_a_transplant_is_independent_of_its_donor_s_backbone(
    build: Any, tiny_backbone: Path, tmp_path: Path
) -> None:
    build(seed=2, pooling="cls").save_pretrained(tmp_path)
    published = as_published(tmp_path, backbone="nobody/has-this")  # cannot be loaded whole
    dual = build(hyper_head_from=str(published))
    assert_all_equal(dual.query_encoder, head_of(on_file(published)))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (1, r"hyper-head of .* do not fit: \d+ unexpected: bias_hyper_projection\.1\.bias"),
        (3, r"hyper-head of .* do not fit: \d+ missing: bias_hyper_projection\.2\.bias"),
    ],
)
def test_a_head_of_other_layers_is_refused(
    trained: Path, build: Any, layers: int, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as error:
        build(converter_options={"hidden_layers": layers}, hyper_head_from=str(trained))
    assert "model.converter.layers" in str(error.value.hint)


def test_a_head_of_another_width_is_refused(trained: Path, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=90,
        hidden_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
    )
    with torch.random.fork_rng(devices=[]):
        BertModel(config).save_pretrained(tmp_path / "wider")
    spec = ModelSpec(
        backbone=str(tmp_path / "wider"),
        pooling="cls",
        converter_options={"hidden_layers": 2},
        hyper_head_from=str(trained),
    )
    shapes = r"of another shape: .*\[32\] instead of \[48\]"
    with pytest.raises(ModelError, match=shapes):
        build_dual_encoder(spec)


def test_a_bi_encoder_has_no_head_to_give(build: Any, tmp_path: Path) -> None:
    build(architecture="bi-encoder").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"holds \['TextDualEncoder'\]"):
        build(hyper_head_from=str(tmp_path))


def test_a_backbone_that_was_frozen_trains_again(trained: Path, batch: dict[str, Any]) -> None:
    spec = ModelSpec(backbone=str(trained), converter_options={"hidden_layers": 1})
    dual = build_dual_encoder(spec)
    assert all(parameter.requires_grad for parameter in dual.parameters())


def test_a_trained_backbone_needs_no_code_of_its_converter(trained: Path, build: Any) -> None:
    path = trained / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["query_encoder_kwargs"]["converter"] = "not_a_module_anywhere:Net"
    path.write_text(json.dumps(config), encoding="utf-8")
    started = build(backbone=str(trained), pooling=None)
    theirs = {k: v for k, v in on_file(trained).items() if k.startswith("passage_encoder.")}
    assert_all_equal(started, theirs)
