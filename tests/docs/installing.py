"""Installs the examples of docs/extending.md with pip, as a package of a user's own."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PYTHON = re.compile(r"```python\n# (\w+)\.py\n(.*?)```", re.DOTALL)
_TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)
_NAMED = re.compile(r"# (\S+\.toml)\n")


@dataclass(frozen=True)
class Example:
    """A section of the page: one file of Python, and the commands that use it.

    Attributes:
        module: Name of the file's module.
        recipe: The text of the recipe that the section shows; empty where it shows none.
        commands: What the reader types after ``hype``, split into words.
    """

    module: str
    recipe: str
    commands: list[list[str]]


def read_example(page: str, heading: str) -> Example:
    """The example below a heading, such as ``A loss``."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    ((module, _),) = _PYTHON.findall(section)
    recipes = [block for block in _TOML.findall(section) if _NAMED.match(block)]
    lines = re.findall(r"^    hype (.*)$", section, re.MULTILINE)
    commands = [[word.strip('"') for word in _words(line)] for line in lines]
    return Example(module, "".join(recipes), commands)


def install_examples(page: str, folder: Path) -> None:
    """Install all examples of the page as one package, as the page says.

    Args:
        page: Text of docs/extending.md.
        folder: Gets the sources of the package, ``my-parts``, and what is installed, ``site``.
    """
    source, site = folder / "my-parts", folder / "site"
    source.mkdir()
    files = dict(_PYTHON.findall(page))
    for module, code in files.items():
        (source / f"{module}.py").write_text(code, encoding="utf-8")
    project, *others = [block for block in _TOML.findall(page) if "entry-points" in block]
    listed = 'py-modules = ["sampled"]'
    assert listed in project
    project = project.replace(listed, f"py-modules = {list(files)}")
    (source / "pyproject.toml").write_text("\n".join([project, *others]), encoding="utf-8")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", site, "."]
    subprocess.run(pip, cwd=source, check=True, capture_output=True, timeout=240)


def _words(line: str) -> list[str]:
    return re.findall(r'"[^"]*"|\S+', line)
