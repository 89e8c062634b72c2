"""Hints of errors for the terminal: arguments of Python become options of the command."""

from __future__ import annotations

import ast
import re

from hypencli.escaping import escape_shell

_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_SETTING = re.compile(rf"`(?P<name>[a-z][a-z_.]*)=(?:(?P<text>{_TEXT})|(?P<value>[^`]*))`")


def options_in(hint: str) -> str:
    """Rewrite arguments of Python in a hint as options of the command.

    The library does not know whether it is called from the command line, so its hints name
    arguments of Python between backticks. `` `text_key=KEY` `` becomes ``--text-key KEY``,
    `` `overwrite=True` `` becomes ``--overwrite``, and `` `output=` `` becomes ``--output``. A
    value in quotes is a text of Python, and becomes one word of a shell.
    """
    return _SETTING.sub(_option, hint)


def _option(setting: re.Match[str]) -> str:
    name, value = setting["name"], setting["value"]
    if setting["text"] is not None:
        value = str(ast.literal_eval(setting["text"]))
    if "." in name:  # a field of a recipe
        given = f"{name}={value}"
        return f"--set {given if setting['text'] is None else escape_shell(given)}"
    option = "--" + name.replace("_", "-")
    if setting["text"] is None:
        return option if value in ("", "True") else f"{option} {value}"
    return f"{option} {escape_shell(value)}"
