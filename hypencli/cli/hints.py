"""Hints for people at a terminal: settings, as the library names them, become options."""

from __future__ import annotations

import re

_SETTING = re.compile(r"`(?P<name>[a-z]+(?:_[a-z]+)*)=(?P<value>[^`]*)`")


def options_in(hint: str) -> str:
    """The hint with every setting as an option of the command.

    The library cannot know how it is called: its hints name the arguments of Python, between
    backticks. `` `text_key=KEY` `` becomes ``--text-key KEY``, `` `overwrite=True` `` becomes
    ``--overwrite``, and `` `output=` `` becomes ``--output``.
    """
    return _SETTING.sub(_option, hint)


def _option(setting: re.Match[str]) -> str:
    option = "--" + setting["name"].replace("_", "-")
    value = setting["value"].strip('"')
    return option if value in ("", "True") else f"{option} {value}"
