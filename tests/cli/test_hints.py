"""Hints of the library, as the command says them."""

from __future__ import annotations

import pytest

from hypencli.cli.hints import options_in


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("Say which: `text_key=KEY`", "Say which: --text-key KEY"),
        ("Choose `output=`, or add `overwrite=True`.", "Choose --output, or add --overwrite."),
        ('Leave them out: `on_error="skip"`', "Leave them out: --on-error skip"),
        ("`corpus=irds:beir/scifact`", "--corpus irds:beir/scifact"),
        ("Name it: `data.train=FILE.jsonl`", "Name it: --set data.train=FILE.jsonl"),
        ("Run `hype calibrate`, or `guided`.", "Run `hype calibrate`, or `guided`."),
        ("Its keys are `x` = `y`.", "Its keys are `x` = `y`."),
    ],
)
def test_settings_become_options(hint: str, said: str) -> None:
    assert options_in(hint) == said
