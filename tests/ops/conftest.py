"""A model that writes, for what paraphrases."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_seq2seq(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A random BART with the tiny vocabulary: what it writes means nothing, but it writes."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, BartConfig
    from transformers import BartForConditionalGeneration as Bart

    folder = tmp_path_factory.mktemp("seq2seq") / "tiny-bart"
    tokenizer = AutoTokenizer.from_pretrained(tiny_backbone)
    config = BartConfig(
        vocab_size=AutoConfig.from_pretrained(tiny_backbone).vocab_size,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        decoder_start_token_id=tokenizer.cls_token_id,
        forced_eos_token_id=tokenizer.sep_token_id,
        init_std=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Bart(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
