"""A verb is built alone where it is called: it must be what it is among all of them."""

from __future__ import annotations

from typing import Any

import pytest

from hypencli.cli.app import command

ALL = command()


def told(node: Any) -> Any:
    """All that a verb takes and says, and the verbs below it in their order."""
    below = {name: told(child) for name, child in getattr(node, "commands", {}).items()}
    options = [
        (one.name, one.opts, one.secondary_opts, one.required, str(one.default), one.nargs)
        for one in node.params
    ]
    return node.help, options, list(below), below


@pytest.mark.parametrize("verb", ALL.commands)
def test_a_verb_alone_is_the_verb_among_all(verb: str) -> None:
    alone = command(verb).commands
    assert told(alone[verb]) == told(ALL.commands[verb])
    assert len(alone) < len(ALL.commands)


@pytest.mark.parametrize("word", [None, "--version", "--help", "-h", "nothing", ""])
def test_whatever_else_is_asked_all_verbs_are_there(word: str | None) -> None:
    assert told(command(word)) == told(ALL)
