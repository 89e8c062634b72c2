"""Hints of the library, as the command says them."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli.cli.app import PANELS
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


@pytest.mark.parametrize("text", ["a b", "x; id", "$(id)", "`id`", "it's", 'say "x"', "a\\b"])
def test_a_text_of_python_becomes_one_word_of_a_shell(text: str) -> None:
    said = options_in(f"Name it: `corpus={text!r}`, or not.")
    assert shlex.split(said.removesuffix(", or not."))[2:] == ["--corpus", text]


def test_commands_in_hints_quote_names(repository: Path) -> None:
    """Every text with a command of hype, or of the shell, quotes what it takes from elsewhere."""
    loose = [
        f"{path}, line {node.lineno}: {ast.unparse(value)}"
        for path in sorted(
            [*(repository / "hypencli").rglob("*.py"), *(repository / "store").rglob("*.py")]
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr)
        for value in _words_of_commands(node)
        if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "escape_shell")
        and ast.unparse(value) not in SAFE
    ]
    assert loose == []


_COMMAND = re.compile(
    rf"\bhype ({'|'.join(name for names in PANELS.values() for name in names)}) |"
    "rm -r |gzip -t |hf download |^cd "
)

SAFE = {
    *("first.id", "second.id", "damage.id", "manifest.id", "target.id", "other.id", "parent"),
    *("self.record.id", "embeddings_id", "opened.embeddings", "child.id"),  # ids have safe letters
    *("k", "needed", "spec.id", "artifact"),
    *("done.kind", "dataset"),  # of few names that are fixed
    *("of", "engine", "set_options", "option", "run", "command", "name"),  # quoted before
    *("place", "names", "of_kind"),
    *("_typed(place)", "_typed(str(place))"),  # quotes
}
"""Values that need no quotes."""


def _words_of_commands(text: ast.JoinedStr) -> Iterator[ast.expr]:
    """The values in a text that stand behind the name of a command."""
    inside = False
    for part in text.values:
        if isinstance(part, ast.Constant):
            begins = list(_COMMAND.finditer(str(part.value)))
            if begins:
                inside = True
            said = str(part.value)[begins[-1].end() if begins else 0 :]
            if re.search(r"[,;.`)\n](\s|$)|, ", said):
                inside = False
        elif isinstance(part, ast.FormattedValue) and inside:
            yield part.value
