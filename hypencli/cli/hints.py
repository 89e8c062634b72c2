"""Hints of errors for the terminal: arguments of Python become options of the command."""

from __future__ import annotations

import re

_SETTING = re.compile(r"`(?P<name>[a-z][a-z_.]*)=(?P<value>[^`]*)`")


def options_in(hint: str) -> str:
    """Rewrite arguments of Python in a hint as options of the command.

    The library does not know whether it is called from the command line, so its hints name
    arguments of Python between backticks. `` `text_key=KEY` `` becomes ``--text-key KEY``,
    `` `overwrite=True` `` becomes ``--overwrite``, and `` `output=` `` becomes ``--output``.
    """
    return _SETTING.sub(_option, hint)


def _option(setting: re.Match[str]) -> str:
    if "." in setting["name"]:  # a field of a recipe
        return f"--set {setting['name']}={setting['value']}"
    option = "--" + setting["name"].replace("_", "-")
    value = setting["value"].strip('"')
    return option if value in ("", "True") else f"{option} {value}"
