"""Shortening of absolute paths, which name users and clients, in what is given to others."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypencli.errors import DataError
from hypencli.paths import user_path

SHORT = "…/"
"""What stands for the folders of a path that was shortened."""

_WHOLE = re.compile(
    r"(?P<kind>(?:[a-z][a-z0-9_]+:)?)(?P<path>(?:~[\w.-]*/|[A-Za-z]:[\\/]|/(?![/\s]))[^\n]*)"
)
"""A value that is one path, perhaps after the kind of a source: ``folder:/home/ann/beir``."""

_PART = r"[^\s/'\"`<>|,;()\[\]]+"
_WITHIN = re.compile(
    rf"(?<![\w./~\\…])(?:~[\w.-]*/(?:{_PART}/)*|/(?:{_PART}/)+)[^\s/'\"`<>|,;:()\[\]]*"
)
"""An absolute path of two parts or more within a text. An address of the web is none."""

_TOML_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'")


@dataclass
class PathShortener:
    """Shortens absolute paths to their last part: ``/home/ann/acme/qrels.txt`` to ``…/qrels.txt``.

    Attributes:
        keep: Whether paths stay whole.
        shortened: The paths that were shortened.
    """

    keep: bool = False
    shortened: set[str] = field(default_factory=set)

    def text(self, text: str) -> str:
        """Shorten a text that is a path, or the paths within a text."""
        if self.keep:
            return text
        whole = _WHOLE.fullmatch(text)
        if whole is not None:
            return whole["kind"] + self._short(whole["path"])
        home = str(user_path("~"))
        if home.count("/") > 1:  # its parts may have spaces
            text = text.replace(f"{home}/", "~/")
        return _WITHIN.sub(lambda path: self._short(path[0]), text)

    def value(self, value: Any) -> Any:
        """Shorten the paths in a value of JSON; keys of objects stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, list) else value

    def toml(self, text: str) -> str:
        """Shorten the paths in the strings of a TOML file.

        Raises:
            DataError: A string is written in a form in which it cannot be replaced.
        """
        if self.keep:
            return text
        short = _TOML_STRING.sub(lambda string: self._quoted(string[0]), text)
        try:
            for long in self._left(short):  # strings over several lines
                short = short.replace(long, self.text(long))
            left = self._left(short)
        except (ValueError, RecursionError):
            return self.text(short)  # no TOML: a text like others
        if left:
            raise DataError(
                f"The path {left[0]} in a recipe cannot be shortened.",
                hint="Write it with the recipe's paths: `keep_paths=True`",
            )
        return short

    def _left(self, toml: str) -> list[str]:
        """The strings of a TOML file in which there are paths."""
        return [each for each in _strings(tomllib.loads(toml)) if self.text(each) != each]

    def _quoted(self, string: str) -> str:
        if string.startswith("'"):
            short = self.text(string[1:-1])
            return string if short == string[1:-1] else json.dumps(short, ensure_ascii=False)
        try:
            plain = json.loads(string)
        except ValueError:  # an escape that only TOML has
            return string
        short = self.text(plain)
        return string if short == plain else json.dumps(short, ensure_ascii=False)

    def _short(self, path: str) -> str:
        name = re.split(r"[\\/]", path.rstrip("\\/"))[-1]
        if name in ("", "~"):
            return path
        self.shortened.add(path)
        return f"{SHORT}{name}"


def _strings(value: object) -> Iterator[str]:
    """All strings in a value of TOML, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file, if it exists and the change is one."""
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        if (changed := change(text)) != text:
            path.write_text(changed, encoding="utf-8")
